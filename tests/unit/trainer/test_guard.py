import math

import pytest

from schemas.components import TrainingSettings
from trainer.guard import Guard


def guard_of(**settings):
    return Guard(TrainingSettings(**settings))


@pytest.mark.parametrize(("loss", "norm"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_what_is_not_finite_is_refused_from_the_first_step(loss, norm):
    assert "not finite" in (guard_of().refuse({"forecast": loss}, norm) or "")


def test_a_norm_far_above_the_running_one_is_refused():
    guard = guard_of(refuse_above=10.0)
    assert [guard.refuse({"forecast": 1.0}, 1.0) for _ in range(10)] == [None] * 10
    assert guard.refuse({"forecast": 1.0}, 10.5) == "gradient norm above 10 times the running one"
    assert guard.refuse({"forecast": 1.0}, 9.5) is None


def test_refused_norms_do_not_raise_the_running_one():
    guard = guard_of(refuse_above=10.0)
    for _ in range(20):
        guard.refuse({"forecast": 1.0}, 1.0)
    assert all(guard.refuse({"forecast": 1.0}, 1e6) for _ in range(100))


def test_steep_gradients_that_do_not_end_are_the_new_stream():
    guard = Guard(TrainingSettings())
    assert [guard.refuse({"a": 1.0}, 0.001) for _ in range(20)] == [None] * 20
    refused = [guard.refuse({"a": 1.0}, 0.2) is not None for _ in range(150)]
    assert refused == [True] * 101 + [False] * 49


def test_before_there_is_a_running_norm_large_ones_pass():
    assert guard_of(refuse_above=10.0).refuse({"forecast": 1.0}, 1e6) is None


def verdicts(losses, **settings):
    """Of each loss after ten of about 1: was it refused?"""
    guard = guard_of(**settings)
    told = [guard.refuse({"forecast": loss}, 1.0) is not None for loss in [0.9, 1.1] * 5 + losses]
    return told[10:], guard.gave_way


def test_a_spike_is_refused_and_a_loss_within_the_usual_is_not():
    assert verdicts([50.0, 1.2, 50.0]) == ([True, False, True], False)


def test_spikes_that_do_not_end_are_the_new_stream():
    assert verdicts([50.0] * 5, refuse_in_a_row=3) == ([True] * 3 + [False] * 2, False)


def test_that_it_gave_way_is_known_of_the_step_itself_alone():
    assert verdicts([50.0] * 4, refuse_in_a_row=3) == ([True] * 3 + [False], True)


def test_losses_of_other_tasks_are_no_measure():
    guard = guard_of()
    for _ in range(20):
        guard.refuse({"forecast": 1.0}, 1.0)
    both = {"forecast": 1.0, "death": 50.0}
    assert (guard.refuse(both, 1.0), guard.refuse({"forecast": 50.0}, 1.0) is None) == (None, False)


def test_a_task_that_a_step_does_not_judge_takes_no_measure_away():
    guard = guard_of()
    for _ in range(20):
        guard.refuse({"forecast": 1.0, "anomaly": 1.0}, 1.0)
    assert guard.refuse({"forecast": 50.0}, 1.0) == "loss 50: a spike above the running 1"


def test_one_that_goes_on_where_another_stood_refuses_the_same():
    one, other = guard_of(), guard_of()
    for loss in [0.9, 1.1] * 6 + [50.0] * 2:
        one.refuse({"forecast": loss}, 1.0)
    other.load_state_dict(one.state_dict())
    assert [other.refuse({"forecast": 50.0}, 1.0) for _ in range(3)] == [
        one.refuse({"forecast": 50.0}, 1.0) for _ in range(3)
    ]


@pytest.mark.parametrize(
    ("losses", "norms", "passes_after"), [((1.0, 50.0), (1.0, 1.0), 3), ((1.0, 1.0), (1.0, 50.0), 101)]
)
def test_steps_of_labels_between_calm_ones_are_refused_no_longer_than_steps_that_follow_each_other(
    losses, norms, passes_after
):
    guard = guard_of(refuse_in_a_row=3, refuse_above=10.0)
    for _ in range(20):
        guard.refuse({"forecast": 1.0}, 1.0)
        guard.refuse({"death": 1.0}, 1.0)
    refused = []
    for _ in range(passes_after + 1):
        assert guard.refuse({"forecast": losses[0]}, norms[0]) is None
        refused.append(guard.refuse({"death": losses[1]}, norms[1]) is not None)
    assert refused == [True] * passes_after + [False]


def test_what_is_remembered_goes_on_elsewhere_and_counts_of_all_steps_together_begin_anew():
    guard, other = guard_of(refuse_in_a_row=3), guard_of(refuse_in_a_row=3)
    for loss in [1.0] * 10 + [50.0] * 2:
        guard.refuse({"death": loss}, 1.0)
    other.load_state_dict(guard.state_dict())
    assert [other.refuse({"death": 50.0}, 1.0) is not None for _ in range(2)] == [True, False]
    other.load_state_dict(guard.state_dict() | {"spikes": 2, "steep": 0})
    assert [other.refuse({"death": 50.0}, 1.0) is not None for _ in range(4)] == [True] * 3 + [False]
