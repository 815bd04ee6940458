"""The stream-table join."""

import numpy as np

from schemas.layout import Layout
from schemas.monitor import Monitor
from schemas.observation import GlobalRow
from scorer.globals import GlobalTable

DAY_MS = 86_400_000
LAYOUT = Layout(
    Monitor.model_validate(
        {
            "monitor": "desk",
            "topics": {"observations": "bars", "globals": "macro"},
            "modalities": [
                {"name": "price", "signals": [{"name": "close"}]},
                {"name": "fear", "scope": "global", "max_age": "7d", "signals": [{"name": "vix"}]},
            ],
            "tasks": [{"name": "forecast", "kind": "forecast"}, {"name": "anomaly", "kind": "anomaly"}],
        }
    )
)


def test_a_global_value_counts_from_when_it_was_known_until_it_is_too_old():
    table = GlobalTable(LAYOUT)
    table.add(
        [GlobalRow(known_ms=10 * DAY_MS, signal=1, value=20.0), GlobalRow(known_ms=12 * DAY_MS, signal=1, value=30.0)]
    )
    days = np.array([9, 10, 11, 12, 19, 20])
    joined = table.join(days * DAY_MS, np.full((6, 2), np.nan))
    np.testing.assert_array_equal(joined[:, 1], [np.nan, 20.0, 20.0, 30.0, 30.0, np.nan])
