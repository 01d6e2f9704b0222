"""The command line: one thin command per verb of the Workspace."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from compresslab.commands.clean import clean
from compresslab.commands.export import export
from compresslab.commands.frame import interruptible, json_option, open_workspace
from compresslab.commands.layers import layers
from compresslab.commands.models import models
from compresslab.commands.presets import presets
from compresslab.commands.recipe import build_recipe, parse_bytes, recipe_options
from compresslab.commands.report import report
from compresslab.commands.sweep import sweep, sweeps
from compresslab.errors import BadInput, Cancelled, CompresslabError, RunFailed
from compresslab.messages import Message

if TYPE_CHECKING:
    from compresslab.recipes.generation_request import GenerateRequest, Pane
    from compresslab.workspace import Workspace

INTERRUPTED = 130  # what a shell expects after Ctrl-C


def main(arguments: list[str] | None = None) -> int:
    """Run a command; every failure is one sentence on stderr and an exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in words
    try:
        cli.main([word for word in words if word != "--debug"], prog_name="compresslab", standalone_mode=False)
        return 0
    except click.ClickException as error:
        return _failure(_sentence(error), 2, debug)
    except (click.Abort, KeyboardInterrupt):
        return _failure("Stopped.", INTERRUPTED, debug)
    except CompresslabError as error:
        return _refused(error, words, debug)
    except BrokenPipeError:  # whoever read our output has had enough
        sys.stderr.close()
        return 1
    except Exception as error:  # noqa: BLE001 a defect of ours
        said = " ".join(str(error).split())[:200].rstrip(".")
        return _failure(f"An unexpected {type(error).__name__}: {said}; --debug shows where.", 1, debug)


def _failure(sentence: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(sentence, err=True)
    return code


def _refused(error: CompresslabError, words: Sequence[str], debug: bool) -> int:
    """With --json the sentence stands beside its code and values, in one line."""
    sentence = str(error)
    if "--json" in words:
        sentence = json.dumps({"error": sentence, **error.message.to_json()}, ensure_ascii=False)
    return _failure(sentence, error.exit_code, debug)


def _sentence(error: click.ClickException) -> str:
    """Click's complaint on one line, with the way out where it has none."""
    said = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{said}; see `{context.command_path if context else 'compresslab'} --help`."


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error. May stand anywhere.")
@click.version_option(package_name="compresslab", prog_name="compresslab")
def cli(debug: bool) -> None:
    """Shrink a Transformer language model, and see what that costs in quality and buys in size and speed."""


# -- recipes ------------------------------------------------------------------------------------


@cli.command()
@recipe_options
@click.option("--draft", is_flag=True, help="A quarter of the measuring, nothing kept.")
@json_option
def run(draft: bool, as_json: bool, **recipe: Any) -> None:
    """Compress and measure in this process; the run is kept."""
    from compresslab.commands import output

    made, workspace = build_recipe(**recipe), open_workspace()
    with redirect_stdout(sys.stderr), interruptible() as cancelled, output.ProgressBar() as bar:
        record = workspace.run(made, report=bar.show, cancelled=cancelled, stage="draft" if draft else "final")
    output.print_json(record.model_dump(mode="json")) if as_json else output.print_record(record)


@cli.command()
@recipe_options
@click.option("--follow", is_flag=True, help="Show its events until it has ended.")
@json_option
def submit(follow: bool, as_json: bool, **recipe: Any) -> None:
    """Put a run into the queue; a worker does it."""
    from compresslab.commands import output

    workspace = open_workspace()
    job = workspace.submit(build_recipe(**recipe))
    if not workspace.jobs.workers():
        click.echo("No worker is running; `compresslab worker` starts one.", err=True)
    if not follow:
        output.print_json({"job": job}) if as_json else click.echo(job)
        return
    click.echo(f"Job {job}; Ctrl-C stops watching, not the job.", err=True)
    with output.ProgressBar() as bar:
        run_id = _follow(workspace, job, bar.show)
    record = workspace.runs.find(run_id)
    output.print_json({"job": job} | record.model_dump(mode="json")) if as_json else output.print_record(record)


def _follow(workspace: Workspace, job_id: int, show: Callable[[Any], None]) -> str:
    """Show events until the job has ended; returns its run. Raises RunFailed, Cancelled."""
    seen = 0
    while True:
        job = workspace.jobs.find(job_id)  # before its events: none come after the end
        for number, event in workspace.jobs.events(job_id, seen):
            show(event)
            seen = number
        if job.state == "cancelled":
            raise Cancelled(job.error or "job.stopped")
        if job.state == "failed":
            raise RunFailed(job.error or Message("job.failed"))
        if job.state == "done":
            return str(job.run_id)
        time.sleep(0.1)


@cli.command()
@recipe_options
@json_option
def estimate(as_json: bool, **recipe: Any) -> None:
    """What can be said before anything runs: bytes, to the last one where that can be known."""
    from compresslab.commands import output

    told = open_workspace().estimate(build_recipe(**recipe))
    output.print_json(output.estimate_data(told)) if as_json else output.print_estimate(told)


@cli.command()
@recipe_options
@json_option
def sensitivity(as_json: bool, **recipe: Any) -> None:
    """Measure, once, what every matrix of a model loses under every setting: what estimates of quality rest on."""
    from compresslab.commands import output

    made, workspace = build_recipe(**recipe), open_workspace()
    with redirect_stdout(sys.stderr), interruptible() as cancelled, output.ProgressBar() as bar:
        table = workspace.sensitivity.measure(made, report=bar.show, cancelled=cancelled)
    output.print_json(table.model_dump(mode="json")) if as_json else output.print_sensitivity(table)


@cli.command()
@recipe_options
@click.option("--budget", help="Of the packed file: bytes, or such as 2MB.")
@click.option("--ratio", type=click.FloatRange(min=1, min_open=True), help="How many times smaller than the baseline.")
@click.option("--method", multiple=True, help="Add a step with its defaults; quantize_rtn where the recipe has none.")
@click.option("--yaml", "as_yaml", is_flag=True, help="The recipe alone, to be run.")
@json_option
def allocate(
    budget: str | None, ratio: float | None, method: tuple[str, ...], as_yaml: bool, as_json: bool, **recipe: Any
) -> None:
    """Bits and sparsity for every matrix, so that the file keeps to a budget at least predicted damage."""
    from compresslab.commands import output
    from compresslab.recipes.recipe import Recipe

    made, workspace = build_recipe(**recipe), open_workspace()
    wanted = method or (() if made.steps else ("quantize_rtn",))
    made = Recipe.from_dict(made.to_dict() | {"steps": [*made.to_dict()["steps"], *wanted]})
    found = workspace.allocate(made, budget_bytes=None if budget is None else parse_bytes(budget), ratio=ratio)
    if as_yaml:
        click.echo(found.to_yaml(), nl=False)
        return
    told = workspace.estimate(found)
    if as_json:
        output.print_json({"recipe": found.to_dict(), "estimate": output.estimate_data(told)})
    else:
        output.print_allocation(found)
        output.print_estimate(told)


cli.add_command(models)
cli.add_command(presets)
cli.add_command(layers)
cli.add_command(report)
cli.add_command(export)
cli.add_command(clean)
cli.add_command(sweep)
cli.add_command(sweeps)


@cli.command()
@json_option
def methods(as_json: bool) -> None:
    """Every method and metric with its settings, their ranges and defaults."""
    from compresslab.commands import output
    from compresslab.recipes.method import METHODS
    from compresslab.recipes.metric import METRICS
    from compresslab.work.plugins import left_out

    if not as_json:
        output.print_methods(METHODS.values(), METRICS.values())
        return
    methods = [output.describe(m, "name", "title", "kind", "summary", "paper") for m in METHODS.values()]
    metrics = [output.describe(m, "name", "title", "summary") for m in METRICS.values()]
    output.print_json({"methods": methods, "metrics": metrics, "left_out": [asdict(broken) for broken in left_out()]})


@cli.command()
@click.argument("ids", nargs=-1)
@click.option("--clear", is_flag=True, help="Delete these, or all where none is named.")
@json_option
def statistics(ids: tuple[str, ...], clear: bool, as_json: bool) -> None:
    """What is kept of calibration, so that it is measured once: how much room it takes on disk, and taking it away; and
    how much memory the caches of a process may take."""
    from compresslab.commands import output

    workspace = open_workspace()
    if ids and not clear:
        raise BadInput("statistics.needs_clear")
    freed = workspace.statistics.clear(ids or None) if clear else 0
    entries, room, memory = workspace.statistics.entries(), workspace.statistics.room(), workspace.statistics.memory()
    if as_json:
        kept, taken = [asdict(entry) for entry in entries], sum(entry.bytes for entry in entries)
        output.print_json({"statistics": kept, "bytes": taken, "room": room, "freed": freed, "memory": asdict(memory)})
    else:
        output.print_statistics(entries, room, freed if clear else None)
        output.print_memory(memory)


# -- runs ---------------------------------------------------------------------------------------


@cli.command()
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@json_option
def runs(limit: int, as_json: bool) -> None:
    """What was done so far, newest first."""
    from compresslab.commands import output

    found = open_workspace().runs
    if as_json:
        output.print_json_list("runs", (record.model_dump(mode="json") for record in found.each(limit)))
    else:
        output.print_runs(found.rows(limit=limit))


@cli.command()
@click.argument("run")
@click.option("--recipe", "as_recipe", is_flag=True, help="Its recipe as YAML, to run it again.")
@json_option
def show(run: str, as_recipe: bool, as_json: bool) -> None:
    """One run, whole; the start of its id is enough."""
    from compresslab.commands import output
    from compresslab.recipes.recipe import Recipe

    record = open_workspace().runs.find(run)
    if as_recipe:
        click.echo(Recipe.from_dict(record.recipe).to_yaml(), nl=False)
    else:
        output.print_json(record.model_dump(mode="json")) if as_json else output.print_record(record)


@cli.command()
@click.argument("run", nargs=-1, required=True)
@json_option
def compare(run: tuple[str, ...], as_json: bool) -> None:
    """Two or more runs side by side."""
    from compresslab.commands import output

    rows = open_workspace().runs.compare(run)
    output.print_json({"metrics": rows}) if as_json else output.print_comparison(rows)


@cli.command()
@click.argument("run")
@click.option("--undo", is_flag=True, help="Bring it back; possible for a day.")
def delete(run: str, undo: bool) -> None:
    """Take a run out of sight; its weights leave the disk a day later."""
    workspace = open_workspace()
    if undo:
        workspace.runs.restore(run)
        return
    run_id = workspace.runs.find(run).run_id
    workspace.runs.delete(run_id)
    click.echo(f"Deleted; `compresslab delete --undo {run_id}` brings it back for a day.", err=True)


# -- texts ---------------------------------------------------------------------------------------


@cli.command()
@click.argument("weights", nargs=-1, required=True, metavar="RUN_OR_MODEL...")
@click.option("--prompt", required=True, help="What the text begins with.")
@click.option("--set", "changes", multiple=True, metavar="SETTING=VALUE", help="strategy, max_new_tokens, seed, ...")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--runtime", type=click.Choice(["auto", "torch", "onnxruntime"]), default="auto", show_default=True)
@click.option("--chat/--plain", "as_chat", default=None, help="A question, or a text to continue; by the tokenizer.")
@click.option("--system", default="", help="What a chat begins with: who the model is to be.")
@click.option("--template", help="The chat template of that name, where the tokenizer has several.")
@json_option
def generate(
    weights: tuple[str, ...],
    prompt: str,
    changes: tuple[str, ...],
    as_chat: bool | None,
    system: str,
    template: str | None,
    as_json: bool,
    **where: Any,
) -> None:
    """Answer the same question, or continue the same text, with several weights, one after the other.

    All start from the same seed. It is a question where every model's tokenizer has a chat template.
    """
    from compresslab.commands import output
    from compresslab.models.facts import read_facts
    from compresslab.recipes.generation_request import chat_of

    workspace = open_workspace()
    panes = tuple(_pane(workspace, name) for name in weights)
    offered = as_chat is None and all(read_facts(pane.model).chat.named for pane in panes)
    where["chat"] = chat_of(as_chat, system, template, offered=offered)
    writer = output.PaneWriter(quiet=as_json)
    request = _request(prompt, panes, changes, where)
    with redirect_stdout(sys.stderr) if as_json else nullcontext(), interruptible() as cancelled:
        workspace.texts.write(request, writer.show, cancelled)
    if as_json:
        said = {"prompt": prompt, "chat": request.chat and request.chat.model_dump()}
        output.print_json(said | {"decoding": request.decoding.model_dump(), "panes": writer.panes})


def _pane(workspace: Workspace, name: str) -> Pane:
    """A run by the start of its id; else a model."""
    from compresslab.models.source import locate
    from compresslab.recipes.generation_request import Pane

    try:
        record = workspace.runs.find(name)
    except BadInput as not_a_run:
        if "/" not in name and locate(name).folder is None:
            raise BadInput("generate.no_model_or_run", name=name, reason=not_a_run.message) from None
        return Pane(label=name, source="baseline", model=name)
    return Pane(label=f"run {record.run_id}", source="run", run_id=record.run_id, model=record.model)


def _request(prompt: str, panes: tuple[Pane, ...], changes: tuple[str, ...], where: dict[str, Any]) -> GenerateRequest:
    from compresslab.recipes.generation_request import Decoding, GenerateRequest
    from compresslab.recipes.typed import value_of

    values, controls = {}, {control.name: control for control in Decoding.controls()}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals:
            raise BadInput("generate.not_a_setting", given=change)
        values[name] = value_of(controls.get(name), text)
    return GenerateRequest(prompt=prompt, panes=panes, decoding=Decoding.parse(values, "decoding"), **where)


# -- queue ---------------------------------------------------------------------------------------


@cli.command()
@click.option("--all", "ended_too", is_flag=True, help="Those that have ended, too.")
@json_option
def jobs(ended_too: bool, as_json: bool) -> None:
    """The queue: jobs and workers."""
    from compresslab.commands import output

    workspace = open_workspace()
    states = ("queued", "running", *(("done", "failed", "cancelled") if ended_too else ()))
    rows, workers = workspace.jobs.in_states(states), workspace.jobs.workers()
    if as_json:
        output.print_json({"jobs": [asdict(row) for row in rows], "workers": [asdict(worker) for worker in workers]})
    else:
        output.print_jobs(rows, workers)


@cli.command()
@click.argument("job", type=int)
def cancel(job: int) -> None:
    """Stop a job that is queued or running."""
    open_workspace().jobs.cancel(job)


@cli.command()
def worker() -> None:
    """Do the queue's jobs until Ctrl-C. Several workers may share a store."""
    from compresslab.work.worker import serve

    serve()


@cli.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Where to serve; 8501 or the next free one.")
@click.option("--host", default="localhost", show_default=True, help="The address to serve at; 0.0.0.0 is all.")
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="A folder whose models and texts people may name, and no others. Repeatable.",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def dashboard(port: int | None, host: str, folders: tuple[str, ...], no_browser: bool) -> None:
    """Serve the dashboard, with a worker, until Ctrl-C.

    On this machine alone unless --host says otherwise; then nothing but what --folder names can be read from it.
    """
    from compresslab.work.launcher import serve

    serve(port, host=host, folders=folders, browser=not no_browser, say=lambda text: click.echo(text, err=True))
