"""What rules may look at of packed rows.

N rows, S signals, Q numbers that rules remember.
"""

from dataclasses import dataclass

from schemas.alert import Taken
from schemas.layout import Layout
from schemas.observation import Float64
from trainer.rows import Rows, to_raw
from trainer.statistics import Observed


@dataclass(frozen=True, slots=True)
class Known:
    """What rules may look at.

    Attributes:
        value: raw units, NaN where the row lacks the signal, [N, S].
        last: last known value, this row included, raw units, NaN never, [N, S].
        age: seconds since `last` was seen, inf never, [N, S].
        change: from the value before, model scale, NaN none, [N, S].
        since: seconds since the value before, of no meaning where `change` is NaN, [N, S].
        scale: the entity's typical |change|, model scale, > 0, [N, S].
        still: values in a row, up to now, that repeated the one before, [N, S].
        average: mean of about the last 4 values, model scale, [N, S].
        remembered: as `trainer.rule_memory` says it, [N, Q].
    """

    value: Float64
    last: Float64
    age: Float64
    change: Float64
    since: Float64
    scale: Float64
    still: Float64
    average: Float64
    remembered: Float64


def known_of(rows: Rows, observed: Observed, layout: Layout) -> Known:
    """What rules may look at of packed rows, N of them."""
    value_NS, last_NS, before_NS = (each.cpu() for each in (rows.value_NS, observed.last_NS, observed.before_NS))
    return Known(
        value=to_raw(value_NS.numpy(), layout),
        last=to_raw(last_NS.numpy(), layout),
        age=observed.age_NS.cpu().numpy(),
        change=(value_NS - before_NS).numpy(),
        since=observed.since_NS.cpu().numpy(),
        scale=observed.scale_NS.cpu().numpy(),
        still=observed.still_NS.cpu().numpy(),
        average=observed.fast_NS.cpu().numpy(),
        remembered=observed.remembered_NQ.cpu().numpy(),
    )


def taken(last: float, age_seconds: float, points: float | None = None) -> Taken:
    """What a rule took of a signal; what is remembered has the digits of a float32."""
    if not age_seconds < float("inf"):
        return Taken(None, None)
    return Taken(float(f"{last:.6g}"), float(age_seconds), points)
