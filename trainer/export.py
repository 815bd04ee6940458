"""One serving step of a network as a program that runs without this package: `torch.export`, weights included.

Rules stay outside: their scores are an input. So do logarithms: values come, and forecasts go, in model scale.

N rows, each of another entity, S signals, R rules.
"""

import io
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from schemas.horizon import name_of
from schemas.layout import Layout, no_vectors
from trainer.architecture import architecture
from trainer.network import Network, State
from trainer.rows import MULTIPLE, Rows

FORMAT = "1"
"""Of the manifest, and of what goes in and comes out."""
MANIFEST = "manifest.json"
"""Its name among the archive's extra files."""
_EXAMPLE = 2 * MULTIPLE
Answers = dict[str, Tensor]


class ServingStep(nn.Module):
    """What serving asks of a network at one row of each of N entities.

    In multiples of 32 rows, as serving pads them, no bit of an answer depends on which rows come together, but for
    frames, of which a program takes all at once. A row without any value may pad: it leaves statistics and hidden state
    as they were.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        state: State,
        value_NS: Tensor,
        time_N: Tensor,
        score_NR: Tensor | None = None,
        vectors: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> tuple[Answers, State]:
        """Answer.

        Args:
            state: of these entities, part by part as `Network.initial`.
            value_NS: float64, model scale, NaN = missing.
            time_N: float64, seconds since the epoch.
            score_NR: float64, what each rule says as of the row, NaN nothing; only where the network reads it.
            vectors: modality -> frames, [N, C, H, W] uint8, or embeddings, [N, P] float32; only where there are any. Of
                a row without one, which the modality's derived signals say, whatever stands there counts for nothing.
        """
        rows = Rows(
            value_NS=value_NS,
            time_N=time_N,
            waves=(value_NS.shape[0],),
            real_N=torch.ones_like(time_N, dtype=torch.bool),
            final_E=torch.arange(value_NS.shape[0], device=time_N.device),
            vectors=vectors,
        )
        outputs, after = self.network(rows, state, None, score_NR)
        tasks = [task.name for task in self.network.layout.tasks]
        answers = dict(zip(tasks, (outputs.forecast_NSHQ, outputs.anomaly_N, *outputs.states), strict=True))
        return answers | {"expected": outputs.expected_NS, "residual": outputs.residual_NS}, after


def exported(network: Network) -> bytes:
    """The program, as `torch.export.load` reads it."""
    step = ServingStep(network.eval().requires_grad_(requires_grad=False))
    given = inputs_of(network, _EXAMPLE)
    rows = Dim("rows", min=1)
    shapes = {
        name: {part: {0: rows} for part in each} if isinstance(each, Mapping) else {0: rows}
        for name, each in given.items()
    }
    with torch.no_grad():
        program = torch.export.export(step, (), given, dynamic_shapes=shapes)
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={MANIFEST: json.dumps(manifest(network))})
    return file.getvalue()


def inputs_of(network: Network, n: int) -> dict[str, Any]:
    """A step's input, by name: entities never seen, of which nothing is said."""
    layout = network.layout
    nothing = {"value_NS": (n, len(layout.signals))}
    if network.standing.reads_scores:
        nothing["score_NR"] = (n, len(layout.monitor.rules))
    missing = {name: torch.full(shape, torch.nan, dtype=torch.float64) for name, shape in nothing.items()}
    vectors = {name: torch.from_numpy(none) for name, none in no_vectors(layout, n).items()}
    given = {"state": network.initial(n), "time_N": torch.zeros(n, dtype=torch.float64), **missing}
    return given | ({"vectors": vectors} if vectors else {})


def manifest(network: Network) -> Mapping[str, Any]:
    """What goes in, what comes out, in which order and unit, as JSON has it."""
    layout = network.layout
    return {
        "format": FORMAT,
        "monitor": layout.monitor.monitor,
        "rows": {"least": 1, "bit_identical_in_multiples_of": MULTIPLE},
        "inputs": _inputs(network),
        "outputs": _outputs(layout),
        "signals": [
            {"name": signal.name, "modality": layout.monitor.modalities[place].name, "logarithm": logarithm}
            for signal, place, logarithm in zip(layout.signals, layout.modality_of, layout.logarithmic, strict=True)
        ],
        "rules": [rule.model_dump(mode="json") for rule in layout.monitor.rules],
        "tasks": [
            {"name": task.name, "kind": task.kind, "classes": list(layout.classes.get(task.name, ()))}
            for task in layout.tasks
        ],
        "horizons": [name_of(horizon) for horizon in layout.forecast.horizons],
        "quantiles": list(layout.forecast.quantiles),
        "architecture": architecture(layout),
    }


def _inputs(network: Network) -> Mapping[str, Any]:
    fresh = inputs_of(network, 1)
    state = {
        name: {
            "shape": ["rows", *part.shape[1:]],
            "dtype": str(part.dtype).removeprefix("torch."),
            "fresh": _as_json(part[0]),
        }
        for name, part in fresh["state"].items()
    }
    plain = {
        "value_NS": "signals in order, model scale (natural logarithm where a signal says so), NaN missing",
        "time_N": "seconds since the epoch",
        "score_NR": "what each rule says as of the row, NaN nothing; in the rules' order",
    }
    given = {
        name: {"shape": ["rows", *fresh[name].shape[1:]], "dtype": "float64", "what": what}
        for name, what in plain.items()
        if name in fresh
    }
    vectors = {
        name: {
            "shape": ["rows", *part.shape[1:]],
            "dtype": str(part.dtype).removeprefix("torch."),
            "what": "frames" if part.dim() > 2 else "embeddings",
        }
        for name, part in fresh.get("vectors", {}).items()
    }
    return {"state": state, **given} | ({"vectors": vectors} if vectors else {})


def _outputs(layout: Layout) -> Mapping[str, Any]:
    forecast, anomaly, *choices = (task.name for task in layout.tasks)
    s = layout.n_targets
    shape = ["rows", s, len(layout.forecast.horizons), len(layout.forecast.quantiles)]
    return {
        "answers": {
            forecast: {"shape": shape, "what": "quantiles of the first signals, model scale; NaN never seen"},
            anomaly: {"shape": ["rows"], "what": "logit, high = anomalous"},
            **{
                name: {"shape": ["rows", len(layout.classes[name])], "what": "logits of the classes"}
                for name in choices
            },
            "expected": {"shape": ["rows", s], "what": "the median that stood for the row before it came; NaN none"},
            "residual": {
                "shape": ["rows", s],
                "what": "(value - expected) / typical change; NaN where either is missing",
            },
        },
        "state": "as the input's: what the next step of these entities is given",
    }


def _as_json(part: Tensor) -> Any:
    """Numbers as nested lists; what JSON has no word for as its name."""
    if part.dim():
        return [_as_json(each) for each in part]
    value = part.item()
    return value if part.isfinite() else str(value)
