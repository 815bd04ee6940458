"""What one entity costs."""

from pathlib import Path

from infra.settings import load_monitor
from schemas.layout import Layout
from scorer.scorer import state_template

SIX_SIGNALS = Path(__file__).parents[2] / "bench" / "monitor.yaml"


def test_an_entity_of_six_signals_costs_at_most_four_kibibytes():
    parts = {name: value.nbytes for name, value in state_template(Layout(load_monitor(SIX_SIGNALS, {}))).items()}
    network = sum(size for name, size in parts.items() if name.startswith("network."))
    assert (network <= 1024, sum(parts.values()) <= 4096) == (True, True)
