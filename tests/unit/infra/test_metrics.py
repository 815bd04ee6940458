"""Measures against scikit-learn, against published figures, and by hand."""

import json
from datetime import timedelta
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    log_loss,
    roc_auc_score,
)

from infra.metrics.anomaly import auprc, auroc, segments, vus_pr
from infra.metrics.baselines import base_rates, ewma_z, persistence, random_scores, same_class
from infra.metrics.forecast import last_known, outcomes, score_forecasts
from infra.metrics.nab import Profile, Series, nab_optimised, nab_score
from infra.metrics.state import classes_of, score_states, worst_ahead
from tests.converters import nab as nab_files
from tests.laws import ward
from trainer.lesson import lesson_of
from trainer.windows import Window

scored_labels = st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=2, max_size=60).filter(
    lambda pairs: 0 < sum(label for _, label in pairs) < len(pairs)
)


@given(scored_labels)
def test_auroc_and_average_precision_equal_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    score, label = np.array([pair[0] for pair in pairs], dtype=float), np.array([pair[1] for pair in pairs])
    ours, theirs = (auroc(score, label), auprc(score, label)), (roc_auc_score, average_precision_score)
    assert ours == pytest.approx([judge(label, score) for judge in theirs])


def test_measures_without_an_anomaly_are_nan() -> None:
    score, label = np.arange(5.0), np.zeros(5, dtype=bool)
    assert np.isnan([auroc(score, label), auprc(score, label), vus_pr(score, label)]).all()


def test_segments_are_first_and_last_rows() -> None:
    assert segments(np.array([1, 1, 0, 0, 1, 0, 1])).tolist() == [[0, 1], [4, 4], [6, 6]]


def test_vus_pr_equals_the_definition_spelled_out() -> None:
    random = np.random.default_rng(0)
    label = np.zeros(300, dtype=bool)
    label[[*range(40, 60), *range(150, 155), 250]] = True
    score = random.random(300) + label
    assert vus_pr(score, label, window=12) == pytest.approx(_vus_pr_by_definition(score, label, 12))


def test_vus_pr_forgives_an_alarm_a_few_rows_late() -> None:
    label = np.zeros(2_000, dtype=bool)
    label[1_000:1_020] = True
    late, far = np.zeros(2_000), np.zeros(2_000)
    late[1_010:1_030], far[1_500:1_520] = 1.0, 1.0
    values = [vus_pr(label.astype(float), label), vus_pr(late, label), vus_pr(far, label)]
    assert values == sorted(values, reverse=True)


def test_nab_scores_silence_zero_and_the_earliest_alerts_a_hundred() -> None:
    series = [
        Series(4_000, np.array([[1_000, 1_100], [2_000, 2_050]])),
        Series(1_000, np.empty((0, 2), dtype=np.int64)),
    ]
    none = np.empty(0, dtype=np.int64)
    silent = [nab_score([none, none], series, profile) for profile in Profile]
    perfect = [nab_score([np.array([1_000, 2_000]), none], series, profile) for profile in Profile]
    assert (silent, perfect) == (pytest.approx([0.0] * 3), pytest.approx([100.0] * 3))


def test_a_random_scorer_has_no_skill() -> None:
    label = np.arange(20_000) % 10 == 0
    score = random_scores(20_000, np.random.default_rng(4))
    assert (auroc(score, label), auprc(score, label)) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.1, abs=0.02))


def test_nab_by_hand() -> None:
    series = [Series(1_000, np.array([[400, 499]]))]
    # 10 is in probation; 300 is before every window; 450 is half-way in; 549 is half a width past; 990 far past.
    alerts = [np.array([10, 300, 450, 470, 549, 990])]

    def worth(position: float) -> float:
        return 2.0 / (1.0 + np.exp(5.0 * position)) - 1.0

    raw = worth(-0.5) / worth(-1.0) - 0.11 * (1.0 - worth(50 / 99) + 1.0)
    assert nab_score(alerts, series, Profile.STANDARD) == pytest.approx(100.0 * (raw + 1.0) / 2.0)


def test_nab_with_the_best_threshold_equals_trying_them_all() -> None:
    random = np.random.default_rng(1)
    series = [Series(500, np.array([[200, 240], [300, 330]])), Series(400, np.array([[100, 180]]))]
    scores = [np.round(random.random(each.rows), 2) for each in series]

    def at(threshold: float) -> float:
        return nab_score([np.flatnonzero(score >= threshold) for score in scores], series, Profile.LOW_FN)

    best, threshold = nab_optimised(scores, series, Profile.LOW_FN)
    every = max([at(each) for each in np.unique(np.concatenate(scores))] + [0.0])
    assert (best, at(threshold)) == (pytest.approx(every), pytest.approx(every))


def test_nab_scores_its_own_random_detector_as_published(shared_data: Path) -> None:
    """The benchmark's random detector starts every file with seed 42; figures and thresholds are NAB's own."""
    series = nab_files.series(shared_data)
    longest = Random(42)
    drawn = np.array([longest.random() for _ in range(max(each.rows for each in series))])
    thresholds = {Profile.STANDARD: 0.9984497, Profile.LOW_FP: 0.9995117, Profile.LOW_FN: 0.9984497}
    found = {
        profile.name: nab_score([np.flatnonzero(drawn[: each.rows] >= cut) for each in series], series, profile)
        for profile, cut in thresholds.items()
    }
    published = json.loads((shared_data / "nab" / "final_results.json").read_text())["random"]
    names = {"STANDARD": "standard", "LOW_FP": "reward_low_FP_rate", "LOW_FN": "reward_low_FN_rate"}
    assert found == pytest.approx({name: published[key] for name, key in names.items()}, abs=1e-6)


def test_forecasts_by_hand() -> None:
    values = np.array([[1.0], [2.0], [4.0], [np.nan], [8.0]])
    entity = np.zeros(5, dtype=np.int64)
    last, came = last_known(values, entity), outcomes(values, entity, np.arange(len(entity)), [1, 2])
    forecast = np.stack([last + spread for spread in (-1.0, 0.0, 3.0)], axis=-1)[:, :, None, :].repeat(2, axis=2)
    scores = score_forecasts(forecast, came, last, [0.1, 0.5, 0.9])
    # h1: 1->2, 2->4, (4)->8; h2: 1->4, 4->8
    assert (
        scores.rows.tolist(),
        scores.mae.tolist(),
        scores.mse.tolist(),
        scores.mase.tolist(),
        scores.coverage.tolist(),
    ) == ([[3, 2]], [[7 / 3, 3.5]], [[7.0, 12.5]], [[1.0, 1.0]], [[pytest.approx(2 / 3), 0.5]])


def test_pinball_of_a_single_quantile() -> None:
    forecast, came = np.array([[[[1.0, 2.0, 4.0]]]]), np.array([[[3.0]]])
    scores = score_forecasts(forecast, came, np.array([[2.0]]), [0.1, 0.5, 0.9])
    assert scores.pinball[0, 0] == pytest.approx((0.1 * 2.0 + 0.5 * 1.0 + 0.1 * 1.0) / 3.0)


def test_cumulated_scores_are_means_over_the_horizons() -> None:
    random = np.random.default_rng(2)
    values, entity = random.normal(size=(100, 2)).cumsum(axis=0), np.zeros(100, dtype=np.int64)
    last, came = last_known(values, entity), outcomes(values, entity, np.arange(len(entity)), [1, 2, 3])
    scores = score_forecasts(persistence(last, 3, 1), came, last, [0.5])
    cumulated = scores.cumulated()
    assert (cumulated.mse[:, -1].tolist(), cumulated.mase.ravel().tolist()) == (
        pytest.approx(scores.mse.mean(axis=1).tolist()),
        pytest.approx([1.0] * 6),
    )


def test_standardised_errors_are_in_units_of_the_scale() -> None:
    random = np.random.default_rng(3)
    values, entity = random.normal(size=(50, 1)), np.zeros(50, dtype=np.int64)
    last, came = last_known(values, entity), outcomes(values, entity, np.arange(len(entity)), [1])
    raw = score_forecasts(persistence(last, 1, 1), came, last, [0.5])
    unit = raw.in_units(np.array([4.0]))
    assert (unit.mse * 16.0, unit.mae * 4.0, unit.pinball * 4.0) == (
        pytest.approx(raw.mse),
        pytest.approx(raw.mae),
        pytest.approx(raw.pinball),
    )


def test_outcomes_and_last_values_stay_within_their_entity() -> None:
    values, entity = np.array([[1.0], [10.0], [np.nan], [20.0], [3.0]]), np.array([0, 1, 0, 1, 0])
    came, last = outcomes(values, entity, np.arange(len(entity)), [1, 2, 9]), last_known(values, entity)
    nan = np.nan
    expected = [[nan, 3.0, nan], [20.0, nan, nan], [3.0, nan, nan], [nan] * 3, [nan] * 3]
    assert (np.array_equal(came[:, 0], expected, equal_nan=True), last.ravel().tolist()) == (
        True,
        [1.0, 10.0, 1.0, 20.0, 3.0],
    )


def test_states_are_judged_as_scikit_learn_does() -> None:
    random = np.random.default_rng(5)
    probability, came = random.dirichlet([1, 1, 1], 300), random.integers(0, 3, 300)
    found = score_states(probability, came)
    likely = probability.argmax(axis=1)
    assert (found.accuracy, found.balanced_accuracy, found.log_loss, found.auroc) == (
        pytest.approx(accuracy_score(came, likely)),
        pytest.approx(balanced_accuracy_score(came, likely)),
        pytest.approx(log_loss(came, probability)),
        pytest.approx(roc_auc_score(came, probability, multi_class="ovr")),
    )


def test_a_class_that_never_came_is_left_out_of_the_averages() -> None:
    came = np.array([0, 0, 1, 1])
    found = score_states(same_class(np.array([0, 2, 1, 1]), 3), came)
    assert (found.accuracy, found.balanced_accuracy, found.auroc) == (0.75, 0.75, pytest.approx((0.75 + 1.0) / 2))


def test_base_rates_reach_the_share_of_the_commonest_class_and_the_entropy() -> None:
    came = np.array([0, 0, 0, 1])
    found = score_states(base_rates(came, 2), came)
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert (found.accuracy, found.balanced_accuracy, found.log_loss, found.auroc) == (
        0.75,
        0.5,
        pytest.approx(entropy),
        0.5,
    )


def test_states_without_a_row_are_nan() -> None:
    found = score_states(np.empty((0, 2)), np.empty(0, dtype=np.int64))
    assert np.isnan([found.accuracy, found.balanced_accuracy, found.log_loss, found.auroc]).all()


def test_the_worst_ahead_is_that_of_the_entitys_next_rows_once_they_all_came() -> None:
    nan = np.nan
    entity = np.array([0, 1, 0, 0, 1, 0, 1, 0])
    score = np.array([9.0, nan, 2.0, nan, nan, 5.0, nan, 1.0])
    # entity 0 shows 9 2 - 5 1, entity 1 nothing
    np.testing.assert_array_equal(worst_ahead(score, entity, 2), [2.0, nan, 5.0, 5.0, nan, nan, nan, nan])
    np.testing.assert_array_equal(worst_ahead(score, entity, 20), [nan] * 8)


def test_the_class_that_came_is_the_one_that_the_network_is_taught() -> None:
    layout = ward.layout({"inject_rate": 0.0})
    (task,), length = layout.states, layout.monitor.training.window
    random = np.random.default_rng(6)
    rules = np.where(random.random(length + 4) < 0.5, np.nan, random.exponential(1.5, length + 4))[:, None]
    values, minutes = random.normal(50, 1, (length + 4, len(layout.signals))), np.arange(length + 4) * 60_000
    lesson = lesson_of([Window(0, values, minutes, rules, ward.TOPIC, (0, length))], layout, random)
    taught = lesson.targets.classes[0][lesson.rows.real_N].numpy()
    worst = worst_ahead(rules[:, 0], np.zeros(length + 4, dtype=np.int64), task.target.within)
    assert classes_of(worst, task.target.cuts)[:length].tolist() == taught.tolist()


def test_a_class_is_how_many_cuts_a_score_reaches() -> None:
    assert classes_of(np.array([4.9, 5.0, 7.0, -np.inf, np.nan]), (5.0, 7.0)).tolist() == [0, 1, 2, 0, -1]


def _vus_pr_by_definition(score: np.ndarray, label: np.ndarray, window: int) -> float:
    areas = []
    thresholds = np.sort(score)[::-1][np.linspace(0, len(score) - 1, 250).astype(int)]
    for width in range(window + 1):
        soft = np.array([_softness(row, label, width) for row in range(len(score))])
        recall, precision = [0.0], [1.0]
        runs = segments(soft)
        for threshold in thresholds:
            flagged = score >= threshold
            hit = soft[flagged].sum()
            touched = np.mean([flagged[first : last + 1].any() for first, last in runs])
            recall.append(min(hit / ((label.sum() + soft.sum()) / 2.0), 1.0) * touched)
            precision.append(hit / flagged.sum())
        areas.append(sum((recall[i + 1] - recall[i]) * (precision[i + 1] + precision[i]) / 2.0 for i in range(250)))
    return float(np.mean(areas))


def _softness(row: int, label: np.ndarray, width: int) -> float:
    if label[row]:
        return 1.0
    near = [max(first - row, row - last) for first, last in segments(label)]
    return min(1.0, sum(np.sqrt(1.0 - distance / width) for distance in near if 0 < distance <= width // 2))


def test_a_duration_is_held_against_the_newest_value_within_it() -> None:
    minute = np.array([0, 5, 6, 20, 21]) * 60_000
    values = np.array([[1.0], [2.0], [np.nan], [4.0], [5.0]])
    came = outcomes(values, np.zeros(5, dtype=np.int64), minute, [timedelta(minutes=6)])
    np.testing.assert_array_equal(came[:, 0, 0], [2.0, np.nan, np.nan, np.nan, np.nan])
    longer = outcomes(values, np.zeros(5, dtype=np.int64), minute, [timedelta(minutes=15)])
    np.testing.assert_array_equal(longer[:, 0, 0], [2.0, 4.0, 5.0, np.nan, np.nan])


def test_an_ewma_z_score_is_of_the_rows_before_of_the_same_entity_and_its_strangest_signal() -> None:
    entity = np.array([0, 1, 0, 0, 1, 0, 0])
    value = np.array([[1.0, 5.0], [9.0, 9.0], [3.0, 5.0], [np.nan, 5.0], [9.0, np.nan], [6.0, 7.0], [2.0, np.nan]])
    weight = (1 - 2 / 101) ** np.arange(3)[::-1]
    mean = np.average([1.0, 3.0], weights=weight[1:])
    first = abs(6.0 - mean) / np.sqrt(np.average((np.array([1.0, 3.0]) - mean) ** 2, weights=weight[1:]))
    mean = np.average([1.0, 3.0, 6.0], weights=weight)
    last = abs(2.0 - mean) / np.sqrt(np.average((np.array([1.0, 3.0, 6.0]) - mean) ** 2, weights=weight))
    # Signal 1 had never varied when it leapt to 7; row 3 has nothing to be strange by; entity 1 never varies.
    assert ewma_z(value, entity) == pytest.approx([0.0, 0.0, 0.0, 0.0, 0.0, first, last])
