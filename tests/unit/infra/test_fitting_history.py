"""Files as history: outcomes must be of somebody whom the files hold, and no column is left out unsaid."""

from pathlib import Path

import pytest

from infra.fitting.options import FitOptions
from infra.fitting.read import layout_of, read_history
from schemas.errors import InputError
from tests.wide import wide

MONITOR = """\
monitor: pumps
topics: {observations: pumps.raw}
modalities: [{name: motor, signals: [{name: temp}]}]
tasks: [{name: forecast, kind: forecast}, {name: anomaly, kind: anomaly}]
"""


@pytest.mark.parametrize(("entities", "refused"), [(["nobody"], True), (["nobody", "a"], False)])
def test_outcomes_of_nobody_are_refused_and_those_of_some_are_taken(
    tmp_path: Path, entities: list[str], refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, told = tmp_path / "a.csv", tmp_path / "outcomes.csv"
    wide(11)[:200].assign(entity="a").to_csv(rows, index=False)
    lines = [f"{entity},fails,1,2026-02-01T00:00:00Z" for entity in entities]
    told.write_text("\n".join(["entity,task,label,revealed_at", *lines]))
    (tmp_path / "m.yaml").write_text(MONITOR)
    layout, outcomes = layout_of(FitOptions(str(tmp_path / "m.yaml"), (rows,), outcomes=told))
    if refused:
        with pytest.raises(InputError, match="outcomes: got 1 entities; expected some of the 1 in the files"):
            read_history((rows,), layout, outcomes, 0)
    else:
        assert read_history((rows,), layout, outcomes, 0).learned
        assert "nobody" not in capsys.readouterr().out


def test_columns_that_are_no_signals_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "a.csv"
    wide(11)[:200].assign(entity="a", tmep=1.0).to_csv(rows, index=False)
    (tmp_path / "m.yaml").write_text(MONITOR)
    layout, outcomes = layout_of(FitOptions(str(tmp_path / "m.yaml"), (rows,)))
    read_history((rows,), layout, outcomes, 0)
    said = capsys.readouterr().out
    assert "columns left out" in said
    assert "tmep" in said
    assert "not a signal of pumps" in said
