"""A monitor's actors on Ray: started, watched, replaced when they die, stopped in order."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import structlog

from infra.database import connect, migrate
from infra.gpus import GPUS_OPTION, check_gpus
from infra.trainer_group import TrainerGroup
from ingest.topics import await_topics
from schemas.errors import LedgerError, StackError
from schemas.monitor import Monitor

_log = structlog.get_logger(__name__)
_STOP_SECONDS = 10.0
_ASK_SECONDS = 2.0
_SILENT_SECONDS = 20.0
"""Ray does not notice an actor that was halted."""
_PAUSE_SECONDS = 5.0
"""Between the end of a member by an error and its successor, which may fare no better."""
_SHELL: Any = {"max_restarts": 0, "max_concurrency": 4}
"""`serve` takes one thread of an actor for good; the others answer."""
LOCAL_CPUS = 1
"""A local Ray starts an idle worker for every logical CPU at once: with 8 the first alert took 12 s longer."""


@dataclass(slots=True)
class Member:
    """One actor and the call that is its life; None: it was only told to warm up.

    `last` is what it last said of itself, `heard` when, in seconds, and `asked` what was asked since; `ended`
    when it was seen to have come to an end.
    """

    name: str
    index: int
    actor: Any
    life: Any = None
    last: dict[str, Any] = field(default_factory=dict)
    asked: Any = None
    heard: float = field(default_factory=time.monotonic)
    ended: float | None = None


@dataclass(slots=True)
class Deployment:
    """One monitor's shards and trainers.

    Attributes:
        monitor: its configuration.
        learn: are there trainers?
        verbose: do actors log what happens?
    """

    monitor: Monitor
    learn: bool = True
    verbose: bool = False
    members: list[Member] = field(default_factory=list)
    replaced: int = 0
    _group: TrainerGroup = field(default_factory=TrainerGroup)
    _topics: Future[bool] | None = None

    def prepare(self) -> None:
        """Bring the schema up. The first version is the shards' to publish: torch takes seconds to import."""
        engine = connect(self.monitor.database.url)
        migrate(engine)
        engine.dispose()

    def warm_up(self) -> None:
        """Start the shards' processes, which import meanwhile what they need. Nothing is read yet.

        Raises StackError when trainers ask for GPUs that a local Ray has not.
        """
        settings = self.monitor.ray
        wanted = settings.gpus_per_trainer * settings.trainers if self.learn else 0.0
        check_gpus(GPUS_OPTION, wanted, local=not settings.address)
        self.members = [self._new("shard", index) for index in range(self.monitor.ray.shards)]

    def await_topics(self, stopping: threading.Event, say: Callable[[str], None]) -> None:
        """Look for the topics in a thread; `heal` starts the shards once they stand.

        Args:
            stopping: ends the thread.
            say: told in words what is waited for and what was made.
        """
        looking, servers = ThreadPoolExecutor(1), self.monitor.kafka.bootstrap_servers
        self._topics = looking.submit(await_topics, servers, self.monitor.topics, stopping, say)
        looking.shutdown(wait=False)

    def start(self) -> None:
        """Let the shards serve now: their topics stand. The trainer follows by `heal`."""
        for member in self.members:
            self._begin(member)

    def status(self) -> list[dict[str, Any]]:
        """What each member says of itself; a silent one repeats its last words."""
        import ray

        if not self.members:
            return []
        for member in self.members:
            member.asked = member.asked or member.actor.status.remote()
        known = [member.asked for member in self.members if member.last]  # others may wait long for room
        if known:
            ray.wait(known, num_returns=len(known), timeout=_ASK_SECONDS)
        for member in self.members:
            try:
                answer = ray.get(member.asked, timeout=0)
            except ray.exceptions.GetTimeoutError:
                continue
            except ray.exceptions.RayActorError:
                answer = member.last
            else:
                member.heard = time.monotonic()
            member.last, member.asked = answer, None
        return [{"name": member.name, **member.last} for member in self.members]

    def heal(self) -> None:
        """Start what is missing, replace members that died or whose services went away.

        A trainer is replaced whatever ended it, for scoring goes on without; any other error of a shard is raised.
        """
        import ray

        self._start_missing()
        self._end_silent()
        for place, member in enumerate(self.members):
            if (why := self._over(member)) is None:
                continue
            _log.warning("member ended, replacing it", member=member.name, index=member.index, why=why)
            ray.kill(member.actor)
            self.replaced += 1
            self.members[place] = self._begin(self._new(member.name, member.index))
        self._group.form([each for each in self.members if each.name == "trainer" and each.ended is None])

    def _over(self, member: Member) -> str | None:
        """Why it is to be replaced now; None: it lives, was told to end, or a pause is due first."""
        import ray

        if member.life is None or not ray.wait([member.life], timeout=0)[0]:
            return None
        now = time.monotonic()
        member.ended = member.ended or now
        try:
            ray.get(member.life)
        except ray.exceptions.RayActorError as error:
            if not error.actor_init_failed:
                return "its process died"
            if member.name != "trainer":
                raise StackError(f"{member.name}: {_last_line(error)}; expected an actor that starts") from error
            why = _last_line(error)
        except Exception as error:
            if member.name != "trainer" and not isinstance(error, StackError | LedgerError):
                raise
            why = _last_line(error)
        else:
            return None
        return why if now - member.ended >= _PAUSE_SECONDS else None

    def wind_down(self) -> None:
        """Ask the shards to end after the batch in hand."""
        for member in self._serving():
            member.actor.stop.remote()

    def stop(self) -> None:
        """Let every shard finish the batch in hand; a trainer may end anywhere, and whoever hangs is ended."""
        import ray

        self.wind_down()
        lives = [member.life for member in self._serving()]
        _, hanging = ray.wait(lives, num_returns=len(lives), timeout=_STOP_SECONDS) if lives else ([], [])
        for member in self.members:
            if member.life in hanging:
                _log.warning("member did not stop in time", member=member.name)
            ray.kill(member.actor)
        self.members = []

    def _serving(self) -> list[Member]:
        """Shards that have answered: one that still starts has no batch in hand."""
        return [member for member in self.members if member.name == "shard" and "events" in member.last]

    def _start_missing(self) -> None:
        """The shards, once their topics stand; trainers, once those are there and any scores: not to slow their start.

        A shard may have nothing to score for ever, where there are more of them than partitions.
        """
        if any(member.life is None for member in self.members):
            if self._topics is not None and self._topics.done() and self._topics.result():
                self.start()
        elif self.learn and len(self._serving()) == self.monitor.ray.shards and any(map(_scores, self._serving())):
            started = sum(member.name == "trainer" for member in self.members)
            trainers = range(started, self.monitor.ray.trainers)
            self.members += [self._begin(self._new("trainer", index)) for index in trainers]

    def _end_silent(self) -> None:
        """A trainer that answers no more holds all ranks up: it is ended, and found dead."""
        import ray

        for member in self.members:
            if member.name == "trainer" and "pid" in member.last and time.monotonic() - member.heard > _SILENT_SECONDS:
                _log.warning("trainer does not answer, ending it", index=member.index)
                ray.kill(member.actor)
                member.heard = time.monotonic()

    def _new(self, name: str, index: int) -> Member:
        from infra.actors import ShardActor, TrainerActor

        settings = self.monitor.ray
        shells: dict[str, Any] = {"shard": ShardActor, "trainer": TrainerActor}
        cpus = settings.cpus_per_shard if name == "shard" else settings.cpus_per_trainer
        gpus = settings.gpus_per_trainer if name == "trainer" else 0.0
        wanted = {"num_cpus": cpus if settings.address else 0.0, "num_gpus": gpus}
        return Member(name, index, shells[name].options(**wanted, **_SHELL).remote(verbose=self.verbose))

    def _begin(self, member: Member) -> Member:
        member.life = member.actor.serve.remote(self.monitor.model_dump(mode="json"), member.index)
        return member


def _scores(shard: Member) -> bool:
    return bool(shard.last.get("events"))


def _last_line(error: Exception) -> str:
    """What went wrong in the actor: Ray puts its traceback before it."""
    return str(error).strip().rpartition("\n")[2]
