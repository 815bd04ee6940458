"""What the benchmark prints: a table for people, a flat JSON object for programs."""

import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.bulk import Bulk
from tests.bench.latency import Latency
from tests.bench.learned import Learned

_PACKAGES = ("torch", "ray", "numpy", "kafka-python", "msgspec", "psycopg", "sqlalchemy")
_PLAIN = "bellwether"
"""The system whose figures carry no prefix in the JSON object."""


def machine() -> dict[str, Any]:
    """Where this was measured."""
    versions = {name: version(name) for name in _PACKAGES}
    return {"cpus": os.cpu_count(), "cpu": _cpu_model(), "python": platform.python_version(), "versions": versions}


def flat(
    bulk: dict[str, Bulk], latency: dict[str, Latency], produced_per_s: float, load: dict[str, float]
) -> dict[str, Any]:
    """One object. Bellwether without learning: plain keys (`p50_ms`); any other system: its name before them."""
    found: dict[str, Any] = {}
    for name, measured in bulk.items():
        figures = asdict(measured)
        found[_key(name, "bulk_events_per_s")] = round(figures.pop("events_per_s"))
        found[_key(name, "bulk_events_per_cpu_s")] = round(figures.pop("events_per_cpu_s"))
        found |= {
            _key(name, f"bulk_{key}" if key in {"cpu_seconds", "alerts"} else key): round(value, 2)
            for key, value in figures.items()
        }
    for name, measured_ms in latency.items():
        figures = asdict(measured_ms)
        figures |= figures.pop("learned") or {}
        found |= {_key(name, key): round(value, 2) for key, value in figures.items()}
    for loop in ("kafka_loop", "torch_loop"):
        if loop in bulk:
            found[f"{loop}_events_per_s"] = round(bulk[loop].events_per_s)
            if _PLAIN in bulk:
                found[f"times_{loop}"] = round(bulk[_PLAIN].events_per_s / bulk[loop].events_per_s, 2)
    return found | {"produce_events_per_s": round(produced_per_s), "load": load, "machine": machine()}


def show(
    console: Console, bulk: dict[str, Bulk], latency: dict[str, Latency], produced_per_s: float, load: dict[str, float]
) -> None:
    """Print the table."""
    where = machine()
    table = Table(title="topic -> parsed, validated, scored, forecast -> alert row committed")
    for column in ("system", "events/s", "per CPU-s", "start s", "PSS MB", "p50 ms", "p99", "max", "alerts", "CPU"):
        table.add_column(column, justify="left" if column == "system" else "right")
    for name in dict.fromkeys([*bulk, *latency]):
        table.add_row(name, *_bulk_cells(bulk.get(name)), *_latency_cells(latency.get(name)))
    console.print(table)
    for name, measured in latency.items():
        if measured.learned is not None:
            console.print(f"{name}: {_said(measured.learned)}")
    versions = ", ".join(f"{name} {number}" for name, number in where["versions"].items())
    console.print(f"{where['cpus']} CPUs, {where['cpu']}; Python {where['python']}, {versions}")
    loads = f"{load['before']:.2f} before, {load['after']:.2f} after"
    console.print(f"load average {loads}; produced {produced_per_s:,.0f}/s")


def _bulk_cells(measured: Bulk | None) -> list[str]:
    if measured is None:
        return ["-"] * 4
    rates = [f"{measured.events_per_s:,.0f}", f"{measured.events_per_cpu_s:,.0f}"]
    return [*rates, f"{measured.start_s:.1f}", f"{measured.peak_pss_mb:,.0f}"]


def _latency_cells(measured: Latency | None) -> list[str]:
    if measured is None:
        return ["-"] * 5
    times = [f"{value:.1f}" for value in (measured.p50_ms, measured.p99_ms, measured.max_ms)]
    return [*times, f"{measured.found}/{measured.expected}", f"{measured.cpu_share:.2f}"]


def _said(learned: Learned) -> str:
    return (
        f"{learned.versions} versions passed the gate, {learned.gate_p50_s:.1f} s after the one before (p50); "
        f"scored with {learned.taken_up_p50_ms:.0f} ms (p50), {learned.taken_up_p99_ms:.0f} ms (p99) later, by then "
        f"{learned.staleness_p50_s:.1f} s old (p50); trainer at most {learned.lag_most:,.0f} records behind"
    )


def _key(system: str, figure: str) -> str:
    return figure if system == _PLAIN else f"{system}_{figure}"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"
