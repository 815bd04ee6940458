"""Why the network said what it said of one row: integrated gradients, ablation, and the attention beside them.

The entity's last rows are replayed from a blank state, in float32 as in training. Nothing here is needed to serve.

R rows of the entity, the last one in question; S signals, M modalities, V of them with frames or vectors, K tasks, G
features of a signal, B variants of the rows, N = R * (B padded) packed rows, W points on the path, C classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from schemas.observation import NO_VECTORS, Bool, Field, Float64
from trainer.explanation import Ablation, Explained, Gradients, Question
from trainer.network import Network, Outputs, odds
from trainer.recalled import GRID, altered, recall
from trainer.rows import MULTIPLE, Rows, to_model, to_raw, windows
from trainer.trunk import Trunk

_POINTS, _MOST_POINTS = 32, 512
_VARIANTS_AT_ONCE = 256
_LEAST_COMPARED = 3
"""Fewer modalities have no rank correlation worth the name."""


class Explainer:
    """Asks one network about one entity's rows.

    Args:
        network: put into training mode: serving rounds its state to half precision, which has no gradient. Where
            there are frames or vectors, it can explain this entity alone from now on.
        values_RS: raw units, NaN = missing; at least two rows.
        time_R: seconds since the epoch, ascending.
        vectors: as in `Batch`, of the same rows.
    """

    def __init__(
        self, network: Network, values_RS: Float64, time_R: Float64, vectors: Mapping[str, Field] = NO_VECTORS
    ) -> None:
        self._network, self._layout = network.train(), network.layout
        self._framed = [name for name, modality in self._layout.vectors.items() if len(modality.shape) > 1]
        recall(network, vectors)
        self._value_RS, self._time_R = to_model(values_RS, network.layout), time_R
        self._median = self._layout.forecast.quantiles.index(0.5)
        self._rows = self._variants(self._value_RS[None])
        self._outputs = self._pass(self._rows)

    def probability(self, task: int) -> Float64:
        """Class probabilities of a state or event at the last row, [C]."""
        logit_C = self._outputs.states[task - 2][self._at(task)]
        return _float64(torch.softmax(logit_C, -1))

    def expected(self) -> Float64:
        """Quantiles of the targets that stood for the last row before it came, raw units, NaN none, [S_t, Q]."""
        expected_SQ = _float64(self._outputs.forecast_NSHQ[self._at(0), :, 0])
        raw_SQ: Float64 = to_raw(expected_SQ[None], self._layout, self._layout.n_targets)[0]
        return raw_SQ

    def explain(self, question: Question) -> Explained:
        """Answer one question in every way."""
        row, task = self._at(question.task), question.task
        answer = float(self._read(question, self._said(task, self._outputs), self._rows)[0])
        ablation = self._ablation(question, answer)
        nothing, *attention = self._outputs.attention_NKM[row, task].tolist()
        return Explained(
            question=question,
            answer=answer,
            gradients=self._gradients(question, answer),
            ablation=ablation,
            attention_M=np.array(attention),
            nothing=nothing,
            agreement=self._agreement(np.array(attention), np.abs(ablation.modality_M)),
            tasks_K=_float64(self._outputs.affinity_NKK[row, task]),
            gate=_gate(self._network),
            private=self._network.detached[task],
        )

    def _variants(self, value_BRS: Float64) -> Rows:
        rows = windows(value_BRS, np.broadcast_to(self._time_R, value_BRS.shape[:2]))
        return self._recalling(rows, dict.fromkeys(self._layout.vectors, torch.ones(len(rows.time_N))))

    def _recalling(self, rows: Rows, shares: Mapping[str, Tensor]) -> Rows:
        """The same rows, each with such a share, [N], of its frame or vector."""
        place_N = torch.arange(len(self._time_R)).repeat_interleave(rows.waves[0]).float()
        return replace(rows, vectors={name: torch.stack([place_N, share_N], -1) for name, share_N in shares.items()})

    def _at(self, task: int, e: int = MULTIPLE) -> int:
        """The packed row that is read first: a forecast of the last row stands on the one before."""
        return (len(self._time_R) - (2 if task == 0 else 1)) * e

    @torch.no_grad()
    def _pass(self, rows: Rows) -> Outputs:
        initial = self._network.initial(rows.waves[0])
        outputs: Outputs = self._network(rows, initial | {"hidden": initial["hidden"].float()})[0]
        return outputs

    def _said(self, task: int, outputs: Outputs) -> Tensor:
        if task == 0:
            return outputs.forecast_NSHQ[:, :, 0, self._median]
        return outputs.anomaly_N if task == 1 else outputs.states[task - 2]

    def _read(self, question: Question, said: Tensor, rows: Rows) -> Tensor:
        """The answer of every variant, [B padded]."""
        e = rows.waves[0]
        said = said[self._at(question.task, e) :][:e]
        if question.task == 1:
            return said
        if question.task > 1:
            others = torch.arange(said.shape[1]) != question.choice
            return said[:, question.choice] - said[:, others].logsumexp(-1)
        row, signal = self._at(0), question.choice
        observed = self._outputs.observed
        change = (said[:, signal] - observed.last_NS[row, signal]) / observed.scale_NS[row, signal]
        return change.nan_to_num(0.0)

    def _gradients(self, question: Question, answer: float) -> Gradients:
        points = _POINTS
        while True:
            found = self._integrate(question, answer, points)
            if found.complete or points >= _MOST_POINTS:
                return found
            points *= 2

    def _integrate(self, question: Question, answer: float, points: int) -> Gradients:
        """Gauss-Legendre over the straight path, its points standing side by side as entities."""
        point, weight = np.polynomial.legendre.leggauss(points)
        start, _ = self._along(question, torch.zeros(MULTIPLE))
        answer_W, inputs = self._along(question, torch.from_numpy((point + 1.0) / 2.0).float())
        gradients = torch.autograd.grad(
            (answer_W * torch.from_numpy(weight / 2.0)).sum(), [scaled for scaled, _ in inputs], allow_unused=True
        )
        whole = [full for _, full in inputs]
        slope = [
            torch.zeros_like(full) if found is None else found for found, full in zip(gradients, whole, strict=True)
        ]
        feature_GNS, residual_ES, *vector_VN = (each * by for each, by in zip(slope, whole, strict=True))
        by_row_RS = feature_GNS.double().sum(0).view(len(self._time_R), points, -1).sum(1)
        residual_S = residual_ES.double().sum(0)
        vector_RV = by_row_RS.new_zeros(len(by_row_RS), len(vector_VN))
        for place, vector_N in enumerate(vector_VN):
            vector_RV[:, place] = vector_N.double().view(len(by_row_RS), points).sum(1)
        change = answer - float(start[0].detach())
        gap = abs(float(by_row_RS.sum() + residual_S.sum() + vector_RV.sum()) - change)
        return Gradients(_float64(by_row_RS), _float64(residual_S), _float64(vector_RV), change, gap, points)

    def _along(self, question: Question, place_W: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Answers with what is read scaled by each place; the scaled inputs, which carry gradients, and the whole.

        Held as they were: the gates that time and absence drive, the last values, the scales, the standing.
        """
        network, w = self._network, len(place_W)
        rows = self._variants(np.repeat(self._value_RS[None], w, 0))
        state = network.initial(w)
        with torch.no_grad():
            observed = network.statistics.observe(state["statistics"], rows)
            feature_GNS = network.read(observed)
        residual_ES = self._outputs.residual_NS[self._at(1)].expand(w, -1)
        place_N = place_W.repeat(len(self._time_R))
        scaled_GNS = (feature_GNS * place_N[:, None]).requires_grad_()
        scaled_ES = (residual_ES.nan_to_num(0.0) * place_W[:, None]).requires_grad_()
        shares = {name: place_N.clone().requires_grad_() for name in self._layout.vectors}
        rows = self._recalling(rows, shares)
        task_KND = network.trunk(scaled_GNS, observed, rows, state["hidden"].float()).task_KND
        ask = network.questions(task_KND, scaled_GNS, both_ways=False)
        if question.task == 0:
            said = network.forecasts(ask, scaled_GNS, observed)[0][:, :, 0, self._median]
        elif question.task == 1:
            residual_NS = scaled_ES.new_full((len(rows.time_N) - w, scaled_ES.shape[1]), torch.nan)
            came_NS = torch.cat([residual_NS, torch.where(residual_ES.isnan(), torch.nan, scaled_ES)])
            said = ask(1, lambda heads, task_ND: heads.anomaly(task_ND, came_NS))[0]
        else:
            place = question.task - 2
            prior_NC = network.before_heads(rows, observed)[1][place]
            said = ask(question.task, partial(odds, place, prior_NC))[0]
        inputs = [(scaled_GNS, feature_GNS), (scaled_ES, residual_ES.nan_to_num(0.0))]
        inputs += [(share_N, torch.ones_like(share_N)) for share_N in shares.values()]
        return self._read(question, said, rows), inputs

    def _ablation(self, question: Question, answer: float) -> Ablation:
        r, s = self._value_RS.shape
        owners, m = np.array(self._layout.modality_of), len(self._layout.monitor.modalities)
        came_RS = ~np.isnan(self._value_RS)
        cells, vectors = np.argwhere(came_RS), np.argwhere(self._carried(came_RS))
        signals_VS = self._derived()
        masks = [np.broadcast_to(owners == modality, (r, s)) for modality in range(m)]
        masks += [np.broadcast_to(np.arange(s) == signal, (r, s)) for signal in range(s)]
        masks += [np.broadcast_to(np.arange(r)[:, None] == row, (r, s)) for row in range(r)]
        masks += [_cell(r, s, row, signal) for row, signal in cells.tolist()]
        masks += [_cell(r, s, row, signals_VS[place]) for row, place in vectors.tolist()]
        modality_M, signal_S, row_R, cell_C, vector_C = np.split(
            answer - self._masked(question, masks), np.cumsum([m, s, r, len(cells)])
        )
        cell_RS, vector_RV = np.zeros((r, s)), np.zeros((r, len(signals_VS)))
        cell_RS[tuple(cells.T)], vector_RV[tuple(vectors.T)] = cell_C, vector_C
        return Ablation(modality_M, signal_S, row_R, cell_RS, vector_RV, self._regions(question, answer, came_RS))

    def _derived(self) -> Bool:
        """Which signals are derived from each frame or vector, [V, S]."""
        signals_VS = np.zeros((len(self._layout.vectors), self._value_RS.shape[1]), dtype=np.bool_)
        for place, name in enumerate(self._layout.vectors):
            signals_VS[place, self._layout.derived(name)] = True
        return signals_VS

    def _carried(self, came_RS: Bool) -> Bool:
        """Which rows carry which frame or vector, [R, V]."""
        return np.asarray((came_RS[:, None] & self._derived()).any(-1))

    def _regions(self, question: Question, answer: float, came_RS: Bool) -> dict[str, Float64]:
        """Of each frame of the last row what the answer loses without each of its parts; a forecast stands before."""
        found = {}
        carried = dict(zip(self._layout.vectors, self._carried(came_RS)[-1], strict=True))
        for name in (name for name in self._framed if carried[name] and question.task):
            rows = self._variants(np.repeat(self._value_RS[None], GRID * GRID, 0))
            rows.vectors[name][self._at(question.task, rows.waves[0]) :][: GRID * GRID, 0] = altered(len(self._time_R))
            without = self._read(question, self._said(question.task, self._pass(rows)), rows)[: GRID * GRID]
            found[name] = answer - _float64(without).reshape(GRID, GRID)
        return found

    def _masked(self, question: Question, masks: Sequence[Bool]) -> Float64:
        """The answer under each mask, [B]."""
        found = []
        for start in range(0, len(masks), _VARIANTS_AT_ONCE):
            part = np.stack(masks[start : start + _VARIANTS_AT_ONCE])
            rows = self._variants(np.where(part, np.nan, self._value_RS))
            said = self._said(question.task, self._pass(rows))
            found.append(_float64(self._read(question, said, rows)[: len(part)]))
        return np.concatenate(found)

    def _agreement(self, attention_M: Float64, change_M: Float64) -> float | None:
        seen_S = ~np.isnan(self._value_RS).all(axis=0)
        seen = [modality in np.array(self._layout.modality_of)[seen_S] for modality in range(len(attention_M))]
        return rank_correlation(attention_M[seen], change_M[seen]) if sum(seen) >= _LEAST_COMPARED else None


def rank_correlation(one: Float64, other: Float64) -> float | None:
    """Spearman's, ties sharing their mean rank; None where either is constant."""
    one, other = (_ranks(each) - _ranks(each).mean() for each in (one, other))
    spread = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / spread if spread else None


def _ranks(values: Float64) -> Float64:
    below = (values[None] < values[:, None]).sum(1)
    equal = (values[None] == values[:, None]).sum(1)
    ranks: Float64 = below + (equal - 1) / 2.0
    return ranks


def _cell(r: int, s: int, row: int, signals: int | Bool) -> Bool:
    mask = np.zeros((r, s), dtype=np.bool_)
    mask[row, signals] = True
    return mask


def _gate(network: Network) -> float:
    """Twins have none: no task sees another."""
    trunk = network.trunk
    return float(trunk.attention.gate_D.detach().tanh().abs().mean()) if isinstance(trunk, Trunk) else 0.0


def _float64(tensor: Tensor) -> Float64:
    return np.asarray(tensor.detach().numpy(), dtype=np.float64)
