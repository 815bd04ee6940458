"""A trainer as a service: learns from the monitor's topic, alone or as one rank of several. Runs without Ray."""

import os
import socket
import threading

import structlog
from torch.distributed import DistError

from infra.database import connect
from infra.gpus import GPUS_OPTION, device_of
from infra.place import Place, meet
from infra.training_rank import TrainingRank
from schemas.errors import FencedError
from schemas.monitor import Monitor
from trainer.step_report import StepReport

_SMOOTH = 0.9
"""Weight of the past in the losses shown: one step's loss jumps."""
_LOOK_SECONDS = 0.2
_log = structlog.get_logger(__name__)


class TrainerService:
    """Learns from everything the shards score; training lag never slows scoring.

    It waits for its place among the ranks. When it is given another one, or a rank is lost, all go on together from
    what they last wrote down.

    Args:
        monitor: what is learned.
        index: which of the monitor's trainers this is.
        host: address of its machine, at which other ranks reach it.

    Raises StackError when a GPU is asked for that torch cannot use.
    """

    def __init__(self, monitor: Monitor, index: int, host: str = "127.0.0.1") -> None:
        self._monitor, self._index, self._host = monitor, index, host
        self._gpus = monitor.ray.gpus_per_trainer
        self._device = device_of(GPUS_OPTION, self._gpus)
        self._engine = connect(monitor.database.url)
        self._place: Place | None = None
        self._rank: TrainingRank | None = None
        self._losses: dict[str, float] = {}
        self._refused = 0
        self._lost = 0
        self._news = threading.Condition()
        self._stopped = False

    def serve(self) -> None:
        """Learn until stopped, or until other trainers have taken over."""
        served: Place | None = None
        while (place := self._next(served)) is not None:
            served = place
            try:
                if self._learn(place):
                    _log.info("the topic has more partitions, ranks are counted anew", rank=place.rank)
                    served = None if place.ranks == 1 else place
                    self._lost = place.formation if place.ranks > 1 else self._lost
            except FencedError as error:
                _log.warning("other trainers have taken over", why=str(error))
                return
            except (DistError, RuntimeError) as error:
                if place.ranks == 1 or not _unanswered(error):
                    raise
                self._lost = place.formation
                _log.warning("a rank was lost, waiting for a new place", rank=place.rank, ranks=place.ranks)

    def join(self, place: Place) -> None:
        """From now on be this rank."""
        with self._news:
            self._place = place
            self._news.notify_all()

    def address(self) -> str:
        """Where the other ranks could meet this one: host:port, free just now."""
        with socket.socket() as free:
            free.bind(("", 0))
            return f"{self._host}:{free.getsockname()[1]}"

    def status(self) -> dict[str, object]:
        """Steps, smoothed per-task losses, lag (None: not known yet), and what of each partition is read and there."""
        rank, place = self._rank, self._place
        learner = rank.learner if rank else None
        sharing = learner.candidate.sharing if learner else {}
        return {
            "events": learner.events if learner else 0,
            "steps": learner.steps if learner else 0,
            "refused": self._refused,
            "losses": dict(self._losses),
            "private": [name for name, at in sharing.items() if at.path == "private"],
            "lag": rank.lag() if rank else None,
            "read": rank.read() if rank else {},
            "ends": rank.ends() if rank else {},
            "labels": rank.labels.counts() if rank and rank.labels else {},
            "rank": place.rank if place else None,
            "ranks": place.ranks if place else 0,
            "lost": self._lost,
            "pid": os.getpid(),
        }

    def stop(self) -> None:
        """Ask `serve` to return after the step in hand."""
        with self._news:
            self._stopped = True
            self._news.notify_all()

    def _next(self, served: Place | None) -> Place | None:
        """A place other than the one that was served; None when stopped."""
        with self._news:
            self._news.wait_for(lambda: self._stopped or self._place != served)
            return None if self._stopped else self._place

    def _learn(self, place: Place) -> bool:
        """Are ranks to be counted anew?"""
        group = meet(place, self._host, nccl=self._gpus >= 1)
        rank = self._rank = TrainingRank(self._monitor, place, group, self._engine, self._note, self._device)
        try:
            return rank.run(lambda: self._stopped or self._place != place)
        finally:
            rank.close()

    def _note(self, report: StepReport) -> None:
        self._refused += report.refused is not None
        for task, loss in report.losses.items():
            self._losses[task] = _SMOOTH * self._losses.get(task, loss) + (1 - _SMOOTH) * loss


def _unanswered(error: Exception) -> bool:
    """Did a rank not answer? gloo and NCCL may say it in a plain RuntimeError."""
    return isinstance(error, DistError) or any(
        word in str(error) for word in ("gloo", "NCCL", "Connection", "timed out")
    )
