"""Intensive-care stays as benchmarks judge them: earlier ones fitted on, later ones streamed, boosted trees beside.

Probabilities are those of each stay's last row until so many hours after its first. Errors and intervals are of a
bootstrap over stays.
"""

import json
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier

from infra.backtest.options import Options
from infra.backtest.run import Backtested, backtest
from infra.commands.train import train
from infra.fitting.read import Reader
from infra.logs import configure
from infra.metrics.anomaly import auroc
from infra.settings import load_monitor
from infra.terminal import console
from ingest.files import FileSource
from schemas.layout import Layout
from tests.bench.quality.table import Measured, show
from tests.bench.shared import shared_data
from trainer.history import streams_of
from trainer.rows import pack
from trainer.statistics import Statistics

HOURS = (6, 12, 24, 48)
STAYS = 4000
"""In set-a."""
_DRAWS = 1000
Probabilities = Mapping[int, pd.Series]
"""Hours since a stay's first row -> probability of a yes, by entity."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is fitted, and on what.

    Attributes:
        model: weights of an earlier `bellwether train`, instead of a fit.
        passes: of the fit; None: the monitor's.
        folds: judge every stay, by so many fits, each on the others; None: the last stays, by one fit on the first.
        stays: the first so many.
    """

    model: Path | None = None
    passes: int | None = None
    folds: int | None = None
    stays: int = STAYS


def command_line(
    prog: str, description: str | None, measure: Callable[[Asked, Path, Path], Measured], *, folds: bool = False
) -> None:
    """A benchmark's: measure in a folder, given the data sets, print. With `folds` it offers to judge every stay."""
    parser = ArgumentParser(prog=prog, description=description)
    parser.add_argument("--model", type=Path, help="weights of an earlier `bellwether train`, instead of a fit")
    if folds:
        parser.add_argument("--folds", type=int, help="judge every stay, by so many fits, each on the others")
    parser.add_argument("--passes", type=int, help="of that fit. Default: the monitor's fitting.epochs")
    parser.add_argument("--keep", type=Path, help="folder for the split, the checkpoints and the weights")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = vars(parser.parse_args())
    keep, as_json = arguments.pop("keep"), arguments.pop("json")
    configure(verbose=False)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="bellwether-stays-") as temporary:
        folder = keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(Asked(**arguments), shared_data(), folder)
    show(console(stderr=as_json), found)
    if as_json:
        print(json.dumps({**found.figures, "spread": found.spread}))


def split(
    file: Path, outcomes: Callable[[Path, Path, Path], Path], learned: Callable[[int], bool], shared: Path, folder: Path
) -> None:
    """Write learned.parquet, judged.parquet, and the outcomes of each.

    Args:
        file: the stays' rows.
        outcomes: writes what became of them.
        learned: is the stay of that place, by record number, learned from?
        shared: the data sets.
        folder: of all files.
    """
    rows = pd.read_parquet(file)
    told = pd.read_csv(outcomes(shared, folder, file), dtype={"entity": str})
    first = {stay for place, stay in enumerate(sorted(rows.entity.unique(), key=int)) if learned(place)}
    for name, of in (("learned", True), ("judged", False)):
        rows[rows.entity.isin(first) == of].to_parquet(folder / f"{name}.parquet", index=False)
        told[told.entity.isin(first) == of].to_csv(folder / f"{name}.csv", index=False)


def fitted(monitor: str, folder: Path, asked: Asked) -> Path:
    """`bellwether train`, unless weights were given; those that it would publish."""
    if asked.model is not None:
        return asked.model
    weights = folder / "fitted.safetensors"
    arguments = [monitor, "--input", folder / "learned.parquet", "--outcomes", folder / "learned.csv"]
    arguments += ["--directory", folder / "fit", "--output", weights]
    arguments += ["--passes", asked.passes] if asked.passes else []
    train([str(each) for each in arguments], standalone_mode=False)
    return weights


def streamed(monitor: str, folder: Path, weights: Path) -> Backtested:
    """`bellwether backtest --no-learn` on the stays that are judged."""
    judged = (folder / "judged.parquet",)
    return backtest(Options(monitor, judged, learn=False, model=str(weights), outcomes=folder / "judged.csv"))


def after_hours(scores: pd.DataFrame, task: str) -> Probabilities:
    """What a backtest's scores say of an event task."""
    ok = scores[scores.status == "ok"].sort_values("time", kind="stable")
    since = (ok.time - ok.groupby("entity").time.transform("min")) / pd.Timedelta(hours=1)
    return {hours: ok[since <= hours].groupby("entity")[f"event.{task}"].last() for hours in HOURS}


def answers(file: Path, task: str) -> pd.Series:
    """0 or 1 by entity, of those of whom it is known."""
    told = pd.read_csv(file, dtype={"entity": str})
    return told[told.task == task].set_index("entity").label.dropna()


def boosted(learned: Mapping[int, pd.DataFrame], judged: Mapping[int, pd.DataFrame], truth: pd.Series) -> Probabilities:
    """Histogram gradient boosting, its settings fixed beforehand, one fit an hour.

    Args:
        learned: `features` of the stays that are learned from.
        judged: of those that are judged.
        truth: of the former.
    """
    found = {}
    for hours in HOURS:
        rows = learned[hours][learned[hours].index.isin(truth.index)]
        trees = HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=8, l2_regularization=1.0, random_state=0
        )
        trees.fit(rows, truth[rows.index] > 0)
        found[hours] = pd.Series(trees.predict_proba(judged[hours])[:, 1], judged[hours].index)
    return found


def features(monitor: str, file: Path) -> dict[int, pd.DataFrame]:
    """Hours -> the running statistics of each stay's last row until then, a row a stay."""
    layout = Layout(load_monitor(monitor))
    source = FileSource([file], layout, 65_536)
    batches = (batch for batch in source.batches(Reader()) if batch is not None)
    streams = streams_of(batches, layout, {}, [])
    statistics = Statistics(layout)
    found = {}
    for hours in HOURS:
        seen = [stream.time_ms <= stream.time_ms[0] + hours * 3_600_000 for stream in streams.values()]
        values = [stream.values[rows] for stream, rows in zip(streams.values(), seen, strict=True)]
        time_ms = [stream.time_ms[rows] for stream, rows in zip(streams.values(), seen, strict=True)]
        entity = np.repeat(np.arange(len(values)), [len(each) for each in values])
        rows, _, place = pack(entity, np.concatenate(values), np.concatenate(time_ms), layout)
        observed = statistics.observe(statistics.initial(rows.waves[0]), rows)
        planes = [observed.last_NS, observed.level_NS, observed.low_NS, observed.high_NS, observed.spread_NS]
        planes += [*observed.features_GNS, observed.count_NS]
        final = torch.cat([plane[rows.final_E[: len(values)]].double() for plane in planes], 1).numpy()
        final = np.where(np.isfinite(final), final, np.nan)
        found[hours] = pd.DataFrame(final, index=np.array([*streams])[place[: len(values)]]).sort_index()
    return found


def compared(name: str, ours: pd.Series, trees: pd.Series, truth: pd.Series) -> Measured:
    """`<name>.<metric>` of the network, of the trees, and of the mean of their log odds.

    `auroc` with its standard error; `less_boosting_low` and `less_boosting_high`, the 95 % interval of what it is
    above the trees'; `event1`, of the challenge.
    """
    entities = ours.index.intersection(trees.index).intersection(truth.index)
    yes = truth[entities].to_numpy() > 0
    scores = {"bellwether": ours[entities].to_numpy(np.float64), "boosting": trees[entities].to_numpy(np.float64)}
    scores["mean of both"] = (_odds(scores["bellwether"]) + _odds(scores["boosting"])) / 2.0
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(yes), len(yes)) for _ in range(_DRAWS)]  # one without a yes has no AUROC
    auroc_D = {system: np.array([auroc(score[rows], yes[rows]) for rows in drawn]) for system, score in scores.items()}
    figures = {f"{name}.auroc": {system: auroc(score, yes) for system, score in scores.items()}}
    for end, share in (("low", 0.025), ("high", 0.975)):
        figures[f"{name}.less_boosting_{end}"] = {
            system: float(np.nanquantile(auroc_D[system] - auroc_D["boosting"], share))
            for system in ("bellwether", "mean of both")
        }
    figures[f"{name}.event1"] = {system: _event1(score, yes) for system, score in scores.items()}
    figures |= {f"{name}.stays": {"truth": len(yes)}, f"{name}.yes": {"truth": int(yes.sum())}}
    errors = {system: float(np.nanstd(each, ddof=1)) for system, each in auroc_D.items()}
    return Measured(figures, {f"{name}.auroc": errors})


def _event1(score: np.ndarray, yes: np.ndarray) -> float:
    """The highest min(sensitivity, positive predictivity) of any threshold: Silva et al. (2012), event 1."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # a threshold never parts equals
    found, told = np.cumsum(yes[order])[last], np.arange(1, len(yes) + 1)[last]
    return float(np.minimum(found / yes.sum(), found / told).max())


def _odds(probability: np.ndarray) -> np.ndarray:
    clipped = probability.clip(1e-6, 1.0 - 1e-6)
    return np.log(clipped / (1.0 - clipped))
