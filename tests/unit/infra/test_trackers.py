import sys

import pytest

from infra.fitting.trackers import figures_of, refuse_missing
from schemas.errors import ConfigError

EPOCH = {
    "epoch": 2,
    "most": 3,
    "losses": {"forecast": 0.9},
    "weights": {"forecast": 1.0},
    "gradient_norm": 0.4,
    "refused": 1,
    "validation": {"forecast": 0.95},
    "metrics": {"forecast.mase_h1": 0.97},
    "attention": {"forecast.attention_motor": 0.3},
    "similarity": {"forecast.similarity_anomaly": -0.1},
    "ways": {"forecast.shared_loss": 0.9, "forecast.private_loss": 1.1},
}


def test_an_epochs_figures_are_grouped_by_task():
    assert figures_of(EPOCH) == {
        "gradient_norm": 0.4,
        "refused_steps": 1.0,
        "forecast/training_loss": 0.9,
        "forecast/validation_loss": 0.95,
        "forecast/weight": 1.0,
        "forecast/mase_h1": 0.97,
        "forecast/attention_motor": 0.3,
        "forecast/similarity_anomaly": -0.1,
        "forecast/shared_loss": 0.9,
        "forecast/private_loss": 1.1,
    }


def test_a_tracker_whose_package_is_missing_names_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"fitting\.trackers: got 'wandb'; expected .* '\.\[wandb\]'"):
        refuse_missing(["wandb"])
