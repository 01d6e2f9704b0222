"""Five sizes of any model that writes: what "Measure five sizes" has carried out, and the answers recorded with them.

The runs are ordinary final runs and the answers ordinary generations, so everything is in the History, and a page that
was closed meanwhile finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compresslab.data.texts import example_prompts
from compresslab.errors import CompresslabError
from compresslab.messages import Message
from compresslab.recipes.generation_request import Decoding, GenerateRequest, Pane
from compresslab.recipes.recipe import Recipe
from compresslab.records.results import RunSummary
from compresslab.store import JobRow
from compresslab.store.recorded_answers import RecordedAnswer
from compresslab.workspace import Workspace

ANSWER = Decoding(max_new_tokens=64)  # greedy: the same for every size and every time
RUNGS = 5
Steps = list[dict[str, dict[str, Any]]]
Written = dict[tuple[str, str], str]  # (prompt, hash of the weights) -> text


def ladder(model: str, layers: int) -> list[Recipe]:
    """From hardly felt to badly hurt: fewer and fewer bits, then a part of the layers gone as well."""
    steps: list[Steps] = [
        [_rounded(8, 8)],
        [_rounded(4, 4)],
        [_shallower(layers // 4), _rounded(3, 4)],
        [_rounded(2, 2)],
        [_shallower(layers // 2), _rounded(2, 2)],
    ]
    return [Recipe.from_dict({"model": model, "steps": some}) for some in steps]


def _rounded(bits: int, tables: int) -> dict[str, dict[str, Any]]:
    """`tables` are the bits of the tables of words and of outputs."""
    return {"quantize_gptq": {"bits": bits, "embedding_bits": tables, "head_bits": tables}}


def _shallower(layers: int) -> dict[str, dict[str, Any]]:
    return {"prune_layers": {"layers": max(1, layers)}}


def start(workspace: Workspace, model: str, owner: str) -> None:
    """Queue those sizes that are neither measured nor waiting. Raises CompresslabError."""
    waiting = {_hash(job) for job in _runs(workspace, model)}
    for recipe in ladder(model, workspace.models.facts(model).layers):
        if recipe.content_hash not in waiting and workspace.runs.of(recipe) is None:
            workspace.submit(recipe, owner=owner)


def under_way(workspace: Workspace, model: str) -> list[JobRow]:
    """Work on sizes of the model and on their answers, whoever asked for it; the next to be done first."""
    return [*_recordings(workspace, model), *_runs(workspace, model)]


def why_none(workspace: Workspace, model: str) -> Message | None:
    """Why the newest size that was tried could not be made; None where none failed."""
    failed = [
        job
        for job in workspace.jobs.in_states(("failed",))
        if job.kind == "run" and job.payload["recipe"]["model"] == model
    ]
    return failed[0].error if failed else None


def _runs(workspace: Workspace, model: str) -> list[JobRow]:
    jobs = [job for job in _open(workspace) if job.kind == "run" and job.payload["recipe"]["model"] == model]
    try:
        layers = workspace.models.facts(model).layers if jobs else 0
    except CompresslabError:  # its files were damaged in the meantime: the jobs will say so
        return []
    wanted = {recipe.content_hash for recipe in ladder(model, layers)}
    return [job for job in jobs if job.stage == "final" and _hash(job) in wanted]


def _recordings(workspace: Workspace, model: str) -> list[JobRow]:
    generations = [job for job in _open(workspace) if job.kind == "generate" and not job.live]
    return [job for job in generations if job.payload["request"]["panes"][0]["model"] == model]


def _open(workspace: Workspace) -> list[JobRow]:
    """The oldest first, without those that are being stopped."""
    return [job for job in reversed(workspace.jobs.open()) if job.cancel_reason is None]


def _hash(job: JobRow) -> str:
    return Recipe.from_dict(job.payload["recipe"]).content_hash


# -- answers ---------------------------------------------------------------------------------------------------


def written(answers: Sequence[RecordedAnswer]) -> Written:
    """Those that were decoded as the page has it: only they may stand side by side."""
    return {(a.prompt, a.weights_hash): a.shown for a in answers if a.decoding == ANSWER}


def unwritten(records: Sequence[RunSummary], known: Written) -> dict[str, list[RunSummary]]:
    """For every prepared prompt the runs whose answer, or whose baseline's, is not recorded."""
    missing = {
        prompt["prompt"]: [
            record
            for record in records
            if any(
                (prompt["prompt"], weights) not in known for weights in (record.baseline_hash, record.compressed_hash)
            )
        ]
        for prompt in example_prompts()
    }
    return {prompt: some for prompt, some in missing.items() if some}


def record_answers(workspace: Workspace, records: Sequence[RunSummary], known: Written, owner: str) -> None:
    """Have every model write what is missing, to be kept. Raises CompresslabError."""
    for prompt, some in unwritten(records, known).items():
        panes = (Pane(label="baseline", source="baseline", model=some[0].model), *map(pane_of, some))
        workspace.texts.submit(GenerateRequest(prompt=prompt, panes=panes, decoding=ANSWER), owner=owner, live=False)


def pane_of(record: RunSummary) -> Pane:
    """The saved weights of a run; its recipe where they are gone."""
    if record.saved_to is None:
        return Pane(label=record.run_id, source="recipe", model=record.model, recipe=record.recipe)
    return Pane(label=record.run_id, source="run", model=record.model, run_id=record.run_id)
