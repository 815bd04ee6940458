"""How alike tasks are: `<task>.similarity_<other>` among the metrics that learners and fits recorded, or in a file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from schemas.errors import ModelError
from schemas.tables import TaskMetricRow
from scorer.alerts import reading

_PREFIX = "similarity_"
Matrix = dict[str, dict[str, float]]
"""Task -> task -> cosine, in [-1, 1], both ways round."""


def read_similarity(
    database: str | None = None, monitor: str | None = None, version: int | None = None
) -> dict[str, Matrix]:
    """Monitor -> matrix, the newest or that of a version; pairs never judged together are left out.

    Of a version is what the fit measured that made it, or trainers while they learned against it.

    Raises StackError: the database cannot be read.
    """
    newest = select(func.max(TaskMetricRow.id)).where(TaskMetricRow.metric.startswith(_PREFIX, autoescape=True))
    if monitor is not None:
        newest = newest.where(TaskMetricRow.monitor == monitor)
    if version is not None:
        newest = newest.where(TaskMetricRow.version == version)
    newest = newest.group_by(TaskMetricRow.monitor, TaskMetricRow.task, TaskMetricRow.metric)
    columns = (TaskMetricRow.monitor, TaskMetricRow.task, TaskMetricRow.metric, TaskMetricRow.value)
    with reading(database) as connection:
        rows = connection.execute(select(*columns).where(TaskMetricRow.id.in_(newest)).order_by(TaskMetricRow.id)).all()
    names = dict.fromkeys(name for name, *_ in rows)
    return {name: _matrix(pair for monitor, *pair in rows if monitor == name) for name in names}


def similarity_of(file: str) -> Matrix:
    """What the fit measured that wrote a file; empty: nothing. Raises ModelError where it cannot be read."""
    from trainer.weights import similarity_in

    try:
        content = Path(file).read_bytes()
    except OSError as error:
        expected = "a version number or a file of weights; --monitor names a monitor"
        raise ModelError(f"{file}: {error.strerror}; expected {expected}") from error
    pairs = ((*name.split(".", 1), cosine) for name, cosine in similarity_in(content, file).items())
    return _matrix(pairs)


def _matrix(pairs: Iterable[Sequence[Any]]) -> Matrix:
    found: Matrix = {}
    for task, metric, cosine in pairs:
        other = metric.removeprefix(_PREFIX)
        found.setdefault(task, {})[other] = found.setdefault(other, {})[task] = cosine
    return found


def print_similarity(found: dict[str, Matrix]) -> None:
    """One table a monitor, or file."""
    from infra.explained import table

    for monitor, matrix in found.items():
        rows = [
            (task, *("1" if task == other else _cell(others.get(other)) for other in matrix))
            for task, others in matrix.items()
        ]
        table(f"{monitor}: cosine of the tasks' gradients", ("task", *matrix), rows)


def _cell(cosine: float | None) -> str:
    return "-" if cosine is None else f"{cosine:+.2f}"
