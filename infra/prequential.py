"""How well each task did over time, by rows that were judged before they were learned, as learners recorded it."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from schemas.errors import InputError
from schemas.tables import TaskMetricRow


@dataclass(frozen=True, slots=True)
class Course:
    """One metric of a task over time.

    Attributes:
        task: its name; empty: of the whole network.
        metric: its name.
        means: of spans of equally many steps, oldest first; None: not measured in it.
    """

    task: str
    metric: str
    means: tuple[float | None, ...]


def read_courses(connection: Connection, monitor: str, spans: int) -> list[Course]:
    """Every metric's course, cut into so many spans; they are all of the same steps."""
    extent = select(func.min(TaskMetricRow.step), func.max(TaskMetricRow.step)).where(TaskMetricRow.monitor == monitor)
    first, last = connection.execute(extent).one()
    if first is None:
        return []
    span = ((TaskMetricRow.step - first) * spans // (last - first + 1)).label("span")
    columns = (TaskMetricRow.task, TaskMetricRow.metric, TaskMetricRow.value)
    rows = select(*columns, span).where(TaskMetricRow.monitor == monitor).subquery()
    keys = (rows.c.task, rows.c.metric, rows.c.span)
    means: dict[tuple[str, str], dict[int, float]] = {}
    for task, metric, number, mean in connection.execute(
        select(*keys, func.avg(rows.c.value)).group_by(*keys).order_by(*keys)
    ):
        means.setdefault((task, metric), {})[number] = mean
    return [Course(*name, tuple(map(found.get, range(spans)))) for name, found in means.items()]


def write_tensorboard(connection: Connection, monitor: str, directory: Path) -> None:
    """Write every recorded value as TensorBoard event files, by step.

    Raises InputError: TensorBoard is not there, or the directory cannot be made or written.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise InputError("--tensorboard: got no such package; expected pip install -e '.[tensorboard]'") from error
    query = select(TaskMetricRow.__table__).where(TaskMetricRow.monitor == monitor).order_by(TaskMetricRow.id)
    try:
        with SummaryWriter(str(directory / monitor), purge_step=0) as writer:
            for row in connection.execute(query):
                name = f"{row.task}/{row.metric}" if row.task else row.metric
                writer.add_scalar(name, row.value, row.step, walltime=row.recorded_at.timestamp())
    except OSError as error:
        expected = "a folder that can be made and written"
        raise InputError(f"--tensorboard: got {directory}: {error.strerror}; expected {expected}") from error
