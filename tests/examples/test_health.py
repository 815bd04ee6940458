"""A ward, whole: vitals at irregular times, some never measured, to forecasts, states, and warnings beside NEWS2's.

Real ICU stays where they lie beside the checkout; and generated ones, everywhere.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from infra.backtest.options import Options
from infra.backtest.run import Backtested, backtest
from infra.feeds.physiology import VITALS, generate
from tests.converters import icu

STAYS = 40
VITAL_SIGNS = ("HR", "SysABP", "SaO2")


@pytest.fixture(scope="module", params=["real", "generated"])
def ward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backtested:
    """A backtest of the shipped monitor, every fourth patient without any breathing or oxygen measured."""
    folder = tmp_path_factory.mktemp("ward")
    if request.param == "real":
        frame = pd.read_parquet(icu.convert(request.getfixturevalue("shared_data"), folder, stays=STAYS))
    else:
        frame = generated()
    unmeasured = pd.factorize(frame["entity"])[0] % 4 == 0
    frame.loc[unmeasured, [name for name in ("RespRate", "SaO2", "FiO2") if name in frame]] = np.nan
    path = folder / "ward.parquet"
    frame.to_parquet(path, index=False)
    return backtest(Options("health", (path,)))


def generated() -> pd.DataFrame:
    """Stays of the physiological generator as a wide table."""
    parts = [
        pd.DataFrame(stay.values, columns=list(VITALS)).assign(entity=stay.entity, time=stay.time_ms)
        for stay in generate(patients=STAYS, hours=48.0, seed=0)
    ]
    return pd.concat(parts, ignore_index=True)


def deterioration(ward: Backtested) -> dict[str, Any]:
    return ward.report["tasks"]["deterioration"]


def test_every_row_has_a_forecast_and_probabilities_whatever_was_not_measured(ward: Backtested) -> None:
    frame = ward.table.frame()
    frame = frame[frame["status"] == "ok"]
    chances = frame[[f"state.deterioration.{name}" for name in ("stable", "watch", "critical")]]
    np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-5)
    measured = [ward.table.layout.index[name] for name in VITAL_SIGNS]
    ahead = ward.table.forecast[:, measured, 0]
    seen = ~np.isnan(ward.table.values[:, measured])
    assert np.isfinite(ahead[seen]).all()
    assert (np.diff(ahead[seen], axis=-1) >= 0).all()


def test_patients_are_ranked_by_what_is_coming(ward: Backtested) -> None:
    assert deterioration(ward)["auroc"] > ward.report["baselines"]["base_rate"]["deterioration"]["auroc"] + 0.1


def test_warnings_stand_beside_those_of_news2(ward: Backtested) -> None:
    ours = deterioration(ward)["warnings"]
    news2 = ward.report["baselines"]["rule"]["deterioration"]["warnings"]
    assert ours["events"] == news2["events"] > 0
    assert ours["alarms"] == ours["foretelling"] + ours["late"] + ours["false"]
    assert (ours["false_per_entity_day"] is not None, news2["alarms"] > 0) == (True, True)


def test_a_lead_time_is_positive_and_within_the_horizon(ward: Backtested) -> None:
    lead = deterioration(ward)["warnings"]["lead_rows"]
    assert all(1 <= rows <= 6 for rows in lead.values() if rows is not None)
    assert (deterioration(ward)["warnings"]["caught"] == 0) == (lead["q0.5"] is None)
