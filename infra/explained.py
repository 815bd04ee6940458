"""What a person sees of an explanation: short tables, the full detail being left to --json."""

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.duration import short_form

Record = Mapping[str, Any]


def print_attention(explanation: Record) -> None:
    """What the network looked at when it judged an alert's row, as stored with it."""
    ages = {part["modality"]: _standing(part["age_seconds"]) for part in explanation["modalities"]}
    rows = [(part["modality"], _share(part["attention"]), ages[part["modality"]]) for part in explanation["modalities"]]
    rows.append(("(nothing)", _share(explanation["nothing"]), "-"))
    table(f"what task {explanation['task']} looked at", ("modality", "attention", "last seen"), rows)
    others = sorted(explanation["tasks"].items(), key=lambda task: -task[1])
    table(f"tasks that task {explanation['task']} looked at", ("task", "share"), [(n, _share(s)) for n, s in others])


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print cells as they are; markup in them is text."""
    from rich.table import Table
    from rich.text import Text

    from infra.commands.alerts import console

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
