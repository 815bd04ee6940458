"""Every wrong setting is answered with its key, the value seen and what was expected: whole messages."""

from pathlib import Path

import pytest

from infra.settings import load_monitor
from schemas.errors import ConfigError
from schemas.rule import VITALS

HEAD = "monitor: pumps\ntopics: {observations: pumps}\n"
SIGNALS = "{name: motor, signals: [{name: rpm}, {name: heat, range: [0, 200]}]}"
FORECAST, ANOMALY = "{name: forecast, kind: forecast}", "{name: anomaly, kind: anomaly}"
RULE = "{name: hot, kind: band, signal: heat, high: 90, severities: {warning: 5}}"
QUOTED = "expected text: a word that YAML reads as true or false stands in quotes"
GROUPS = "{group: 3 per day, by: ICUType}"
FORMS = f"0.5 per entity-day, 20 per day (of all together), {GROUPS} or a number (per 1,000 rows, not kept)"
IN_TOTAL = "20 per day: of all together; each entity's has the key entity, each group's group"
SHADOW = "0 or at least 32: on fewer no version is told to be better, and none serves"
DETECTORS = "'page-hinkley', 'adwin' or 'off'"
TWICE = "twice; expected each {} to have a name of its own"


def pumps(
    task: str = "",
    *,
    modalities: str = SIGNALS,
    forecast: str = FORECAST,
    anomaly: str = ANOMALY,
    rule: str = RULE,
    rest: str = "",
) -> str:
    """A monitor that is fine but for what is given."""
    tasks = ", ".join(each for each in (forecast, anomaly, task) if each)
    return f"{HEAD}modalities: [{modalities}]\ntasks: [{tasks}]\nrules: [{rule}]\n{rest}"


def forecast(settings: str) -> str:
    return pumps(forecast=f"{{name: f, kind: forecast, {settings}}}")


def state(settings: str) -> str:
    return pumps(f"{{name: wear, kind: state, {settings}}}")


def event(settings: str, rest: str = "") -> str:
    return pumps(f"{{name: fails, kind: event, {settings}}}", rest=rest)


def rule(settings: str) -> str:
    return pumps(rule=f"{{name: hot, severities: {{warning: 5}}, {settings}}}")


WRONG = {
    "severities on a forecast": (
        forecast("severities: {warning: 0.5}"),
        "tasks.0.severities: got {'warning': 0.5}; expected kind event or state beside it, not forecast",
    ),
    "within on a state": (
        state("classes: [low, high], within: 6h"),
        "tasks.2.within: got '6h'; expected kind event beside it, not state",
    ),
    "within on a forecast": (
        forecast("within: 4"),
        "tasks.0.within: got 4; expected kind event beside it, not forecast",
    ),
    "target on an event": (
        event("target: {rule: hot, cuts: [5], within: 4}"),
        "tasks.2.target: got {'rule': 'hot', 'cuts': [5], 'within': 4}; expected kind state beside it, not event",
    ),
    "classes on an event": (
        event("classes: [no, yes]"),
        f"tasks.2.classes.0: got False; {QUOTED}\n  also: tasks.2.classes.1: got True; {QUOTED}",
    ),
    "classes on an anomaly": (
        pumps(anomaly="{name: a, kind: anomaly, classes: [no, yes]}"),
        f"tasks.1.classes.0: got False; {QUOTED}\n  also: tasks.1.classes.1: got True; {QUOTED}",
    ),
    "no forecast": (pumps(forecast=""), "tasks: got none; expected exactly one of kind forecast"),
    "two anomalies": (pumps("{name: other, kind: anomaly}"), "tasks: got 2; expected exactly one of kind anomaly"),
    "two of a name": (pumps("{name: anomaly, kind: event}"), f"tasks.2.name: got 'anomaly' {TWICE.format('task')}"),
    "no weight": (
        pumps(forecast="{name: f, kind: forecast, weight: 0}", anomaly="{name: a, kind: anomaly, weight: 0}"),
        "tasks: got 0 for each; expected a weight above 0 for at least one of them",
    ),
    "budget of all by entities": (
        pumps(rest="alerts: {budget: {total: 0.5 per entity-day}}"),
        f"alerts.budget.total: got '0.5 per entity-day'; expected alarms and a span, such as {IN_TOTAL}",
    ),
    "budget of groups as text": (
        pumps(rest="alerts: {budget: 0.5 per group-day}"),
        f"alerts.budget: got '0.5 per group-day'; expected a budget of groups as {GROUPS}, where by is a static signal",
    ),
    "budget of two": (
        pumps(rest="alerts: {budget: [1, 2]}"),
        f"alerts.budget: got [1, 2]; expected {FORMS}",
    ),
    "canaries that are too few": (
        pumps(rest="training: {canary: {windows: 15}}"),
        "training.canary.windows: got 15; expected 0 or at least 16: harm is not told by fewer",
    ),
    "a shadow that is too short": (
        pumps(rest="training: {shadow_rows: 31}"),
        f"training.shadow_rows: got 31; expected {SHADOW}",
    ),
    "a detector that YAML reads as false": (
        pumps(rest="training: {drift: {detector: off}}"),
        f"training.drift.detector: got False; {QUOTED.replace('text', DETECTORS)}",
    ),
    "negative weight": (forecast("weight: -1"), "tasks.0.weight: got -1; expected greater than or equal to 0"),
    "unknown kind": (
        pumps("{name: wear, kind: status}"),
        "tasks.2.kind: got 'status'; expected 'forecast', 'anomaly', 'state' or 'event'",
    ),
    "unknown key": (
        pumps("{name: wear, kind: event, whithin: 4}"),
        "tasks.2.whithin: got 4; expected a key that there is (did you mean 'within'?)",
    ),
    "quantiles without median": (
        forecast("quantiles: [0.1, 0.9]"),
        "tasks.0.quantiles: got [0.1, 0.9]; expected ascending ones that contain 0.5",
    ),
    "quantiles down": (
        forecast("quantiles: [0.9, 0.5]"),
        "tasks.0.quantiles: got [0.9, 0.5]; expected ascending ones that contain 0.5",
    ),
    "quantile": (forecast("quantiles: [0.5, 2]"), "tasks.0.quantiles.1: got 2; expected less than 1"),
    "horizons": (
        forecast("horizons: [1, 15m, 6]"),
        "tasks.0.horizons: got [1, '15m', 6]; expected ascending ones that start with 1, durations last",
    ),
    "within soon": (
        event("within: soon"),
        "tasks.2.within: got 'soon'; expected row counts from 1 to 96 or durations such as 15m, up to 366d",
    ),
    "share word": (event("share: sometimes"), "tasks.2.share: got 'sometimes'; expected 'auto', 'always' or 'never'"),
    "share never": (
        event("share: never", rest="model: {private: 0}\n"),
        "tasks.2.share: got 'never'; expected model.private above 0 beside it",
    ),
    "loss word": (
        forecast("loss: focal"),
        "tasks.0.loss: got 'focal'; expected pinball, huber or mse for kind forecast",
    ),
    "loss number": (forecast("loss: 3"), "tasks.0.loss: got 3; expected a name, or a table of name and options"),
    "loss option": (
        forecast("loss: {name: mse, delta: 2}"),
        "tasks.0.loss.delta: got 2.0; expected none for kind forecast and loss mse",
    ),
    "loss option range": (
        forecast("loss: {name: huber, delta: -2}"),
        "tasks.0.loss.delta: got -2; expected greater than 0",
    ),
    "loss option unknown": (
        forecast("loss: {name: huber, detla: 2}"),
        "tasks.0.loss.detla: got 2; expected a key that there is (did you mean 'delta'?)",
    ),
    "loss without name": (
        forecast("loss: {delta: 2}"),
        "tasks.0.loss.name: got None; expected a value: the key is required",
    ),
    "one class": (
        state("classes: [low]"),
        "tasks.2.classes: got ['low']; expected at least 2 for a state task without target",
    ),
    "class twice": (state("classes: [low, low]"), "tasks.2.classes: got ['low', 'low']; expected each once"),
    "classes of cuts": (
        state("classes: [low, mid, high], target: {rule: hot, cuts: [5], within: 4}"),
        "tasks.2.classes: got ['low', 'mid', 'high']; expected 2, one more than target.cuts",
    ),
    "cuts": (
        state("classes: [low, mid, high], target: {rule: hot, cuts: [5, 2], within: 4}"),
        "tasks.2.target.cuts: got [5, 2]; expected ascending numbers",
    ),
    "standing cuts": (
        state("classes: [low, high], target: {rule: hot, cuts: [5], within: 4, standing: {rule: hot, cuts: [2, 1]}}"),
        "tasks.2.target.standing.cuts: got [2, 1]; expected ascending numbers",
    ),
    "target rule": (
        state("classes: [low, high], target: {rule: hto, cuts: [5], within: 4}"),
        "tasks.2.target.rule: got 'hto'; expected a rule (hot)",
    ),
    "standing rule": (
        state("classes: [low, high], target: {rule: hot, cuts: [5], within: 4, standing: {rule: hto, cuts: [2]}}"),
        "tasks.2.target.standing.rule: got 'hto'; expected a rule (hot)",
    ),
    "alert_from class": (
        state("severities: {warning: 0.5}, alert_from: hihg, classes: [low, high]"),
        "tasks.2.alert_from: got 'hihg'; expected a class after the first (high)",
    ),
    "alert_from first": (
        state("severities: {warning: 0.5}, alert_from: low, classes: [low, high]"),
        "tasks.2.alert_from: got 'low'; expected a class after the first (high)",
    ),
    "alert_from alone": (
        state("alert_from: high, classes: [low, high], target: {rule: hot, cuts: [5], within: 4}"),
        "tasks.2.alert_from: got 'high'; expected severities beside it",
    ),
    "alert_from event": (
        event("severities: {warning: 0.5}, alert_from: yes"),
        "tasks.2.alert_from: got True; expected text: a word that YAML reads as true or false stands in quotes",
    ),
    "alert_from event 'yes'": (
        event("severities: {warning: 0.5}, alert_from: 'yes'"),
        "tasks.2.alert_from: got 'yes'; expected kind state beside it, not event",
    ),
    "severities fall": (
        event("severities: {warning: 0.5, critical: 0.4}"),
        "tasks.2.severities: got {'warning': 0.5, 'critical': 0.4}; expected values that rise from info to critical",
    ),
    "severity": (
        event("severities: {urgent: 0.5}"),
        "tasks.2.severities.urgent: got 'urgent'; expected 'info', 'warning' or 'critical'",
    ),
    "severity range": (
        event("severities: {warning: 5}"),
        "tasks.2.severities.warning: got 5; expected less than or equal to 1",
    ),
    "range": (
        pumps(modalities="{name: motor, signals: [{name: heat, range: [200, 0]}]}"),
        "modalities.0.signals.0.range: got [200, 0]; expected [low, high] with low < high",
    ),
    "log": (
        pumps(modalities="{name: motor, signals: [{name: heat, range: [0, 200], transform: log-return}]}"),
        "modalities.0.signals.0.range: got [0, 200]; expected [low, high] above 0 for the log-return transform",
    ),
    "log without range": (
        pumps(modalities="{name: motor, signals: [{name: heat, transform: log-return}]}"),
        "modalities.0.signals.0.range: got None; expected [low, high] above 0 for the log-return transform",
    ),
    "no signals": (
        pumps(modalities="{name: motor}, {name: m, signals: [{name: heat}]}"),
        "modalities.0.signals: got None; expected at least one for a modality of kind signals",
    ),
    "image signals": (
        pumps(modalities="{name: motor, kind: image, signals: [{name: heat}]}"),
        "modalities.0.signals: got [{'name': 'heat'}]; expected none for a modality of kind image",
    ),
    "embedding without size": (
        pumps(modalities="{name: sound, kind: embedding}"),
        "modalities.0.size: got None; expected how many numbers an embedding has",
    ),
    "size of signals": (
        pumps(modalities="{name: motor, size: 4, signals: [{name: heat}]}"),
        "modalities.0.size: got 4; expected kind embedding beside it, not signals",
    ),
    "frame of signals": (
        pumps(modalities="{name: motor, frame: {height: 8}, signals: [{name: heat}]}"),
        "modalities.0.frame: got {'height': 8}; expected kind image beside it, not signals",
    ),
    "scope": (
        pumps(modalities="{name: sound, kind: embedding, size: 4, scope: static}"),
        "modalities.0.scope: got 'static'; expected entity for a modality of kind embedding",
    ),
    "none of entity": (
        pumps(modalities="{name: motor, scope: static, signals: [{name: heat}]}"),
        "modalities: got none; expected at least one of scope entity",
    ),
    "modality twice": (
        pumps(modalities="{name: motor, signals: [{name: heat}]}, {name: motor, signals: [{name: rpm}]}"),
        f"modalities.1.name: got 'motor' {TWICE.format('modality')}",
    ),
    "signal twice": (
        pumps(modalities="{name: motor, signals: [{name: heat}]}, {name: m, signals: [{name: heat}]}"),
        f"modalities.1.signals.0.name: got 'heat' {TWICE.format('field of a message')}",
    ),
    "signal time": (
        pumps(modalities="{name: motor, signals: [{name: heat}, {name: time}]}"),
        f"modalities.0.signals.1.name: got 'time' {TWICE.format('field of a message')}",
    ),
    "derived": (
        pumps(modalities="{name: motor, signals: [{name: heat}, {name: eye.contrast}]}, {name: eye, kind: image}"),
        f"modalities.1.name: got 'eye.contrast' {TWICE.format('field of a message')}",
    ),
    "entity time": (pumps(rest="entity: t\ntime: t\n"), f"time: got 't' {TWICE.format('field of a message')}"),
    "rule signal": (
        rule("kind: band, signal: haet, high: 90"),
        "rules.0.signal: got 'haet'; expected a signal (rpm, heat)",
    ),
    "rule without signal": (rule("kind: move"), "rules.0.signal: got None; expected one for a move rule"),
    "band open": (rule("kind: band, signal: heat"), "rules.0.low: got None; expected low or high for a band rule"),
    "band upside down": (
        rule("kind: band, signal: heat, low: 90, high: 40"),
        "rules.0.low: got 90; expected at most high, which is 40",
    ),
    "rows": (
        rule("kind: fall, signal: heat, rows: 3"),
        "rules.0.rows: got 3; expected kind frozen beside it, not fall",
    ),
    "no rows": (
        rule("kind: frozen, signal: heat"),
        "rules.0.rows: got None; expected how many for a frozen rule, or a duration for `for`",
    ),
    "rows and for": (
        rule("kind: frozen, signal: heat, rows: 3, for: 5m"),
        "rules.0.rows: got 3; expected none beside `for`",
    ),
    "move with low": (
        rule("kind: move, signal: heat, low: 3"),
        "rules.0.low: got 3; expected kind band or rate or volatility beside it, not move",
    ),
    "band with per": (
        rule("kind: band, signal: heat, low: 3, per: 5m"),
        "rules.0.per: got '5m'; expected kind rate beside it, not band",
    ),
    "rate with after": (
        rule("kind: rate, signal: heat, low: -3, per: 5m, after: 1h"),
        "rules.0.after: got '1h'; expected kind fall or move or rise beside it, not rate",
    ),
    "fall with for": (
        rule("kind: fall, signal: heat, for: 5m"),
        "rules.0.for: got '5m'; expected kind frozen or missing beside it, not fall",
    ),
    "band with inputs": (
        rule("kind: band, low: 3, inputs: {a: heat}"),
        "rules.0.inputs: got {'a': 'heat'}; expected kind frozen or news2 beside it, not band",
    ),
    "news2 with signal": (
        rule("kind: news2, signal: heat, inputs: {temperature: heat}"),
        "rules.0.signal: got 'heat'; expected none beside inputs",
    ),
    "signal and inputs": (
        rule("kind: frozen, rows: 3, signal: heat, inputs: {a: rpm}"),
        "rules.0.signal: got 'heat'; expected none beside inputs",
    ),
    "rate without per": (
        rule("kind: rate, signal: heat, low: -20"),
        "rules.0.per: got None; expected the time that a change is over, such as 10m, for a rate rule",
    ),
    "per without unit": (
        rule("kind: rate, signal: heat, low: -20, per: 10"),
        "rules.0.per: got 10; expected a duration with its unit, such as 90s, 15m, 2h or 1d",
    ),
    "per without unit, as text": (
        rule("kind: rate, signal: heat, low: -20, per: '10'"),
        "rules.0.per: got '10'; expected a duration with its unit, such as 90s, 15m, 2h or 1d",
    ),
    "per nothing": (
        rule("kind: rate, signal: heat, low: -20, per: 0s"),
        "rules.0.per: got '0s'; expected a duration with its unit, such as 90s, 15m, 2h or 1d",
    ),
    "rate open": (
        rule("kind: rate, signal: heat, per: 10m"),
        "rules.0.low: got None; expected low or high for a rate rule",
    ),
    "rate of a fall that rises": (
        rule("kind: rate, signal: heat, low: 20, per: 10m"),
        "rules.0.low: got 20; expected at most 0, no change",
    ),
    "volatility high": (
        rule("kind: volatility, signal: heat, high: 0.5"),
        "rules.0.high: got 0.5; expected at least 1, the usual one",
    ),
    "missing without for": (
        rule("kind: missing, signal: heat"),
        "rules.0.for: got None; expected how long, such as 30m, for a missing rule",
    ),
    "rule key": (
        rule("kind: missing, signal: heat, fro: 5m"),
        "rules.0.fro: got '5m'; expected a key that there is (did you mean 'for'?)",
    ),
    "gap": (
        rule("kind: gap, signal: heat"),
        "rules.0.kind: got 'gap'; expected move, fall or rise with `after`: what a gap is",
    ),
    "halt": (
        rule("kind: halt, signal: heat"),
        "rules.0.kind: got 'halt'; expected frozen with `for`: what a halt is",
    ),
    "scale": (
        rule("kind: news2, inputs: {spo2: heat}, spo2_scale: 3"),
        "rules.0.spo2_scale: got 3; expected 1, 2 or the signal whose value 2 says scale 2",
    ),
    "scale without oxygen": (
        rule("kind: news2, inputs: {spo2: heat}, spo2_scale: 2"),
        "rules.0.inputs.supplemental_oxygen: got None; expected a signal: the points of scale 2 depend on it",
    ),
    "scale of no signal": (
        rule("kind: news2, inputs: {spo2: heat, supplemental_oxygen: rpm}, spo2_scale: Scale"),
        "rules.0.spo2_scale: got 'Scale'; expected a signal (rpm, heat)",
    ),
    "scale beside a band": (
        rule("kind: band, signal: heat, low: 3, spo2_scale: 2"),
        "rules.0.spo2_scale: got 2; expected kind news2 beside it, not band",
    ),
    "no vitals": (rule("kind: news2"), "rules.0.inputs: got None; expected {vital: signal} for a news2 rule"),
    "vital": (
        rule("kind: news2, inputs: {pulse: heat}"),
        f"rules.0.inputs.pulse: got 'pulse'; expected a vital ({', '.join(VITALS)})",
    ),
    "vital's signal": (
        rule("kind: news2, inputs: {temperature: haet}"),
        "rules.0.inputs.temperature: got 'haet'; expected a signal (rpm, heat)",
    ),
    "unread": (
        pumps(rule="{name: hot, kind: average, signal: heat}"),
        "rules.0.severities: got None; expected some, or a state task that reads the rule, or knowledge.features",
    ),
    "rule twice": (pumps(rule=f"{RULE}, {RULE}"), f"rules.1.name: got 'hot' {TWICE.format('rule')}"),
    "rule falls": (
        pumps(rule="{name: hot, kind: band, signal: heat, high: 90, severities: {warning: 5, critical: 4}}"),
        "rules.0.severities: got {'warning': 5, 'critical': 4}; expected values that rise from info to critical",
    ),
    "heads": (pumps(rest="model: {heads: 3}\n"), "model.heads: got 3; expected a divisor of width, which is 32"),
    "order": (
        pumps(rest="knowledge: {orders: [[heat, rmp]]}\n"),
        "knowledge.orders.0: got 'rmp'; expected a signal that is forecast (rpm, heat)",
    ),
    "implication": (
        pumps(rest="knowledge: {implications: [{when: {signal: heat}, then: {signal: rpm, at_least: 3}}]}\n"),
        "knowledge.implications.0.when: got {'signal': 'heat'}; expected either above or below",
    ),
    "conclusion": (
        pumps(rest="knowledge: {implications: [{when: {signal: heat, above: 3}, then: {signal: rpm}}]}\n"),
        "knowledge.implications.0.then: got {'signal': 'rpm'}; expected at_least or at_most",
    ),
    "monotone": (
        pumps(rest="knowledge: {monotone: [wear]}\n"),
        "knowledge.monotone.0: got 'wear'; expected a state task with a target (there is none)",
    ),
    "relation": (
        pumps(rest="knowledge: {relations: [{name: unit, by: heat}]}\n"),
        "knowledge.relations.0.by: got 'heat'; expected a static signal of transform level (there is none)",
    ),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_named_with_its_value_and_what_was_expected(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "pumps.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_monitor(file, {})
    assert str(refused.value) == f"{file}: {said.replace('also: ', f'also: {file}: ')}"


def test_what_the_wrong_ones_are_variations_of_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "pumps.yaml"
    file.write_text(pumps())
    assert load_monitor(file, {}).monitor == "pumps"
