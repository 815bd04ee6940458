"""What pydantic says of wrong settings, in the words of this project's other messages."""

import difflib
import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

WHOLE = "(whole file)"
_WORDS = re.compile(r"^(?:(?P<where>[^:]+): )?expected (?P<expected>.+?)(?:, got (?P<seen>.+))?$", re.DOTALL)
"""How the checks in `schemas` speak: [key: ]expected ...[, got ...]; the key is one of their own table's."""
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "invalid_key": "text as a key",
    "model_type": "keys and values",
    "string_type": "text",
    "tuple_type": "a list",
}
"""Pydantic's kind of error -> what was expected."""
_WORDS_WANTED = {"enum", "literal_error", "string_type"}
"""Kinds of error of settings that are words."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One wrong setting: dotted key, the value seen, what was expected."""

    key: str
    value: object
    expected: str


class Literal(str):
    """Text that a message shows as it stands."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """What is wrong, each key once. A list is not also "too short" because one of its items is wrong."""
    found = error.errors(include_url=False)
    outer = {details["loc"][:depth] for details in found for depth in range(len(details["loc"]))}
    each = [_problem(details, model) for details in found if details["loc"] not in outer]
    return list({problem.key: problem for problem in each}.values())


def nearest(word: str, known: list[str]) -> str:
    """`` (did you mean ...?)`` where one of the known words is close."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _problem(details: ErrorDetails, model: type[BaseModel]) -> Problem:
    *outer, last = location = [part for part in details["loc"] if part != "[key]"] or [""]
    key, value, kind = _dotted(location), details["input"], details["type"]
    if kind == "extra_forbidden":
        known = _keys_at(outer, model)
        return Problem(key, value, f"a key that there is{nearest(str(last), known) or ': one of ' + ', '.join(known)}")
    if kind == "missing" and isinstance(last, int):
        return Problem(_dotted(outer), value, f"{last + 1} items")
    if kind == "missing":
        return Problem(key, None, "a value: the key is required")
    if kind in _WORDS_WANTED and isinstance(value, bool):
        expected = _EXPECTED.get(kind) or _bounds(details)
        return Problem(key, value, f"{expected}: a word that YAML reads as true or false stands in quotes")
    if kind == "value_error":
        return _own(key, value, details["msg"].removeprefix("Value error, "))
    return Problem(key, value, _EXPECTED.get(kind) or _bounds(details))


def _own(key: str, value: object, message: str) -> Problem:
    """Of a check over several keys pydantic hands over the whole table; the message says which key of it."""
    found = _WORDS.match(message)
    if found is None:
        return Problem(key, value, message)
    where, expected, seen = found.groups()
    if where:
        key, value = (where if key == WHOLE else f"{key}.{where}"), _at(value, where.split("."))
    return Problem(key, Literal(seen) if seen else value, expected)


def _at(value: object, path: Iterable[str]) -> object:
    """What stands at a dotted key; None: nothing does."""
    for part in path:
        match value:
            case list():
                value = value[int(part)]
            case dict():
                value = value.get(part)
            case _:
                return None
    return value


def _bounds(details: ErrorDetails) -> str:
    bounds = details.get("ctx", {})
    if details["type"] == "too_short":
        return f"at least {_items(bounds['min_length'])}"
    if details["type"] == "too_long":
        return f"at most {_items(bounds['max_length'])}"
    if details["type"] == "string_pattern_mismatch":
        return f"text that matches {bounds['pattern']}"
    return details["msg"].removeprefix("Input should be ")


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count} items"


def _dotted(location: list[int | str]) -> str:
    return ".".join(map(str, location)) or WHOLE


def _keys_at(location: list[int | str], model: type[BaseModel]) -> list[str]:
    """Keys of the configuration model at a location."""
    current: type[BaseModel] | None = model
    for part in location:
        if isinstance(part, str) and current is not None and part in current.model_fields:
            current = next(_models(current.model_fields[part].annotation), None)
    return sorted(field.alias or name for name, field in current.model_fields.items()) if current is not None else []


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Configuration models named in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {tuple, Union, types.UnionType}:
        for argument in get_args(annotation):
            yield from _models(argument)
