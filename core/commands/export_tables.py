"""Formats as the command line shows them: all that there are, or held against one run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from compresslab.commands.output import OUT, describe, number, print_table
from compresslab.exports.format import Format, opens_in
from compresslab.settings import allowed
from compresslab.work.exporting import Offer
from rich.markup import escape

ABOUT = ("name", "label", "plain", "help", "opened_by", "untried")


def print_offers(offers: Iterable[Offer]) -> None:
    rows = [
        (
            offer.form.name,
            "" if offer.estimated_bytes is None else f"about {number(offer.estimated_bytes, 'bytes')}",
            ", ".join(map(str, opens_in(offer.form, offer.programs))),
            str(offer.refusal or "") or " ".join(map(str, offer.remarks)) or "as measured",
        )
        for offer in offers
    ]
    print_table(("format", "weights", "opens in", ""), rows)


def print_formats(forms: Iterable[type[Format]]) -> None:
    for form in forms:
        OUT.print(f"\n[bold]{form.name}[/bold]  {escape(form.label)}: {escape(form.plain)}")
        programs = ", ".join(map(str, opens_in(form, form.opened_by)))
        OUT.print(f"{escape(form.help)} Opens in {programs}.", style="dim")
        rows = [(f"{form.name}.{c.name}", c.default, f"{allowed(c)} {c.unit}".strip(), c.help) for c in form.controls()]
        if rows:
            print_table(("setting", "default", "takes", ""), rows)


def describe_format(form: type[Format]) -> dict[str, Any]:
    return describe(form, *ABOUT)
