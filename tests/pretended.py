"""A GPU that is not there: tensors compute on the CPU and remember that they were moved, or made, elsewhere.

What a real one would refuse is refused here too: an operation on tensors of two devices (numbers aside), and numpy's
view of a tensor that is elsewhere. What no Python sees (C++ that picks its kernels by device) is not tried.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map
from torch.utils.weak import WeakTensorKeyDictionary

ELSEWHERE, HERE = torch.device("cuda"), torch.device("cpu")
_MOVES = {"to", "cpu", "cuda"}
_BETWEEN = {"copy_", "_has_compatible_shallow_copy_type"}
"""May read from another device."""


class PretendedDevice(TorchFunctionMode):
    """Within it `ELSEWHERE` can be used like any device."""

    def __init__(self) -> None:
        super().__init__()
        self._elsewhere: Any = WeakTensorKeyDictionary()  # type: ignore[no-untyped-call]

    def __enter__(self) -> Self:
        """A parameter is copied without asking the mode."""
        self._copied = copied = Parameter.__deepcopy__
        Parameter.__deepcopy__ = lambda each, memo: self._mark(copied(each, memo), elsewhere=self.has(each))
        super().__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        super().__exit__(*why)
        Parameter.__deepcopy__ = self._copied

    def has(self, tensor: Tensor) -> bool:
        """Is it elsewhere?"""
        return tensor in self._elsewhere

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Do what is asked, on the CPU; mark what comes of it."""
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        if func == Tensor.device.__get__:  # type: ignore[attr-defined]
            return ELSEWHERE if self.has(args[0]) else HERE
        if name == "_parse_to":  # of a module's `to`: it only reads its arguments
            return func(*args, **kwargs)
        if name == "__deepcopy__":  # its other argument is what was copied before
            return self._marked(func(*args, **kwargs), elsewhere=self.has(args[0]))
        if name in _MOVES and args and isinstance(args[0], Tensor):
            return self._moved(func, name, args, kwargs)
        if name == "numpy" and self.has(args[0]):
            raise TypeError("got a tensor that is elsewhere; expected one on the CPU")
        given = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor)]
        self._refuse_mixed(name, given)
        elsewhere = kwargs.get("device") == ELSEWHERE or any(map(self.has, given))
        if func == Tensor.data.__set__:  # type: ignore[attr-defined]
            self._mark(args[0], elsewhere=self.has(args[1]))
        return self._marked(func(*_here(args), **_here(kwargs)), elsewhere=elsewhere)

    def _moved(self, func: Callable[..., Tensor], name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
        target = {"cpu": HERE, "cuda": ELSEWHERE}.get(name)
        for each in (*args[1:], *kwargs.values()):
            if isinstance(each, Tensor):
                target = ELSEWHERE if self.has(each) else HERE
            elif isinstance(each, str | torch.device):
                target = torch.device(each)
        was = ELSEWHERE if self.has(args[0]) else HERE
        target = target or was
        moved = args[0] if name != "to" else func(*_here(args), **_here(kwargs))
        if target.type != was.type and moved is args[0]:
            moved = moved.clone()
        return self._mark(moved, elsewhere=target.type == ELSEWHERE.type)

    def _refuse_mixed(self, name: str, given: Sequence[Tensor]) -> None:
        places = [self.has(each) for each in given if each.dim()]
        read_by_index = name == "__getitem__" and self.has(given[0])
        if len(set(places)) > 1 and not (name in _BETWEEN or name == "__set__" or read_by_index):
            raise RuntimeError(f"{name}: got tensors on two devices; expected one")

    def _marked(self, found: Any, *, elsewhere: bool) -> Any:
        if elsewhere:
            tree_map(lambda each: self._mark(each, elsewhere=True) if isinstance(each, Tensor) else each, found)
        return found

    def _mark(self, tensor: Tensor, *, elsewhere: bool) -> Tensor:
        if elsewhere:
            self._elsewhere[tensor] = True
        else:
            self._elsewhere.pop(tensor, None)
        return tensor


def _here(arguments: Any) -> Any:
    """With the device that is there in place of the other."""
    return tree_map(
        lambda each: HERE if isinstance(each, torch.device) and each.type == ELSEWHERE.type else each, arguments
    )
