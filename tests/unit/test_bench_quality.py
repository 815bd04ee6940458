"""The quality benchmark's table, by hand: aims, means over seeds, and runs that are not measured twice."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench.quality.aim import Aim, aims_of
from tests.bench.quality.part import Part, Runs
from tests.bench.quality.table import Measured, against_aims, pooled, show

SYSTEMS = {"bellwether": 0.4, "twins": 0.5}


@pytest.mark.parametrize(
    ("aim", "reached"),
    [
        (Aim(least=0.4), True),
        (Aim(least=0.41), False),
        (Aim(most=0.4), True),
        (Aim(most="twins"), True),
        (Aim(least="twins"), False),
        (Aim(least=0.3, most=0.5), True),
        (Aim(least=0.3, most=0.39), False),
    ],
)
def test_an_aim_is_a_bound_or_another_system(aim: Aim, reached: bool) -> None:
    assert aim.reached(SYSTEMS) == reached


def test_what_could_not_be_measured_misses_its_aim() -> None:
    assert not Aim(most=1.0).reached({"bellwether": float("nan")})


def test_of_the_patterns_that_fit_a_metric_the_first_counts() -> None:
    patterns = {"SPX.tail": Aim(least=0.849), "*.tail": Aim(least="average")}
    found = aims_of(patterns, "markets", ["markets.WTI.tail", "markets.SPX.tail", "markets.SPX.close"])
    assert found == {"markets.WTI.tail": Aim(least="average"), "markets.SPX.tail": Aim(least=0.849)}


def test_an_aim_of_no_figure_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"nab: no figure has the aims auroc; there are nab\.auprc"):
        aims_of({"auroc": Aim(least=0.5)}, "nab", ["nab.auprc"])


def test_runs_become_means_and_deviations_and_a_single_one_keeps_its_own_error() -> None:
    runs = [Measured({"nab.auprc": {"bellwether": value}}, {"nab.auprc": {"bellwether": 9.0}}) for value in (0.2, 0.4)]
    both = pooled(runs)
    assert both.figures["nab.auprc"]["bellwether"] == pytest.approx(0.3)
    assert both.spread["nab.auprc"]["bellwether"] == pytest.approx(0.2 / 2**0.5)
    assert pooled(runs[:1]) == runs[0]


def test_what_one_run_lacks_has_no_mean() -> None:
    runs = [Measured({"warnings.lead": systems}) for systems in ({"bellwether": 1.0, "rule": 2.0}, {"bellwether": 3.0})]
    assert pooled(runs).figures == {"warnings.lead": {"bellwether": 2.0}}


def test_a_run_whose_file_is_there_is_not_measured_again_and_a_quick_one_is_no_full_one(tmp_path: Path) -> None:
    asked = []

    def measure(shared: Path, folder: Path, seed: int, *, quick: bool) -> Measured:
        assert not list(folder.iterdir())
        asked.append((seed, quick))
        return Measured({"made_up.loss": {"bellwether": float(seed)}}, {"made_up.loss": {"bellwether": 0.1}})

    part = Part(measure, minutes=1, aims={})
    quick, full = (Runs(tmp_path, tmp_path, quick=each) for each in (True, False))
    assert [full.of("made_up", part, seed) for seed in (0, 1)] == [full.of("made_up", part, seed) for seed in (0, 1)]
    assert (full.missing("made_up", part, 3), quick.missing("made_up", part, 3)) == ([2], [0, 1, 2])
    quick.of("made_up", part, 0)
    assert asked == [(0, False), (1, False), (0, True)]
    assert json.loads((tmp_path / "made_up-1.json").read_text())["figures"] == {"made_up.loss": {"bellwether": 1.0}}


def test_a_part_that_says_why_is_run_once() -> None:
    several, once = (Part(lambda *_, **__: Measured({}), 1, {}, once=why) for why in ("", "three folds"))
    assert (several.runs(3), several.said(3)) == (3, "3 runs, a seed each")
    assert (once.runs(3), once.said(3)) == (1, "1 run, three folds")


def test_tables_say_which_aims_are_reached() -> None:
    figures = {"nab.auprc": {"bellwether": 0.33, "random": 0.09}, "nab.standard": {"bellwether": 70.5, "random": 4.9}}
    measured = Measured(figures | {"nab.alerts": {"bellwether": 1234.0}}, {"nab.standard": {"bellwether": 0.25}})
    aims = {"nab.auprc": Aim(least=0.4), "nab.standard": Aim(least=70)}
    console = Console(width=120, record=True, file=io.StringIO())
    show(console, measured, aims)
    part = console.export_text()
    console.print(against_aims(measured, aims))
    lines = [line.split("|")[1:-1] for line in console.export_text().splitlines() if line.startswith("|")]
    assert [[cell.strip() for cell in line] for line in lines[2:]] == [
        ["nab.auprc", "0.33", ">= 0.4", "MISSED", "random 0.09"],
        ["nab.standard", "70.5 ± 0.25", ">= 70", "reached", "random 4.9"],
    ]
    assert [word in part for word in ("1,234", "70.5 ± 0.25", "MISSED", ">= 0.4")] == [True] * 4
