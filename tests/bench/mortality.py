"""`python -m tests.bench.mortality`: in-hospital death foreseen from the stream, after a fit on earlier stays.

ICU 2012, set-a. The first 2,800 stays by record number are learned from (a fifth of them chooses the epoch), the other
1,200 are streamed through `backtest --no-learn`. Beside it gradient boosting on the same running statistics of the same
rows, one fit an hour, and the mean of both. Errors and intervals are of a bootstrap over stays.
"""

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table
from sklearn.ensemble import HistGradientBoostingClassifier

from infra.backtest.options import Options
from infra.backtest.run import backtest
from infra.commands.train import train
from infra.fitting.read import Reader
from infra.logs import configure
from infra.metrics.anomaly import auroc
from infra.settings import load_monitor
from ingest.files import FileSource
from schemas.layout import Layout
from tests.bench.shared import shared_data
from tests.converters import icu
from trainer.history import streams_of
from trainer.rows import pack
from trainer.statistics import Statistics

_HOURS = (6, 12, 24, 48)
_AIMS = (0.785, 0.81, 0.84, 0.86)
_LEARNED = 2800
_DRAWS = 1000
Probabilities = Mapping[int, pd.Series]
"""Hours since a stay's first row -> probability of death, by entity."""


def main() -> None:
    """Fit, stream, compare, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.mortality", description=__doc__)
    parser.add_argument("--model", type=Path, help="weights of an earlier `bellwether train`, instead of a fit")
    parser.add_argument("--keep", type=Path, help="folder for the split, the checkpoints and the weights")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    arguments = parser.parse_args()
    configure(verbose=False)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="bellwether-mortality-") as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        split(shared_data(), folder)
        model = arguments.model or _fit(folder)
        found = _compare(folder, model)
    Console(stderr=arguments.json).print(_table(found))
    if arguments.json:
        print(json.dumps(found))


def split(shared: Path, folder: Path) -> None:
    """Write learned.parquet, judged.parquet, and the outcomes of each."""
    file = icu.convert(shared, folder)
    rows = pd.read_parquet(file)
    told = pd.read_csv(icu.outcomes(shared, folder, file), dtype={"entity": str})
    learned = set(sorted(rows.entity.unique(), key=int)[:_LEARNED])
    for name, of in (("learned", True), ("judged", False)):
        rows[rows.entity.isin(learned) == of].to_parquet(folder / f"{name}.parquet", index=False)
        told[told.entity.isin(learned) == of].to_csv(folder / f"{name}.csv", index=False)


def _fit(folder: Path) -> Path:
    """`bellwether train health`; the weights of the epoch that was best for death on the validation part."""
    arguments = ["health", "--input", folder / "learned.parquet", "--outcomes", folder / "learned.csv"]
    arguments += ["--directory", folder / "fit", "--output", folder / "all.safetensors"]
    train([str(each) for each in arguments], standalone_mode=False)
    return folder / "fit" / "best-death.safetensors"


def _compare(folder: Path, model: Path) -> dict[str, dict[str, float]]:
    options = Options(
        "health", (folder / "judged.parquet",), learn=False, model=str(model), outcomes=folder / "judged.csv"
    )
    done = backtest(options)
    ours, trees = _streamed(done.table.frame()), _boosted(folder)
    died = pd.read_csv(folder / "judged.csv", dtype={"entity": str}).set_index("entity").label.dropna() > 0
    found = {f"{hours}h": _hour(ours[hours], trees[hours], died) for hours in _HOURS}
    found["mase_h1"] = done.report["tasks"]["forecast"]["raw"]["h1"]["mase_by_signal"]
    return found


def _streamed(scores: pd.DataFrame) -> Probabilities:
    ok = scores[scores.status == "ok"].sort_values("time", kind="stable")
    since = (ok.time - ok.groupby("entity").time.transform("min")) / pd.Timedelta(hours=1)
    return {hours: ok[since <= hours].groupby("entity")["event.death"].last() for hours in _HOURS}


def _boosted(folder: Path) -> Probabilities:
    """Histogram gradient boosting, its settings fixed beforehand, on the statistics that the network reads."""
    learned, judged = (_features(folder / f"{name}.parquet") for name in ("learned", "judged"))
    died = pd.read_csv(folder / "learned.csv", dtype={"entity": str}).set_index("entity").label
    found = {}
    for hours in _HOURS:
        truth = died.reindex(learned[hours].index)
        trees = HistGradientBoostingClassifier(
            learning_rate=0.05, max_iter=150, max_leaf_nodes=8, l2_regularization=1.0, random_state=0
        )
        trees.fit(learned[hours][truth.notna()], truth.dropna() > 0)
        found[hours] = pd.Series(trees.predict_proba(judged[hours])[:, 1], judged[hours].index)
    return found


def _features(file: Path) -> dict[int, pd.DataFrame]:
    """Hours -> the running statistics of each stay's last row until then, a row a stay."""
    layout = Layout(load_monitor("health"))
    source = FileSource([file], layout, 65_536)
    batches = (batch for batch in source.batches(Reader()) if batch is not None)
    streams = streams_of(batches, layout, {}, [])
    statistics = Statistics(layout)
    found = {}
    for hours in _HOURS:
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


def _hour(ours: pd.Series, trees: pd.Series, died: pd.Series) -> dict[str, float]:
    """AUROC of each, and of the mean of their log odds; standard errors, and the interval of the difference."""
    entities = ours.index.intersection(trees.index).intersection(died.index)
    truth = died[entities].to_numpy()
    network, boosted = ours[entities].to_numpy(dtype=np.float64), trees[entities].to_numpy(dtype=np.float64)
    mean = (_odds(network) + _odds(boosted)) / 2.0
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(truth), len(truth)) for _ in range(_DRAWS)]
    pairs = np.array([[auroc(score[rows], truth[rows]) for score in (network, boosted, mean)] for rows in drawn])
    low, high = np.quantile(pairs[:, 0] - pairs[:, 1], [0.025, 0.975])
    found = {"stays": len(truth), "deaths": int(truth.sum()), "less_boosting_low": low, "less_boosting_high": high}
    for place, (name, score) in enumerate({"network": network, "boosting": boosted, "mean": mean}.items()):
        found |= {name: auroc(score, truth), f"{name}_error": float(pairs[:, place].std(ddof=1))}
    return {name: float(value) for name, value in found.items()}


def _odds(probability: np.ndarray) -> np.ndarray:
    clipped = probability.clip(1e-6, 1.0 - 1e-6)
    return np.log(clipped / (1.0 - clipped))


def _table(found: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title="In-hospital death, AUROC (standard error), ICU 2012, the last 1,200 stays")
    for name in ("after", "stays", "bellwether", "boosting", "mean of both", "difference, 95 %", "aim"):
        table.add_column(name, justify="right")
    for hours, aim in zip(_HOURS, _AIMS, strict=True):
        each = found[f"{hours}h"]
        cells = [f"{each[name]:.3f} ({each[f'{name}_error']:.3f})" for name in ("network", "boosting", "mean")]
        interval = f"{each['less_boosting_low']:+.3f} to {each['less_boosting_high']:+.3f}"
        table.add_row(f"{hours} h", f"{each['stays']:.0f}", *cells, interval, f"{aim:g}")
    return table


if __name__ == "__main__":
    main()
