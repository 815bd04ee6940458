"""Backtests that learn: nothing knows the future, labels and outcomes teach once they are revealed."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from infra.backtest.options import Options
from infra.backtest.run import backtest
from tests.wide import ROWS, wide

CHANGED_FROM = 2000


def scores(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    frame.to_csv(path, index=False)
    return backtest(Options(None, (path,))).table.frame()


def test_replacing_the_future_changes_no_earlier_output(tmp_path: Path) -> None:
    seen, spoilt = scores(tmp_path / "a.csv", wide(1)), scores(tmp_path / "b.csv", wide(1, CHANGED_FROM))
    pd.testing.assert_frame_equal(seen[:CHANGED_FROM], spoilt[:CHANGED_FROM], check_exact=True)


def test_labels_teach_the_head_and_never_before_they_are_revealed(tmp_path: Path) -> None:
    on = np.arange(ROWS) % 40 < 12  # a level like any other, that nothing but a label could call wrong
    noise = np.random.default_rng(1).normal(0, 0.1, ROWS)
    frame = wide(5).assign(label=on.astype(int), temp=np.where(on, 1.0, 0.0) + noise)
    path = tmp_path / "a.csv"
    frame.to_csv(path, index=False)
    taught, untaught, late = (
        backtest(Options(None, (path,), labels=labels, label_delay=delay, score_from=ROWS // 2))
        for labels, delay in (("online", 2), ("none", 0), ("online", timedelta(days=9)))
    )
    assert taught.report["learning"]["labels"] == ROWS - 4
    heads = [each.report["tasks"]["anomaly"]["head"]["auroc"] for each in (taught, untaught)]
    assert heads[0] > heads[1] + 0.05
    assert late.report["learning"]["labels"] == 0
    pd.testing.assert_frame_equal(late.table.frame(), untaught.table.frame(), check_exact=True)


def test_outcomes_make_an_event_task_whose_probability_learns(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    sick = rng.random(400) < 0.4
    rows = [
        {"entity": f"p{p}", "time": 1_700_000_000_000 + (p * 4 + k) * 60_000, "x": rng.normal(8 if sick[p] else 0)}
        for p in range(400)
        for k in range(4)
    ]
    path, outcomes = tmp_path / "a.csv", tmp_path / "outcomes.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    told = {"entity": [f"p{p}" for p in range(400)], "task": "death", "label": sick.astype(int)}
    told["revealed_at"] = [1_700_000_000_000 + (p * 4 + 6) * 60_000 for p in range(400)]
    pd.DataFrame(told).to_csv(outcomes, index=False)
    done = backtest(Options(None, (path,), outcomes=outcomes))
    event = done.report["tasks"]["death"]
    assert event["entities"] == 400
    assert event["last"]["auroc"] > 0.7
    assert done.table.frame()["event.death"].between(0, 1).all()
