import numpy as np

from trainer.gate import TOLERANCE, Gate


def gate_of(difference, windows=100, noise=0.0, seed=0):
    """A gate that saw `windows` pairs with these mean differences per task."""
    gate = Gate(len(difference), windows)
    serving = np.ones((windows, len(difference)))
    wobble = np.random.default_rng(seed).normal(size=serving.shape) * noise
    gate.add(serving + np.array(difference) + wobble, serving)
    return gate


def test_better_on_one_task_and_level_on_the_others_is_proof():
    assert gate_of([-0.1, 0.0, 0.0]).verdict().proved


def test_worse_on_one_task_is_none_however_much_better_the_others_are():
    assert not gate_of([-5.0, -5.0, 3 * TOLERANCE]).verdict().proved


def test_level_everywhere_is_none():
    assert not gate_of([0.0, 0.0]).verdict().proved


def test_a_gain_within_its_own_noise_is_none():
    assert not gate_of([-0.01, -0.01], noise=1.0, seed=1).verdict().proved


def test_a_task_that_was_never_judged_has_no_say():
    assert gate_of([-0.1, np.nan]).verdict().proved


def test_a_verdict_wants_enough_windows():
    gate = Gate(1, 10)
    gate.add(np.zeros((9, 1)), np.ones((9, 1)))
    assert not gate.ready()
    gate.add(np.zeros((1, 1)), np.ones((1, 1)))
    assert gate.ready()


def test_only_the_last_windows_count():
    gate = Gate(1, 10)
    gate.add(np.zeros((10, 1)), np.ones((10, 1)))
    gate.add(np.full((10, 1), 2.0), np.ones((10, 1)))
    assert gate.verdict().difference_K.tolist() == [1.0]


def test_a_cleared_gate_starts_over():
    gate = gate_of([-0.1])
    gate.clear()
    assert (gate.ready(), gate.verdict().proved) == (False, False)


def test_how_long_it_waits_is_counted_from_where_it_began_and_goes_on_elsewhere():
    gate, other = gate_of([0.0], windows=40), Gate(1, 40)
    gate.add(np.zeros((5, 1)), np.zeros((5, 1)))
    other.load_state_dict(gate.state_dict())
    assert other.waited == gate.waited == 45
    gate.clear()
    assert gate.waited == 0
