"""What a person sees of an explanation: short tables, the full detail being left to --json."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.alert import raised_by
from schemas.duration import short_form

Record = Mapping[str, Any]
_SHOWN = 6
"""Signals and values shown."""
_TRUSTED = 0.5


def print_attention(explanation: Record) -> None:
    """What the network looked at when it judged an alert's row, as stored with it."""
    if explanation["nothing"] is None:
        say(f"task {explanation['task']} was answered by its private path, which has no attention")
        return
    ages = {part["modality"]: _standing(part["age_seconds"]) for part in explanation["modalities"]}
    rows = [(part["modality"], _share(part["attention"]), ages[part["modality"]]) for part in explanation["modalities"]]
    rows.append(("(nothing)", _share(explanation["nothing"]), "-"))
    table(f"what task {explanation['task']} looked at", ("modality", "attention", "last seen"), rows)
    others = sorted(explanation["tasks"].items(), key=lambda task: -task[1])
    table(f"tasks that task {explanation['task']} looked at", ("task", "share"), [(n, _share(s)) for n, s in others])


def print_explanation(told: Record) -> None:
    """What `alerts explain` found, the most telling first."""
    alert, network = told["alert"], told["network"]
    say(f"{alert['summary']}")
    say(f"{alert['entity']} at {alert['event_time']}, {alert['topic']}/{alert['partition']}@{alert['offset']}")
    say(f"raised by: {raised_by(alert['rung'], alert['model_version'])}")
    if network is None:
        say(f"no network to explain: {told['why_not']}; what was taken:")
        table("reasons", ("signal", "came", "expected"), [_reason(reason) for reason in alert["reasons"]])
        return
    say(f"model version {network['version']}, {network['rows']} rows replayed from a blank state")
    if alert["kind"] == "tail":
        say("decided by the tail statistics named above; what follows is how the network saw the same row")
    came = network["came_and_expected"]
    if came:
        table(
            "what the network alone expected in this replay, and what came",
            tuple(came[0]),
            [tuple(_cell(value) for value in each.values()) for each in came],
        )
    for question in network["questions"]:
        _print_question(question)


def say(line: str) -> None:
    """One line as it is."""
    import click

    click.echo(line)


def _print_question(question: Record) -> None:
    gradients, ablation = question["integrated_gradients"], question["ablation"]
    complete = "complete" if gradients["complete"] else "NOT complete"
    say(f"\n{question['task']}: {question['asked']}: {question['answer']:.3g}")
    if question["standing"]:
        say("gradients hold fixed where its rules stand, which the odds start from; ablation does not")
    say(f"integrated gradients {complete}: gap {gradients['gap']:.1e} of a change of {gradients['change']:.3g}")
    rows = [
        (name, _signed(share), _signed(gradients["residuals"].get(name, 0.0)), _signed(ablation["signals"][name]))
        for name, share in sorted(gradients["signals"].items(), key=lambda each: -abs(ablation["signals"][each[0]]))
    ]
    headings = ("signal", "integrated gradients", "of its surprise", "ablation")
    table("signals, what the answer loses without them", headings, rows[:_SHOWN])
    cells = [
        (
            cell["signal"],
            str(cell["lag"]),
            _cell(cell["value"]),
            _signed(cell["integrated_gradients"]),
            _signed(cell["ablation"]),
        )
        for cell in question["cells"][:_SHOWN]
    ]
    table("values, lag in rows", ("signal", "lag", "value", "integrated gradients", "ablation"), cells)
    attention = question["attention"]["modalities"]
    looked = [
        (name, "-" if question["private"] else _share(share), _signed(ablation["modalities"][name]))
        for name, share in attention.items()
    ]
    table("modalities", ("modality", "attention", "ablation"), looked)
    for name, share in gradients["vectors"].items():
        say(f"integrated gradients of {name}, over all rows: {_signed(share)}")
    for name, region in ablation["regions"].items():
        parts = [(str(1 + place), *map(_signed, row)) for place, row in enumerate(region)]
        say(f"{name}: what the answer loses where a part of the frame is grey, of {len(region)} x {len(region[0])}")
        table("", ("from the top", *(str(1 + column) for column in range(len(region[0])))), parts)
    if question["private"]:
        say(
            "answered by the task's private path, from running statistics: attention and other tasks have no part in it"
        )
        return
    say(_trust(question["attention"]["agreement_with_ablation"]))
    others = ", ".join(f"{name} {share:.0%}" for name, share in question["tasks"]["attention"].items())
    say(f"tasks looked at: {others}; how far the gate lets them in: {question['tasks']['gate']:.2f}")


def _trust(agreement: float | None) -> str:
    if agreement is None:
        return "attention cannot be compared with ablation here: too few modalities were seen"
    verdict = "can be trusted here" if agreement >= _TRUSTED else "does not say here what mattered"
    return f"attention {verdict}: its rank correlation with ablation is {agreement:.2f}"


def _reason(reason: Record) -> tuple[str, str, str]:
    return reason["signal"], _cell(reason.get("used", reason["observed"])), _cell(reason["expected"])


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print cells as they are; markup in them is text."""
    from rich.table import Table
    from rich.text import Text

    from infra.terminal import console

    shown = Table(*headings, title=title, title_justify="left")
    for row in rows:
        shown.add_row(*(Text(cell) for cell in row))
    console().print(shown)


def _share(share: float) -> str:
    return f"{share:.0%}"


def _standing(age_seconds: float | None) -> str:
    if age_seconds is None:
        return "never"
    return f"{short_form(age_seconds)} before" if age_seconds else "in this row"
