from pathlib import Path

import pytest

from infra.backtest.monitor import with_events
from infra.settings import load_monitor
from ingest.outcomes import Outcome
from schemas.monitor import Share, TaskKind

FOUND = Path("outcomes.csv")
DIED = Outcome("a", "death", value=True, revealed_ms=1)


@pytest.mark.parametrize(
    ("monitor", "changed", "share"),
    [
        ("health", {}, Share.NEVER),
        ("health", {"model.private": 0}, Share.AUTO),
        ("surveillance", {}, Share.AUTO),
    ],
    ids=["private paths", "none", "frames that they do not read"],
)
def test_an_outcome_is_answered_privately_where_private_paths_read_all_there_is(monitor, changed, share):
    *_, added = with_events(load_monitor(monitor, {}, changed), [DIED, DIED], FOUND).tasks
    assert (added.name, added.kind, added.weight, added.share) == ("death", TaskKind.EVENT, 0.2, share)
