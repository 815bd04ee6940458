import pytest

from infra.fitting.read import share_of_events
from infra.settings import load_monitor
from schemas.monitor import Share


@pytest.mark.parametrize(
    ("monitor", "changed", "share"),
    [
        ("health", {}, Share.NEVER),
        ("health", {"model.private": 0}, Share.AUTO),
        ("surveillance", {}, Share.AUTO),
    ],
    ids=["private paths", "none", "frames that they do not read"],
)
def test_a_fit_answers_outcomes_privately_where_private_paths_read_all_there_is(monitor, changed, share):
    assert share_of_events(load_monitor(monitor, {}, changed)) is share
