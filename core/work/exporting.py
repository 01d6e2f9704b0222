"""A run leaves the tool: what formats can take it, and one of them written, verified and described. No torch here."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compresslab.errors import BadInput
from compresslab.exports.card import licence_files, loading, model_card
from compresslab.exports.format import (
    INPUTS_DROPPED,
    Contents,
    Exporter,
    Format,
    drops_input_rounding,
    loading_lines,
    programs,
    why_not,
)
from compresslab.exports.hub import check_push, make_repository, push_folder
from compresslab.exports.registry import FORMATS
from compresslab.files.atomic import new_model_folder
from compresslab.files.paths import home, run_folder
from compresslab.messages import Message
from compresslab.models.facts import read_facts
from compresslab.models.packed_layout import PACKED, read_layout
from compresslab.recipes.recipe import Recipe
from compresslab.records.events import Event
from compresslab.records.results import ExportRecord, RunRecord
from compresslab.work.jobs import ExportJob

CARD, RECIPE, RECORD = "README.md", "recipe.yaml", "export.json"
SPARE_BYTES = 64 * 2**20  # that stay free on a disk: tokenizer, card, and whoever else writes
Report = Callable[[Event], None]


@dataclass(frozen=True)
class Offer:
    """A format, held against a run, before anything is written."""

    form: Format
    contents: Contents
    refusal: Message | None  # why it can't take the run
    remarks: list[Message]  # what of the model in memory it does not keep, and who does not open it
    estimated_bytes: int | None  # of the weight files; None where it is refused

    @property
    def programs(self) -> list[str]:
        """That open it."""
        return [] if self.refusal else programs(self.form, self.contents)

    def lines(self, place: str) -> dict[str, str]:
        """How each of them does, once it lies in that folder."""
        return loading_lines(self.form, self.contents, place)

    def to_dict(self) -> dict[str, Any]:
        shown = ("refusal", "programs", "remarks", "estimated_bytes")
        return {"format": self.form.name, "label": self.form.label} | {name: getattr(self, name) for name in shown}


def offers(record: RunRecord, settings: Mapping[str, dict[str, Any]]) -> list[Offer]:
    """Every format, with its defaults where nothing is set. Raises BadInput where weights or model are gone."""
    contents = contents_of_run(record)
    return [_offer(_parse(name, settings.get(name, {})), contents) for name in FORMATS]


def contents_of_run(record: RunRecord) -> Contents:
    """From the header of the packed file and config.json: nothing is loaded. Raises BadInput."""
    folder = run_folder(record.run_id)
    if not (folder / PACKED).exists():
        raise BadInput("export.weights_gone", run=record.run_id)
    facts = read_facts(record.model)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Contents(facts, tuple(read_layout(folder / PACKED, facts.weights)), config)


def export_jobs(
    record: RunRecord,
    formats: Iterable[str],
    out: str | Path | None,
    settings: Mapping[str, dict[str, Any]],
    push: str | None,
) -> list[ExportJob]:
    """Requests that make sense: every format takes the run, and there is room. Raises BadInput.

    Each goes to a folder of its own within `out`.
    """
    contents, place = contents_of_run(record), home() / "exports" if out is None else Path(out).expanduser().absolute()
    forms = [_parse(name, settings.get(name, {})) for name in dict.fromkeys(formats)]
    if not forms:
        raise BadInput("export.no_format", formats=list(FORMATS))
    if push:
        check_push(push)
        if len(forms) > 1:
            raise BadInput("export.one_push")
    needed = 0
    for form in forms:
        offer = _offer(form, contents)
        if offer.refusal:
            raise BadInput("export.refused", run=record.run_id, format=form.name, reason=offer.refusal)
        needed += offer.estimated_bytes or 0
        _check_place(place / folder_name(record, form.name), needed)
    return [
        ExportJob(
            run=record,
            format=form.name,
            settings=form.model_dump(mode="json"),
            folder=str(place / folder_name(record, form.name)),
            push=push,
        )
        for form in forms
    ]


def folder_name(record: RunRecord, format: str) -> str:
    """Says what is in it, wherever it is carried."""
    return f"{Path(record.model).name}-{record.run_id}-{format}"


def card_of(folder: Path) -> str:
    """The model card of an export; empty where somebody took it away."""
    file = folder / CARD
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def export(session: Exporter, job: ExportJob, report: Report, cancelled: Callable[[], bool]) -> ExportRecord:
    """The folder takes its name when its files have answered and its card is written. Raises CompresslabError."""
    from compresslab.exports.verified import export as export_verified

    form, folder, recipe = _parse(job.format, job.settings), Path(job.folder), Recipe.from_dict(job.run.recipe)
    _check_place(folder, 0)
    if job.push:
        make_repository(job.push)
    with new_model_folder(folder) as temporary:
        found = export_verified(session, job.run.run_id, recipe, form, temporary, report, cancelled)
        found = found.model_copy(update={"folder": str(folder), "pushed_to": job.push})
        base = read_facts(job.run.model).folder
        for file in licence_files(base):
            shutil.copyfile(file, temporary / file.name)
        lines = loading(form, contents_of_run(job.run), job.push or folder.name)
        card = model_card(job.run, found, form, base, recipe.to_yaml(), lines)
        (temporary / CARD).write_text(card, encoding="utf-8")
        (temporary / RECIPE).write_text(recipe.to_yaml(), encoding="utf-8")
        (temporary / RECORD).write_text(found.model_dump_json(indent=2), encoding="utf-8")
        _open_to_readers(temporary)
    if job.push:
        push_folder(folder, job.push)
    return found


def _open_to_readers(folder: Path) -> None:
    """Every file as readable as the card: safetensors are written for their owner's eyes only."""
    mode = (folder / CARD).stat().st_mode
    for file in folder.rglob("*"):
        if file.is_file():
            file.chmod(mode)


def _parse(name: str, settings: dict[str, Any]) -> Format:
    if name not in FORMATS:
        raise BadInput("export.unknown_format", name=name, formats=list(FORMATS))
    return FORMATS[name].parse(settings, name)


def _offer(form: Format, contents: Contents) -> Offer:
    refusal = why_not(form, contents)
    if refusal:
        return Offer(form, contents, refusal, [], None)
    again = form.rounds_again(contents)
    dropped = INPUTS_DROPPED if drops_input_rounding(form, contents) else None
    dense = form.dequantizes(contents)
    read = form.reads_otherwise(contents)
    remarks = [remark for remark in (again, dense, read, dropped, *form.shut_out(contents).values()) if remark]
    return Offer(form, contents, None, remarks, form.estimated_bytes(contents))


def _check_place(folder: Path, needed: int) -> None:
    """Refuse what is not an export of ours, what can't be written to, and a disk without room."""
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken and not (folder / RECORD).exists():
        raise BadInput("export.place_taken", folder=folder)
    disk = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not disk.is_dir():
        raise BadInput("export.place_is_file", path=disk)
    if not os.access(disk, os.W_OK):
        raise BadInput("export.place_read_only", path=disk)
    free = shutil.disk_usage(disk).free
    if free < needed + SPARE_BYTES:
        raise BadInput("export.disk_full", needed=(needed + SPARE_BYTES) / 1e6, free=free / 1e6, folder=disk)
