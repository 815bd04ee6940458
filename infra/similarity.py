"""The task-similarity matrix as a learner last recorded it: metrics `<task>.similarity_<other>` of the table."""

from sqlalchemy import func, select

from schemas.tables import TaskMetricRow
from scorer.alerts import reading

_PREFIX = "similarity_"
Matrix = dict[str, dict[str, float]]
"""Task -> task -> cosine, in [-1, 1], both ways round."""


def read_similarity(database: str | None = None, monitor: str | None = None) -> dict[str, Matrix]:
    """Monitor -> matrix; pairs never judged together are left out. Raises StackError: the database cannot be read."""
    newest = select(func.max(TaskMetricRow.id)).where(TaskMetricRow.metric.startswith(_PREFIX, autoescape=True))
    if monitor is not None:
        newest = newest.where(TaskMetricRow.monitor == monitor)
    newest = newest.group_by(TaskMetricRow.monitor, TaskMetricRow.task, TaskMetricRow.metric)
    columns = (TaskMetricRow.monitor, TaskMetricRow.task, TaskMetricRow.metric, TaskMetricRow.value)
    with reading(database) as connection:
        rows = connection.execute(select(*columns).where(TaskMetricRow.id.in_(newest)).order_by(TaskMetricRow.id)).all()
    found: dict[str, Matrix] = {}
    for name, task, metric, cosine in rows:
        matrix, other = found.setdefault(name, {}), metric.removeprefix(_PREFIX)
        matrix.setdefault(task, {})[other] = matrix.setdefault(other, {})[task] = cosine
    return found


def print_similarity(found: dict[str, Matrix]) -> None:
    """One table a monitor."""
    from infra.explained import table

    for monitor, matrix in found.items():
        rows = [
            (task, *("1" if task == other else _cell(others.get(other)) for other in matrix))
            for task, others in matrix.items()
        ]
        table(f"{monitor}: cosine of the tasks' gradients", ("task", *matrix), rows)


def _cell(cosine: float | None) -> str:
    return "-" if cosine is None else f"{cosine:+.2f}"
