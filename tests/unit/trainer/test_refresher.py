"""A burst of adapters every so many labels."""

from schemas.components import DriftSettings
from trainer.refresher import Refresher, refresher_of

SETTINGS = DriftSettings(adapt_every=10, burst_steps=3)


def refreshed(labels, resting=None):
    refresher = Refresher(SETTINGS)
    told = []
    for each, calm in zip(labels, resting or [True] * len(labels), strict=True):
        kinds = [action.kind for action in refresher.count(each, resting=calm)]
        told.append((kinds, refresher.bursting))
    return told


def test_a_burst_starts_once_so_many_labels_were_taught_and_ends_after_its_steps():
    calm, burst, goes_on = ([], False), (["burst"], True), ([], True)
    assert refreshed([4, 4, 4, 0, 0, 0, 0]) == [calm, calm, burst, goes_on, goes_on, calm, calm]


def test_a_burst_waits_while_something_else_is_done_about_drift():
    calm, burst = ([], False), (["burst"], True)
    assert refreshed([12, 0, 0], [False, False, True]) == [calm, calm, burst]


def test_one_that_goes_on_where_another_stood_bursts_at_the_same_step():
    one, other = Refresher(SETTINGS), Refresher(SETTINGS)
    one.count(9, resting=True)
    other.load_state_dict(one.state_dict())
    assert other.count(1, resting=True) == one.count(1, resting=True) != []


def test_without_a_number_of_labels_there_is_no_refresher():
    assert refresher_of(DriftSettings()) is None
