"""The multi-task, attention-based network in its one form: many waves train or replay, one wave is a streaming step.

N rows, E entities, S signals (targets come first), M modalities, D width, X state width of a modality, H horizons,
Q quantiles, C classes, G features of a signal, K tasks: forecast, anomaly, then states and events.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.distributed import ProcessGroup

from schemas.layout import Layout
from trainer.heads import AnomalyHead, ForecastHead, class_heads
from trainer.population import Population
from trainer.precision import products_in
from trainer.private import Private
from trainer.regression import Regression
from trainer.relations import Relations
from trainer.rows import Rows
from trainer.rule_odds import RuleOdds
from trainer.sharing.twins import Twins
from trainer.standing import Standing
from trainer.statistics import Observed, Statistics
from trainer.trunk import Trunk

State = dict[str, Tensor]
COLUMNS = "column_X"
"""The buffer by which a network that was cut out of a wider one knows its own in a state of that one's width."""
Said = tuple[Tensor, ...]
"""What a task's heads said: of the way that serves it, and where both were asked, of the shared and the private."""


class Heads(Protocol):
    """A head of each task, of what all share or of what is private."""

    forecast: ForecastHead
    anomaly: AnomalyHead
    states: nn.ModuleList


Question = Callable[[Heads, Tensor], Tensor]
"""What a way's heads make of the representation of a task, [N, D]."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What all heads say by one way; the fields are those of `Outputs`."""

    forecast_NSHQ: Tensor
    anomaly_N: Tensor
    states: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the network says at each row. Model scale; score: high = anomalous.

    Attributes:
        forecast_NSHQ: float64 quantiles; NaN for a signal never seen.
        expected_NS: the median that stood for this row before it came; NaN none.
        residual_NS: (value - expected) / scale at which it was expected; NaN where either is missing.
        anomaly_N: logit.
        states: per state and event task its logits, [N, C]: log odds by standing, and what the head adds.
        standing: per state and event task where the row stands, [N].
        scale_NS: typical |change| of the targets.
        observed: the statistics the row was judged with.
        read_ND: what the forecast's shared head reads.
        shared: tokens [M, N, D] that all tasks' losses flow through (of twins: [K * M, N, D], each task's its own).
        attention_NKM: each task's attention over the null token and the modalities, [N, K, 1 + M]; sums to 1.
        affinity_NKK: how much each task (axis 1) attends to each (axis 2); sums to 1.
        ways: what the shared and the private heads say, where both were asked. What stands above is for each task that
            of the way which serves it.
    """

    forecast_NSHQ: Tensor
    expected_NS: Tensor
    residual_NS: Tensor
    anomaly_N: Tensor
    states: tuple[Tensor, ...]
    standing: tuple[Tensor, ...]
    scale_NS: Tensor
    observed: Observed
    read_ND: Tensor
    shared: Tensor
    attention_NKM: Tensor
    affinity_NKK: Tensor
    ways: tuple[Answers, Answers] | None = None

    def by(self, answers: Answers) -> "Outputs":
        """The same rows answered so."""
        return replace(
            self,
            forecast_NSHQ=answers.forecast_NSHQ,
            anomaly_N=answers.anomaly_N,
            states=answers.states,
        )


class Network(nn.Module):
    """Trunk and heads of one monitor. Weights follow from `model.seed` alone.

    Args:
        layout: order of signals and tasks; its `model` says the sizes.
        cut_from: the width of the network that this one was cut out of; None: of none.
    """

    column_X: Tensor

    def __init__(self, layout: Layout, cut_from: int | None = None) -> None:
        super().__init__()
        model, tasks = layout.monitor.model, len(layout.tasks)
        self.layout, self._n_targets = layout, layout.n_targets
        self.statistics = Statistics(layout)
        self.population = Population(layout)
        self.relations = Relations(layout)
        self.regression = Regression(layout)
        self.standing = Standing(layout)
        self.rule_odds = RuleOdds(layout)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(model.seed)
            self.trunk = Twins(layout, tasks) if model.sharing == "twins" else Trunk(layout, tasks)
            self.forecast = ForecastHead(layout)
            self.anomaly = AnomalyHead(layout)
            self.states = class_heads(layout)
            self.private = Private(layout) if model.private else None
        self.cut_from = cut_from
        if cut_from is not None:
            self.register_buffer(COLUMNS, torch.arange(self.trunk.state_shape[-1]))

    @property
    def detached(self) -> tuple[bool, ...]:
        """For each task: is it served by its private path?"""
        return self.private.detached if self.private is not None else (False,) * len(self.layout.tasks)

    @property
    def detachments(self) -> dict[str, float]:
        """`<task>.detached` = 1 of each task that is served by its private path: metrics of a version."""
        return {
            f"{task.name}.detached": 1.0 for task, alone in zip(self.layout.tasks, self.detached, strict=True) if alone
        }

    def head(self, task: int) -> tuple[nn.Module, ...]:
        """What of the shared way is a task's alone."""
        if task < len((self.forecast, self.anomaly)):
            return ((self.forecast, self.anomaly)[task],)
        slopes = [self.rule_odds.slopes[task - 2]] if self.rule_odds.slopes else []
        return self.states[task - 2], *slopes

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.forecast.weight_SHQD.device

    def initial(self, e: int) -> State:
        """State of entities never seen; `hidden` is float16 where `model.half_state` asks for it."""
        statistics_EFS = self.statistics.initial(e)
        nothing_ES = statistics_EFS.new_full((e, self._n_targets), torch.nan)
        dtype = torch.float16 if self.layout.monitor.model.half_state else torch.float32
        return {
            "hidden": statistics_EFS.new_zeros(e, *self.trunk.state_shape, dtype=dtype),
            "statistics": statistics_EFS,
            "expected": nothing_ES,
            "spread": nothing_ES.clone(),
        }

    def forward(
        self,
        rows: Rows,
        state: Mapping[str, Tensor],
        observed: Observed | None = None,
        score_NR: Tensor | None = None,
        *,
        both_ways: bool = False,
        precision: torch.dtype = torch.float32,
        shown_NS: Tensor | None = None,
    ) -> tuple[Outputs, State]:
        """Judge rows, given what came before them.

        Args:
            rows: packed rows.
            state: as `initial` makes it, E = rows.waves[0] entities in packed order.
            observed: the statistics of these rows where they are known already.
            score_NR: what the rules say of them where that is known already.
            both_ways: ask the shared and the private heads of every task, not only those that serve it. Then no
                gradient of a detached task reaches what is shared: its shared head alone goes on learning to read it.
            precision: of products in trunk and private paths; all that is returned has the same types in any.
            shown_NS: what the private paths of event tasks may see, in fitting; see there.

        Returns:
            Outputs per row, and the state after each entity's last real row (unchanged for padding entities).
            `hidden` comes back in the dtype it was given: in evaluation with `half_state` its values fit float16. It
            comes back as wide as it was given, too: of a state as wide as that of the network that this one was cut
            out of, the columns of the units that are left move.
        """
        observed = observed or self.statistics.observe(state["statistics"], rows)
        features_GNS = self.read(observed)
        with products_in(precision, rows.value_NS.device):
            seen = self.trunk(features_GNS, observed, rows, self._narrowed(state["hidden"]))
            ask = self.questions(seen.task_KND, features_GNS, both_ways=both_ways, shown_NS=shown_NS)
        forecast = self.forecasts(ask, features_GNS, observed)
        scale_NS = observed.scale_NS[:, : self._n_targets]
        next_NS = forecast[0][:, :, 0, self.forecast.median].detach()
        expected_NS = rows.before(next_NS, state["expected"])
        spread_NS = rows.before(scale_NS, state["spread"])
        residual_NS = (rows.value_NS[:, : self._n_targets] - expected_NS) / spread_NS
        anomaly = ask(1, lambda heads, task_ND: heads.anomaly(task_ND, residual_NS))
        standing, priors = self.before_heads(rows, observed, score_NR)
        states = [ask(2 + place, partial(odds, place, prior_NC)) for place, prior_NC in enumerate(priors)]
        served, *ways = (
            Answers(forecast[way], anomaly[way], tuple(each[way] for each in states)) for way in range(len(forecast))
        )
        outputs = Outputs(
            forecast_NSHQ=served.forecast_NSHQ,
            expected_NS=expected_NS,
            residual_NS=residual_NS,
            anomaly_N=served.anomaly_N,
            states=served.states,
            standing=standing,
            scale_NS=scale_NS,
            observed=observed,
            read_ND=seen.task_KND[0],
            shared=seen.token_MND,
            attention_NKM=seen.attention_NKM,
            affinity_NKK=seen.affinity_NKK,
            ways=(ways[0], ways[1]) if ways else None,
        )
        return outputs, {
            "hidden": self._widened(seen.hidden_EMX.to(state["hidden"].dtype), state["hidden"]),
            "statistics": observed.statistics_EFS,
            "expected": rows.final(next_NS, state["expected"]),
            "spread": rows.final(scale_NS, state["spread"]),
        }

    def read(self, observed: Observed) -> Tensor:
        """What is read of each signal at each row, [G, N, S]; all 0 for a signal never seen."""
        return torch.cat([observed.features_GNS, self.population(observed), *self.relations(observed)])

    def forecasts(self, ask: Callable[[int, Question], Said], features_GNS: Tensor, observed: Observed) -> Said:
        """What `ask`, of `questions`, says of the future: each way's own words about what the regression leaves."""
        linear_NSH = self.regression(features_GNS, observed)
        return ask(0, lambda heads, task_ND: heads.forecast(task_ND, features_GNS, observed, linear_NSH))

    def regress(self, outputs: Outputs, future_NSH: Tensor, group: ProcessGroup | None = None) -> None:
        """Let the regression learn what came after rows that were judged; see there."""
        self.regression.learn(self.read(outputs.observed), outputs.observed, future_NSH, group)

    def before_heads(
        self, rows: Rows, observed: Observed, score_NR: Tensor | None = None
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Per state and event task where each row stands, [N], and the log odds that its head adds to, [N, C]."""
        score_NR = self.standing.scores(rows, observed) if score_NR is None else score_NR
        standing = self.standing.of(rows, score_NR)
        return standing, self.rule_odds(self.standing(standing), score_NR)

    def questions(
        self, task_KND: Tensor, features_GNS: Tensor, *, both_ways: bool, shown_NS: Tensor | None = None
    ) -> Callable[[int, Question], Said]:
        """Asks a task's heads: the way that serves it; then, where both ways are wanted, the shared and the private."""
        private, detached = self.private, self.detached
        if private is None or not (both_ways or any(detached)):
            return lambda task, question: (question(self, task_KND[task]),)
        private_KND = private(features_GNS, shown_NS)

        def ask(task: int, question: Question) -> Said:
            if not both_ways:
                return (question(private, private_KND[task]) if detached[task] else question(self, task_KND[task]),)
            read_ND = task_KND[task].detach() if detached[task] else task_KND[task]
            ways = question(self, read_ND), question(private, private_KND[task])
            return (ways[detached[task]], *ways)

        return ask

    def _narrowed(self, hidden_EMX: Tensor) -> Tensor:
        """Of a wider state the columns of this network's units."""
        if hidden_EMX.shape[-1] == self.trunk.state_shape[-1]:
            return hidden_EMX
        return hidden_EMX.index_select(-1, self.column_X)

    def _widened(self, hidden_EMX: Tensor, before_EMX: Tensor) -> Tensor:
        """The same in a state as wide as the one before, whose other columns stay."""
        if hidden_EMX.shape == before_EMX.shape:
            return hidden_EMX
        return before_EMX.index_copy(-1, self.column_X, hidden_EMX)


def odds(place: int, prior_NC: Tensor, heads: Heads, task_ND: Tensor) -> Tensor:
    """Log odds of a state or event task, [N, C]; what both ways add to is moved by the shared one alone."""
    logits_NC: Tensor = heads.states[place](task_ND)
    return logits_NC + (prior_NC.detach() if isinstance(heads, Private) else prior_NC)


def state_bytes(layout: Layout) -> dict[str, int]:
    """Bytes per entity, part by part."""
    return {name: part.nbytes for name, part in Network(layout).initial(1).items()}
