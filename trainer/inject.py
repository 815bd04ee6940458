"""Injected faults: what the anomaly head learns from where nobody labels anything.

T rows of a window, S signals (targets come first).
"""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

import numpy as np

from schemas.layout import Layout
from schemas.observation import Bool, Field, Float64, Int64
from trainer.rows import to_model, to_raw

_LEAST_VALUES = 4
"""A signal with fewer values in the window has no course that a fault could break."""
_WHITE = 255.0


class Fault(StrEnum):
    """Kinds of fault."""

    SPIKE = "spike"
    SHIFT = "shift"
    NOISE = "noise"
    FLATLINE = "flatline"
    TREND = "trend"
    CORRELATION_BREAK = "correlation break"


def inject(values_TS: Float64, layout: Layout, rng: np.random.Generator) -> tuple[Float64, Bool]:
    """A copy of a window (raw units) with one random fault, and which rows carry it, [T].

    Faulty values stay within the signals' plausible ranges, as any value that passes ingestion does. A window
    without a signal to break comes back as it is.
    """
    model_TS = to_model(values_TS, layout)
    columns = _breakable(model_TS[:, : layout.n_targets])
    faulty_T = np.zeros(len(values_TS), dtype=np.bool_)
    if not len(columns):
        return values_TS.copy(), faulty_T
    fault = Fault(rng.choice([fault.value for fault in Fault]))
    chosen = rng.choice(columns, size=min(len(columns), int(rng.integers(1, 4))), replace=False)
    length = int(rng.integers(1, 3)) if fault is Fault.SPIKE else int(rng.integers(3, max(4, len(values_TS) // 2) + 1))
    start = int(rng.integers(0, max(1, len(values_TS) - length + 1)))
    broken_TS = model_TS.copy()
    for column in chosen:
        rows = np.flatnonzero(~np.isnan(model_TS[:, column]))
        rows = rows[(rows >= start) & (rows < start + length)]
        broken_TS[rows, column] = _FAULTS[fault](model_TS[:, column], rows, rng)
    low_S, high_S = np.array([signal.range for signal in layout.signals]).T
    # Only broken cells are replaced: the way to the model's scale and back is not exact.
    broken = (broken_TS != model_TS) & ~np.isnan(model_TS)
    raw_TS = np.where(broken, np.clip(to_raw(broken_TS, layout), low_S, high_S), values_TS)
    faulty_T |= ((raw_TS != values_TS) & broken).any(axis=1)
    return raw_TS, faulty_T


def follow(vectors: Mapping[str, Field], values_TS: Float64, broken_TS: Float64, layout: Layout) -> dict[str, Field]:
    """Frames and vectors as their derived signals have become: brought to the new brightness and contrast, or norm."""
    followed = {name: vector.copy() for name, vector in vectors.items()}
    for name, vector in followed.items():
        was_TP, now_TP = (each[:, layout.derived(name)] for each in (values_TS, broken_TS))
        rows = np.flatnonzero((was_TP != now_TP).any(axis=1) & ~np.isnan(was_TP).any(axis=1))
        shape = was_TP.shape[1], len(rows), *[1] * (vector.ndim - 1)
        was_P, now_P = (each[rows].T.reshape(shape) for each in (was_TP, now_TP))
        stretch = now_P[-1] / np.where(was_P[-1] > 0, was_P[-1], 1.0)
        if vector.dtype == np.uint8:
            light = (vector[rows] - _WHITE * was_P[0]) * stretch + _WHITE * now_P[0]
            vector[rows] = np.clip(np.rint(light), 0, _WHITE)
        else:
            vector[rows] = vector[rows] * stretch
    return followed


def inject_some(parts: Sequence[Float64], layout: Layout, rng: np.random.Generator) -> tuple[Float64, Bool] | None:
    """A copy of an entity's windows with a fault in some of them: values and faulty rows; None if none was drawn.

    Args:
        parts: windows that follow each other, raw units, [T, S] each.
        layout: order of signals; `training.inject_rate` of the windows carry a fault.
        rng: draws.
    """
    drawn = rng.random(len(parts)) < layout.monitor.training.inject_rate
    if not drawn.any():
        return None
    copies = [
        inject(part, layout, rng) if hit else (part, np.zeros(len(part), dtype=np.bool_))
        for part, hit in zip(parts, drawn, strict=True)
    ]
    return np.concatenate([values for values, _ in copies]), np.concatenate([faulty for _, faulty in copies])


def _breakable(model_TS: Float64) -> Int64:
    """Signals with a course: enough values, not all the same."""
    known_S = (~np.isnan(model_TS)).sum(axis=0) >= _LEAST_VALUES
    filled_TS = np.where(np.isnan(model_TS), -np.inf, model_TS)
    varied_S = filled_TS.max(axis=0) > np.where(np.isnan(model_TS), np.inf, model_TS).min(axis=0)
    return np.flatnonzero(known_S & varied_S)


def _spread(signal_T: Float64) -> float:
    return float(np.nanstd(signal_T))


def _sign(rng: np.random.Generator) -> float:
    return float(rng.choice([-1.0, 1.0]))


def _spike(signal_T: Float64, rows: Int64, rng: np.random.Generator) -> Float64:
    return signal_T[rows] + _sign(rng) * rng.uniform(4.0, 10.0) * _spread(signal_T)


def _shift(signal_T: Float64, rows: Int64, rng: np.random.Generator) -> Float64:
    return signal_T[rows] + _sign(rng) * rng.uniform(2.5, 6.0) * _spread(signal_T)


def _noise(signal_T: Float64, rows: Int64, rng: np.random.Generator) -> Float64:
    return signal_T[rows] + rng.normal(size=len(rows)) * rng.uniform(2.0, 5.0) * _spread(signal_T)


def _flatline(signal_T: Float64, rows: Int64, rng: np.random.Generator) -> Float64:  # noqa: ARG001
    return np.full(len(rows), signal_T[rows[0]] if len(rows) else np.nan)


def _trend(signal_T: Float64, rows: Int64, rng: np.random.Generator) -> Float64:
    reach = _sign(rng) * rng.uniform(3.0, 8.0) * _spread(signal_T)
    return signal_T[rows] + reach * np.arange(1, len(rows) + 1) / max(len(rows), 1)


def _correlation_break(signal_T: Float64, rows: Int64, rng: np.random.Generator) -> Float64:
    """Values that the signal did show, at the wrong times: only what it has to do with the others breaks."""
    return rng.permutation(signal_T[rows])


_FAULTS: dict[Fault, Callable[[Float64, Int64, np.random.Generator], Float64]] = {
    Fault.SPIKE: _spike,
    Fault.SHIFT: _shift,
    Fault.NOISE: _noise,
    Fault.FLATLINE: _flatline,
    Fault.TREND: _trend,
    Fault.CORRELATION_BREAK: _correlation_break,
}
