"""Each component's own settings, with defaults that run on a laptop."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from schemas.database import parse_url
from schemas.duration import Duration
from schemas.frozen import Frozen

Weighting = Literal[
    "equal",
    "uncertainty",
    "dwa",
    "rlw",
    "gradnorm",
    "famo",
    "stch",
    "geometric",
    "upgrad",
    "mgda",
    "pcgrad",
    "cagrad",
    "nash-mtl",
    "aligned",
    "imtl-g",
]
"""Ways of weighting tasks, see trainer/weighting."""

Cell = Literal["gru", "mingru", "ssm", "retention", "convolution", "transformer"]
"""Recurrent cells of the encoder, see trainer/cells."""

Tracker = Literal["tensorboard", "mlflow", "wandb"]
"""Where a fit can be followed, see infra/fitting/trackers.py."""


WIDTH_STEP = 8
"""Widths of the network are multiples of it."""


class ModelSettings(Frozen):
    """The network's size and its replaceable parts."""

    width: int = Field(default=32, ge=WIDTH_STEP, le=512, multiple_of=WIDTH_STEP, description="token width d")
    heads: int = Field(default=2, ge=1, le=16, description="attention heads")
    cell: Cell = "gru"
    sharing: Literal["hard", "hard-all", "cross-stitch", "mmoe", "ple", "adatt", "mtan", "twins"] = "hard"
    experts: int = Field(default=4, ge=2, le=64, description="experts that serve all tasks, of mmoe and ple")
    similarity_bias: float = Field(
        default=0.0, ge=0, le=20, description="how strongly a task looks at those its gradients agree with; 0: off"
    )
    residuals: bool = Field(default=True, description="the anomaly head reads how far values lie from their forecast")
    private: int = Field(
        default=8,
        ge=0,
        le=128,
        multiple_of=8,
        description="width of each task's private path, its twin; 0: none, so that sharing is never judged",
    )
    half_state: bool = True
    seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads: expected a divisor of width, which is {self.width}")
        return self


class DriftSettings(Frozen):
    """What learning does where the stream changes: it hurries, then adapts with what it remembers, then starts anew."""

    detector: Literal["page-hinkley", "adwin", "off"] = "page-hinkley"
    threshold: float = Field(default=15.0, gt=0, description="the higher, the fewer and the later the alarms")
    hurry: float = Field(default=3.0, ge=1, le=100, description="what an alarm multiplies the learning rate with")
    hurry_steps: int = Field(default=32, ge=1, description="steps in which that fades")
    patience: int = Field(default=48, ge=8, description="steps that an action has until losses are back")
    adapter_rank: int = Field(default=4, ge=0, le=64, description="of the burst of low-rank adapters; 0: none")
    burst_steps: int = Field(default=32, ge=1, description="steps of a burst, and of starting anew, with replay")
    adapt_every: int = Field(
        default=0, ge=0, description="labels after which adapters learn without an alarm; 0: never"
    )
    replay_windows: int = Field(default=256, ge=0, le=65_536, description="past windows that each trainer remembers")

    @model_validator(mode="after")
    def _adapters_to_adapt(self) -> Self:
        if self.adapt_every and not self.adapter_rank:
            raise ValueError("adapt_every: adapter_rank 0 has no adapters; expected adapter_rank >= 1")
        return self


FEWEST_CANARIES = 16
"""Fewer windows say nothing of a task."""
FEWEST_SHADOW_ROWS = 32
"""Fewer rows say nothing of a task."""


class CanarySettings(Frozen):
    """Past windows that are not rehearsed: a candidate that forgets them serves nobody, and goes back."""

    windows: int = Field(default=128, ge=0, le=65_536, description="kept by each trainer; 0: none")
    every: int = Field(default=256, ge=1, description="steps from one look at them to the next")
    bound: float = Field(default=0.25, gt=0, description="how much worse a task may get, 1 = knowing nothing")
    vetoes: int = Field(default=2, ge=1, description="in a row; then the windows are what is outdated, and replaced")

    @field_validator("windows")
    @classmethod
    def _enough(cls, windows: int) -> int:
        if 0 < windows < FEWEST_CANARIES:
            raise ValueError(f"expected 0 or at least {FEWEST_CANARIES}: harm is not told by fewer")
        return windows


class TrainingSettings(Frozen):
    """Learning online."""

    optimiser: Literal["adamw", "adam", "nadam", "radam", "adamax", "rmsprop", "sgd"] = "adamw"
    learning_rate: float | None = Field(default=None, gt=0, description="none: the optimiser's own, see trainer")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of sgd, Nesterov's")
    weight_decay: float = Field(default=1e-4, ge=0)
    gradient_norm: float = Field(default=1.0, gt=0, description="clip")
    refuse_above: float = Field(
        default=100.0, gt=0, description="a gradient this many times the running norm is refused"
    )
    refuse_spikes: float = Field(
        default=30.0, gt=0, description="a loss so many times the usual deviation above the running one is refused"
    )
    refuse_in_a_row: int = Field(default=3, ge=0, description="spikes refused before they are taken for drift; 0: none")
    drift: DriftSettings = DriftSettings()
    canary: CanarySettings = CanarySettings()
    anchor: float = Field(
        default=0.0, ge=0, lt=1, description="share of the way back to the version that serves, after each step"
    )
    average: int = Field(
        default=10,
        ge=1,
        description="a version is the mean of the weights of so many of the last steps; 1: of the last one",
    )
    window: int = Field(default=16, ge=2, le=512, description="rows of one entity in a training window")
    rows_ahead: int = Field(
        default=24, ge=1, le=512, description="rows that a duration horizon is looked for in; longer ones teach nothing"
    )
    windows_per_step: int = Field(default=32, ge=1, le=4096)
    gate_windows: int = Field(default=128, ge=2, description="windows a candidate is judged on, before it learns them")
    weighting: Weighting = "equal"
    weighting_rate: float = Field(default=0.025, gt=0, le=1, description="learning rate of learned task weights")
    gradients_every: int = Field(
        default=8, ge=1, description="steps from one look at the tasks' gradients to the next, where weights need it"
    )
    similarity_every: int = Field(
        default=32, ge=0, description="the same where only the tasks' similarity does; 0: never"
    )
    inject_rate: float = Field(default=0.3, ge=0, le=1, description="share of windows that carry an injected fault")
    checkpoint_every: Duration = Field(
        default=timedelta(seconds=15), description="trainers write down where they stand; what came since is done anew"
    )
    metrics_for: Duration = Field(
        default=timedelta(days=7), description="so long the figures of each step stand in the database"
    )
    shadow_rows: int = Field(
        default=0,
        ge=0,
        description="rows on which a version is scored beside the one that serves before it may; four times"
        " as many where answers are few; 0: it serves at once",
    )

    @field_validator("shadow_rows")
    @classmethod
    def _enough(cls, rows: int) -> int:
        if 0 < rows < FEWEST_SHADOW_ROWS:
            expected = f"0 or at least {FEWEST_SHADOW_ROWS}: on fewer no version is told to be better, and none serves"
            raise ValueError(f"expected {expected}")
        return rows


class FittingSettings(Frozen):
    """Learning offline, from history that lies in files; optimiser, weights of tasks and faults are `training`'s."""

    epochs: int = Field(default=30, ge=1, le=10_000, description="times through the history, at most")
    pretrain: int = Field(default=0, ge=0, le=10_000, description="times through it before, without what it was told")
    patience: int = Field(default=6, ge=1, description="epochs without a better task before fitting ends")
    validation: float = Field(default=0.2, gt=0, lt=1, description="share of entities (few: of rows) not learned from")
    piece: int = Field(default=256, ge=2, le=4096, description="rows of an entity that gradients flow through")
    context: int = Field(default=48, ge=0, description="rows before them that a later piece only listens to")
    pieces_per_step: int = Field(default=48, ge=1, le=65_536)
    learning_rate: float | None = Field(
        default=None, gt=0, description="the highest: it rises to there and falls to nothing; none: see trainer"
    )
    warm_up: float = Field(default=0.1, ge=0, lt=1, description="share of the steps in which it rises")
    weight_decay: float = Field(default=1e-2, ge=0)
    trunk_rate: float = Field(
        default=1.0, ge=0, le=1, description="share of the learning rate for what all tasks share; 0: it stays as it is"
    )
    only: tuple[str, ...] = Field(
        default=(), description="tasks that learn; the others' own weights stay as they are; none named: all learn"
    )
    hide_signals: float = Field(default=0.0, ge=0, lt=1, description="share of a piece's signals left out, at random")
    hide_from_events: float = Field(
        default=0.3, ge=0, lt=1, description="share of a row's signals that event tasks' private paths do not see"
    )
    precision: Literal["float32", "bfloat16"] = Field(default="float32", description="of products, while it learns")
    trackers: tuple[Tracker, ...] = Field(default=(), description="where its curves go, beside the manifest")


class KafkaSettings(Frozen):
    """Names are kafka-python's own."""

    bootstrap_servers: str = "127.0.0.1:9092"
    group_id: str = ""
    session_timeout_ms: int = Field(default=10_000, ge=1)
    heartbeat_interval_ms: int = Field(default=1_000, ge=1)
    max_poll_interval_ms: int = Field(default=300_000, ge=1)
    max_poll_records: int = Field(default=2_000, ge=1)
    fetch_max_wait_ms: int = Field(default=100, ge=0)
    fetch_min_bytes: int = Field(default=1, ge=0)
    max_partition_fetch_bytes: int = Field(default=8_400_000, ge=1)
    queue_batches: int = Field(default=4, ge=1, description="batches polled ahead before partitions are paused")


class DatabaseSettings(Frozen):
    """Where alerts and the ledger live, and where files beside it go."""

    url: str = "sqlite:///.bellwether/bellwether.db"
    directory: str = Field(default="", description="empty: beside an SQLite file, else .bellwether")
    snapshot_every: Duration = timedelta(seconds=10)
    lease: Duration = timedelta(seconds=15)

    @property
    def folder(self) -> Path:
        """Where weights, snapshots and fits lie; absolute."""
        parsed = parse_url(self.url)
        embedded = parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}
        beside = Path(parsed.database or "").parent if embedded else Path(".bellwether")
        return (Path(self.directory) if self.directory else beside).resolve()


class RaySettings(Frozen):
    """`address` empty: a local Ray is started and ended with the program."""

    address: str = ""
    shards: int = Field(default=1, ge=1, le=1024)
    cpus_per_shard: float = Field(default=1.0, ge=0)
    trainers: int = Field(default=1, ge=1, le=1024, description="ranks that learn together, as many as find room")
    cpus_per_trainer: float = Field(default=1.0, ge=0)
    gpus_per_trainer: float = Field(default=0.0, ge=0, description="0: trainers learn on their CPUs")
