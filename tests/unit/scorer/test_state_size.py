"""What one entity costs."""

from pathlib import Path

from infra.settings import load_monitor
from schemas.layout import Layout
from schemas.task import Task, TaskKind
from scorer.scorer import state_template

SIX_SIGNALS = Path(__file__).parents[2] / "bench" / "monitor.yaml"


def test_an_entity_of_six_signals_costs_at_most_four_kibibytes():
    parts = {name: value.nbytes for name, value in state_template(Layout(load_monitor(SIX_SIGNALS, {}))).items()}
    network = sum(size for name, size in parts.items() if name.startswith("network."))
    assert (network <= 1024, sum(parts.values()) <= 4096) == (True, True)


def test_a_budget_and_watched_feeds_cost_an_entity_little():
    six = load_monitor(SIX_SIGNALS, {})
    asked = six.model_dump() | {"silence": {}, "alerts": {"budget": "0.5 per entity-day"}}
    sizes = [
        sum(value.nbytes for value in state_template(Layout(monitor)).values())
        for monitor in (six, type(six).model_validate(asked))
    ]
    assert (sizes[1] - sizes[0] <= 640, sizes[0] <= 4096) == (True, True)


def test_a_false_discovery_rate_costs_an_entity_little():
    six = load_monitor(SIX_SIGNALS, {})
    asked = type(six).model_validate(six.model_dump() | {"alerts": {"false_discovery_rate": 0.1}})
    sizes = [sum(value.nbytes for value in state_template(Layout(monitor)).values()) for monitor in (six, asked)]
    assert 0 < sizes[1] - sizes[0] <= 128


def test_a_task_that_alerts_costs_an_entity_what_a_rule_does():
    six = load_monitor(SIX_SIGNALS, {})
    task = Task(name="failure", kind=TaskKind.EVENT)
    sizes = [
        sum(value.nbytes for name, value in state_template(Layout(monitor)).items() if name.startswith("alert."))
        for monitor in (
            six,
            six.model_copy(update={"tasks": (*six.tasks, task)}),
            six.model_copy(update={"tasks": (*six.tasks, task.model_copy(update={"severities": {"warning": 0.5}}))}),
        )
    ]
    assert (sizes[1] - sizes[0], sizes[2] - sizes[1]) == (0, 53)
