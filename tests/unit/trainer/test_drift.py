"""Detectors against those of river, and on streams whose change is known."""

import json

import numpy as np
import pytest
from river import drift

from trainer.drift import Adwin, PageHinkley


def steps(seed, levels=(0.0, 1.0, 1.0, -0.5, 3.0), rows=300):
    """Noise around a level that changes every so many rows."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(level, 0.5, rows) for level in levels]).tolist()


def alarms(detector, values):
    return [place for place, value in enumerate(values) if detector.update(value)]


def rivers(detector, values):
    found = []
    for place, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            found.append(place)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_page_hinkley_alarms_where_that_of_river_does(seed):
    values = steps(seed)
    theirs = drift.PageHinkley(min_instances=30, delta=0.1, threshold=8.0, alpha=1.0, mode="up")
    found = alarms(PageHinkley(slack=0.1, threshold=8.0), values)
    assert found == rivers(theirs, values)
    assert len(found) >= 2


@pytest.mark.parametrize("clock", [1, 32])
@pytest.mark.parametrize("seed", range(8))
def test_adwin_alarms_where_that_of_river_does(seed, clock):
    values = steps(seed)
    found = alarms(Adwin(0.002, clock), values)
    assert found == rivers(drift.ADWIN(delta=0.002, clock=clock), values)
    assert len(found) >= 3


@pytest.mark.parametrize("make", [lambda: PageHinkley(0.5, 10.0), lambda: Adwin(0.002)])
def test_a_detector_that_goes_on_from_what_another_remembered_alarms_where_that_one_would(make):
    values, one, other = steps(3), make(), make()
    alarms(one, values[:250])
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert alarms(other, values[250:]) == alarms(one, values[250:])


def test_what_adwin_remembers_grows_with_the_logarithm_of_what_it_saw():
    detector = Adwin(1e-12)
    alarms(detector, np.random.default_rng(0).normal(size=5000).tolist())
    assert sum(map(len, detector.state_dict()["rows"])) <= 5 * 13
