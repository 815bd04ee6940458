"""Intensive-care stays as benchmarks judge them: earlier ones fitted on, later ones streamed, boosted trees beside.

Probabilities are those of each stay's last row until so many hours after its first. Errors and intervals are of a
bootstrap over stays.
"""

import json
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingClassifier

from infra.backtest.options import Options
from infra.backtest.run import Backtested, backtest
from infra.commands.train import train
from infra.fitting.read import Reader
from infra.logs import configure
from infra.metrics.anomaly import auroc
from infra.settings import load_monitor
from ingest.files import FileSource
from schemas.layout import Layout
from tests.bench.shared import shared_data
from trainer.history import streams_of
from trainer.rows import pack
from trainer.statistics import Statistics

HOURS = (6, 12, 24, 48)
_DRAWS = 1000
Probabilities = Mapping[int, pd.Series]
"""Hours since a stay's first row -> probability of a yes, by entity."""
Figures = Mapping[str, Mapping[str, float]]


def measured(
    prog: str,
    description: str | None,
    measure: Callable[[Namespace, Path], Figures],
    table: Callable[[Figures], Table],
    *,
    folds: bool = False,
) -> None:
    """A benchmark's command line: measure in a folder, print. With `folds` it offers to judge every stay."""
    parser = ArgumentParser(prog=prog, description=description)
    parser.add_argument("--model", type=Path, help="weights of an earlier `bellwether train`, instead of a fit")
    if folds:
        parser.add_argument("--folds", type=int, help="judge every stay, by so many fits, each on the others")
    parser.add_argument("--passes", type=int, help="of that fit. Default: the monitor's fitting.epochs")
    parser.add_argument("--keep", type=Path, help="folder for the split, the checkpoints and the weights")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="bellwether-stays-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = measure(arguments, folder)
    Console(stderr=arguments.json).print(table(found))
    if arguments.json:
        print(json.dumps(found))


def split(
    convert: Callable[[Path, Path], Path],
    outcomes: Callable[[Path, Path, Path], Path],
    learned: Callable[[int], bool],
    folder: Path,
) -> None:
    """Write learned.parquet, judged.parquet, and the outcomes of each.

    Args:
        convert: writes the stays' rows.
        outcomes: writes what became of them.
        learned: is the stay of that place, by record number, learned from?
        folder: of all files.
    """
    shared = shared_data()
    file = convert(shared, folder)
    rows = pd.read_parquet(file)
    told = pd.read_csv(outcomes(shared, folder, file), dtype={"entity": str})
    first = {stay for place, stay in enumerate(sorted(rows.entity.unique(), key=int)) if learned(place)}
    for name, of in (("learned", True), ("judged", False)):
        rows[rows.entity.isin(first) == of].to_parquet(folder / f"{name}.parquet", index=False)
        told[told.entity.isin(first) == of].to_csv(folder / f"{name}.csv", index=False)


def fitted(monitor: str, folder: Path, asked: Namespace) -> Path:
    """`bellwether train`, unless weights were given; those that it would publish."""
    if asked.model is not None:
        return Path(asked.model)
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


def compared(ours: pd.Series, trees: pd.Series, truth: pd.Series) -> dict[str, float]:
    """AUROC of each, and of the mean of their log odds; standard errors, and the interval of the difference."""
    entities = ours.index.intersection(trees.index).intersection(truth.index)
    yes = truth[entities].to_numpy() > 0
    network, boosting = ours[entities].to_numpy(dtype=np.float64), trees[entities].to_numpy(dtype=np.float64)
    mean = (_odds(network) + _odds(boosting)) / 2.0
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(yes), len(yes)) for _ in range(_DRAWS)]  # one without a yes has no AUROC
    pairs = np.array([[auroc(score[rows], yes[rows]) for score in (network, boosting, mean)] for rows in drawn])
    low, high = np.nanquantile(pairs[:, 0] - pairs[:, 1], [0.025, 0.975])
    found = {"stays": len(yes), "yes": int(yes.sum()), "less_boosting_low": low, "less_boosting_high": high}
    found |= {"event1": _event1(network, yes), "boosting_event1": _event1(boosting, yes)}
    for place, (name, score) in enumerate({"network": network, "boosting": boosting, "mean": mean}.items()):
        found |= {name: auroc(score, yes), f"{name}_error": float(np.nanstd(pairs[:, place], ddof=1))}
    return {name: float(value) for name, value in found.items()}


def _event1(score: np.ndarray, yes: np.ndarray) -> float:
    """The highest min(sensitivity, positive predictivity) of any threshold: Silva et al. (2012), event 1."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)  # a threshold never parts equals
    found, told = np.cumsum(yes[order])[last], np.arange(1, len(yes) + 1)[last]
    return float(np.minimum(found / yes.sum(), found / told).max())


def cells(found: Mapping[str, float]) -> list[str]:
    """Of a table's row: network, boosting, mean of both, difference."""
    shown = [f"{found[name]:.3f} ({found[f'{name}_error']:.3f})" for name in ("network", "boosting", "mean")]
    return [*shown, f"{found['less_boosting_low']:+.3f} to {found['less_boosting_high']:+.3f}"]


def _odds(probability: np.ndarray) -> np.ndarray:
    clipped = probability.clip(1e-6, 1.0 - 1e-6)
    return np.log(clipped / (1.0 - clipped))
