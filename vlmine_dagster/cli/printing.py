"""What the commands print: tables for people, with rich."""

import ast
import inspect
import itertools
import shutil
import textwrap
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from vlmine_dagster.resources.progress import ALL_SHARDS, Step, duration, listening
from vlmine_dagster.resources.visible import visible_text
from vlmine_dagster.settings import DEFAULT_VARIANT

if TYPE_CHECKING:
    from vlmine_dagster.automation.runner import Outcome
    from vlmine_dagster.cli.doctor import Advice
    from vlmine_dagster.cli.forecast import Forecast
    from vlmine_dagster.studies.study import Report

_WIDE = 160  # columns, where the output is no terminal
_SHOWN_FAILURES = 5
_STATE_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def console() -> Console:
    """Return the console; a pipe gets room enough that nothing is cut."""
    columns = shutil.get_terminal_size((_WIDE, 24)).columns
    return Console(width=columns, highlight=False)


def plain(text: object) -> str:
    """Make text of unknown origin harmless in a terminal."""
    return escape(visible_text(str(text)))


class RunDisplay:
    """Progress of `vlmine run`: one line for what is being made, one that stays for what is done.

    Args:
        is_quiet: Show nothing.
    """

    def __init__(self, *, is_quiet: bool):
        self._is_quiet = is_quiet
        self._stack = ExitStack()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[step]}"),
            console=console(),
            transient=True,
            disable=is_quiet,
        )
        self._task = self._progress.add_task("starting", total=None, step="")
        self._overall = self._progress.add_task(ALL_SHARDS, total=None, step="", visible=False)
        self._overall_text = ""
        self._current: str | None = None
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        self._stack.enter_context(listening(self._on_step))
        return self

    def __exit__(self, *_: object) -> None:
        self._close_line()
        self._stack.close()

    def on_run(self, assets: str, partition: str) -> None:
        """Begin a line for a Dagster run."""
        self._close_line()
        where = "" if partition == "pool" else f"[dim]{plain(partition)}[/] "
        self._current, self._started = f"{where}{plain(assets)}", time.monotonic()
        self._progress.update(self._task, description=self._current, step="", total=None, completed=0)

    def _on_step(self, step: Step) -> None:
        text = str(step).partition(": ")[2]
        if step.work == ALL_SHARDS:
            self._overall_text = f", {text}"
            self._progress.update(self._overall, total=step.total, completed=step.done, step=text, visible=True)
            return
        self._progress.update(self._task, total=step.total, completed=step.done, step=text)

    def _close_line(self) -> None:
        if self._current is not None and not self._is_quiet:
            seconds = time.monotonic() - self._started
            self._progress.console.print(f"{self._current} [dim]{seconds:.1f} s{self._overall_text}[/]")
        self._current, self._overall_text = None, ""


def print_outcome(outcome: "Outcome") -> None:
    """Print what a run did, and what to do about what it could not."""
    out = console()
    for table, reason in outcome.skipped.items():
        out.print(f"[yellow]skipped[/] {table}: {plain(reason)}")
    failures: dict[str, list[str]] = {}
    for (asset, partition), text in outcome.failures.items():
        where = "" if text.startswith(asset) else f"{asset}[{partition}]: "
        failures.setdefault(asset, []).append(where + text)
    for asset, texts in failures.items():
        for text in texts[:_SHOWN_FAILURES]:
            out.print(f"[red]failed[/]  {plain(text)}")
        _print_more(out, asset, len(texts))
    lines = _waiting(outcome.waiting)
    for line in lines:
        out.print(f"[yellow]waiting[/] {plain(line)}")
    if lines != [f"{name}: {reason}" for name, reason in outcome.waiting.items()]:
        out.print("[dim]All that waits, and for what: `vlmine run --json`[/]")
    if outcome.is_interrupted:
        out.print("Stopped. What was made stays, and so do answers that were paid for: `vlmine run` goes on from here.")
    elif outcome.stopped:
        out.print("Nothing more was asked of paid models. The run goes on where it stopped.")
    out.print(f"{len(outcome.materialized)} made, {outcome.fresh_count} fresh already, {len(outcome.failures)} failed")
    if outcome.failures:
        out.print("Mend what failed and run again, only that is done. `vlmine run --partial` goes on without it.")


def _waiting(reasons: Mapping[str, str]) -> list[str]:
    """Return a line an asset: its first partition that waits, the first that this one waits for, and how many more."""
    groups: dict[str, list[str]] = {}
    for name in reasons:
        groups.setdefault(name.partition("[")[0], []).append(name)
    lines = []
    for first, *others in groups.values():
        reason, _, more = reasons[first].partition("; ")
        also = f" and {len(others):,} more" if others else ""
        lines.append(f"{first}{also}: {reason}{'; ...' if more else ''}")
    return lines


def print_top(rows: Sequence[Mapping[str, Any]], experiment: str) -> None:
    """Print mined images with their reasons."""
    table = Table(title=f"Mined first by {plain(experiment)}", title_justify="left", box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("image", no_wrap=True)
    table.add_column("why")
    for row in rows:
        table.add_row(str(row["rank"]), plain(row["image_id"]), plain(row["reason"]))
    console().print(table)


def print_status(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a line a table."""
    table = Table(box=None, pad_edge=False)
    for name, justify in (
        ("table", "left"),
        ("fresh", "right"),
        ("rows", "right"),
        ("state", "left"),
        ("outcomes", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        name = row["table"] if row["variant"] == "default" else f"{row['variant']}/{row['table']}"
        if "skipped" in row:
            table.add_row(name, "", "", f"[yellow]skipped: {plain(row['skipped'])}[/]", "")
            continue
        fresh = row["states"].get("fresh", 0)
        table.add_row(name, f"{fresh}/{row['partitions']}", f"{row['rows']:,}", _state(row), _outcomes(row))
    out = console()
    out.print(table)
    for row in rows:
        failures = list(row.get("failures", {}).items())
        for partition, text in failures[:_SHOWN_FAILURES]:
            out.print(f"[red]failed[/] {row['table']}[{plain(partition)}]: {plain(text)}", markup=True)
        _print_more(out, row["table"], len(failures))
    if any(set(row.get("outcomes", {})) - {"ok"} for row in rows):
        out.print("[dim]Images whose outcome is not ok, and why: `vlmine status --failures`[/]")


def print_failed_images(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a line an image that failed, and why."""
    out = console()
    for row in rows:
        variant = "" if row["variant"] == "default" else f"{row['variant']}/"
        told = f"{plain(row['image_id'])}: {plain(row['failure'] or '')}"
        out.print(f"{variant}{row['table']} [yellow]{row['outcome']}[/] {told}", soft_wrap=True)
    out.print(f"{len(rows):,} images whose outcome is not ok.")


def _print_more(out: Console, asset: str, failed: int) -> None:
    """Say how many failures of an asset are not shown, and where all are."""
    if failed > _SHOWN_FAILURES:
        out.print(f"  and {failed - _SHOWN_FAILURES:,} more of {plain(asset)}: `vlmine status --json`")


def _state(row: Mapping[str, Any]) -> str:
    if not row["not_fresh"]:
        return "[green]fresh[/]"
    counts = ", ".join(f"{count} {state}" for state, count in row["states"].items() if state != "fresh")
    shown = ", ".join(row["not_fresh"][:3]) + (" ..." if len(row["not_fresh"]) > 3 else "")
    return f"[yellow]{counts}[/]: {plain(shown)}"


def _outcomes(row: Mapping[str, Any]) -> str:
    parts = [f"{count:,} {outcome}" for outcome, count in row.get("outcomes", {}).items()]
    if row.get("prompt_tokens") or row.get("output_tokens"):
        parts.append(f"{row['prompt_tokens'] + row['output_tokens']:,} tokens")
    if row.get("cost_usd"):
        parts.append(f"${row['cost_usd']:.2f}")
    return ", ".join(parts)


def print_card(card: Mapping[str, Any]) -> None:
    """Print the selection card of one image."""
    out = console()
    out.print(f"[bold]{plain(card['image_id'])}[/]  {plain(card['verdict'])}")
    image = card["image"]
    size = f"{image['width']} x {image['height']} pixels" if image["width"] else "unreadable"
    out.print(f"  {plain(image['uri'])}, {size}, {image['n_bytes']:,} bytes, split {image['split']}")
    _print_extracted(out, card)
    for name, told in card["variants"].items():
        out.print(f"  variant {plain(name)}:")
        _print_extracted(out, told)
    if card["uncertainty"]:
        found = card["uncertainty"]
        out.print(
            f"  entropy {found['entropy']:.3f} nats, variation ratio {found['variation_ratio']:.3f}, "
            f"margin {found['margin']:.3f}; the task model says {plain(found['predicted_label'])!r}"
        )
    if card["experiments"]:
        out.print(_places(card["experiments"]))
        for name, place in card["experiments"].items():
            if place["selected"] and len(place["signals"]) > 1:
                out.print(f"  {plain(name)} mined it: {plain(place['reason'])}")
        told = {s: v["meaning"] for place in card["experiments"].values() for s, v in place["signals"].items()}
        for name, meaning in told.items():
            out.print(f"  [dim]{name}: {plain(meaning)}[/]")


def _print_extracted(out: Console, told: Mapping[str, Any]) -> None:
    """Print what an extraction variant says of an image."""
    if told["description"]:
        out.print(f"  described as: {plain(told['description']['description'])}")
    for word in told["keywords"]:
        out.print(f"  keyword {plain(word['keyword'])!r} in {word['image_count']:,} images ({word['image_share']:.2%})")
    if told["novelty"]:
        found = told["novelty"]
        out.print(
            f"  novelty_min = 1 / {found['min_count']} = {found['novelty_min']:.4g}, "
            f"novelty_mean = 1 / {found['mean_count']:.4g} = {found['novelty_mean']:.4g}"
        )


def _places(experiments: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, justify in (
        ("experiment", "left"),
        ("rank", "right"),
        ("front", "right"),
        ("mined", "left"),
        ("signals", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, place in experiments.items():
        signals = ", ".join(
            f"{s} {v['value']:.4g} (rank {v['rank']:,.10g}{_times(place['weights'][s])})"
            for s, v in place["signals"].items()
        )
        rank = f"{place['rank']:,} of {place['ranked']:,}"
        shown = name if place["variant"] == DEFAULT_VARIANT else f"{name} (variant {place['variant']})"
        table.add_row(plain(shown), rank, f"{place['front']:,}", "yes" if place["selected"] else "no", signals)
    return table


def _times(weight: float) -> str:
    return "" if weight == 1 else f", counts {weight:g} times"


def print_comparison(told: Mapping[str, Any]) -> None:
    """Print experiments and rounds of labels side by side, and what is shown between experiments."""
    out, rows = console(), told["experiments"]
    if any(row["few_recall"] or row["few_accuracy"] for row in rows):
        out.print(_judged(rows, has_rounds=bool(told["rounds"])))
    if tails := sorted({row["few_images"] for row in rows if row["few_recall"]}):
        tail = " to ".join(f"{count:,}" for count in dict.fromkeys((tails[0], tails[-1])))
        out.print(
            f"[dim]95% Wilson intervals over {tail} few-shot images of this one pool and seed. "
            f"Accuracy: seed alone -> largest budget.[/]"
        )
    else:
        names = ", ".join(plain(row["experiment"]) for row in rows)
        out.print(f"No labels of the pool: nobody can say what these lists found of the tail: {names}.")
        out.print(
            "Look at them side by side: the contact sheets in .vlmine/reports, or `vlmine top --experiment NAME`."
        )
    if told["rounds"]:
        out.print(_rounds(told["rounds"]))
        out.print("[dim]Accuracy: of a model that learned from the labelled images alone, on the same test images.[/]")
        out.print(f"[dim]Rounds in MLflow: {told['mlflow_rounds_url']}[/]", soft_wrap=True)
    for title, cells in told["tables"].items():
        out.print(_grid(title, cells))
    _print_words(told["words"])
    out.print(f"[dim]In MLflow (`vlmine ui`), curves: {told['mlflow_curves_url']}[/]", soft_wrap=True)
    out.print(f"[dim]Parameters and metrics side by side: {told['mlflow_url']}[/]", soft_wrap=True)


def _judged(rows: Sequence[Mapping[str, Any]], *, has_rounds: bool) -> Table:
    """Return recall at each budget and accuracy of experiments, as far as somebody could judge them."""
    budgets = next(([point["mined"] for point in row["few_recall"]] for row in rows if row["few_recall"]), [])
    title = "Recall of few-shot images by images mined" if budgets else ""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("experiment")
    has_variants = any(row["variant"] != "default" for row in rows)
    if has_variants:
        table.add_column("variant")
    if has_rounds:
        table.add_column("round", justify="right")
    for mined in budgets:
        table.add_column(f"{mined:,}", justify="right")
    table.add_column("few-shot accuracy", justify="right")
    for row in rows:
        cells = [f"{p['value']:.2f} [dim]{p['low']:.2f}-{p['high']:.2f}[/]" for p in row["few_recall"]]
        accuracy = list(row["few_accuracy"].values())
        shown = f"{accuracy[0]:.2f} -> {accuracy[-1]:.2f}" if accuracy else ""
        names = [plain(row["experiment"]), *([plain(row["variant"])] if has_variants else [])]
        number = [str(row["round"])] if has_rounds else []
        table.add_row(*names, *number, *(cells or [""] * len(budgets)), shown)
    return table


def _rounds(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Rounds of labels", title_justify="left", box=None, pad_edge=False)
    for name in ("round", "labelled", "few-shot left", "few-shot accuracy", "accuracy"):
        table.add_column(name, justify="right")
    for row in rows:
        counts = [row[name] for name in ("labelled_images", "few_images")]
        shares = [row[name] for name in ("few_accuracy", "all_accuracy")]
        told = [f"{n:,.0f}" if n is not None else "" for n in counts]
        table.add_row(str(row["round"]), *told, *(f"{share:.3f}" if share is not None else "" for share in shares))
    return table


def print_studies(questions: Mapping[str, str]) -> None:
    """Print the studies and what they ask."""
    table = Table(box=None, pad_edge=False)
    table.add_column("study", no_wrap=True)
    table.add_column("asks")
    for name, question in questions.items():
        table.add_row(name, question)
    console().print(table)


def print_report(report: "Report") -> None:
    """Print what a study shows, its tables, and where the rest lies."""
    out = console()
    out.print(f"[bold]{plain(report.question)}[/]")
    for title, rows in report.tables.items():
        out.print(_grid(title, rows))
    _print_words(report.words)
    out.print(f"[dim]{plain(report.folder)}[/]", soft_wrap=True)
    out.print(f"[dim]{plain(report.mlflow_url)}[/]", soft_wrap=True)


def _print_words(words: Sequence[str]) -> None:
    for sentence in words:
        console().print(f"- {plain(sentence)}")


def _grid(title: str, rows: Sequence[Mapping[str, str]]) -> Table:
    """Return rows of one set of columns as a table; the first column is a name, the others are numbers."""
    table = Table(title=plain(title), title_justify="left", box=None, pad_edge=False)
    for place, name in enumerate(rows[0] if rows else ()):
        table.add_column(plain(name), justify="right" if place else "left")
    for row in rows:
        table.add_row(*(plain(cell) for cell in row.values()))
    return table


def print_forecast(told: "Forecast") -> None:
    """Print what a run will take."""
    out = console()
    if not told.stages:
        out.print("Nothing to pay or to wait for: no model is asked (the tagger, rules and tags are not counted).")
        return
    table = Table(title="What a run will take", title_justify="left", box=None, pad_edge=False)
    for name in ("stage", "model"):
        table.add_column(name)
    for name in ("calls left", "tokens", "dollars", "time"):
        table.add_column(name, justify="right")
    for stage in told.stages:
        dollars = "unknown" if stage.cost_usd is None else f"${stage.cost_usd:,.2f} +- {stage.cost_error_usd:,.2f}"
        tokens = f"{stage.prompt_tokens + stage.output_tokens:,.0f}"
        table.add_row(stage.stage, plain(stage.model), f"{stage.left:,}", tokens, dollars, duration(stage.hours * 3600))
    out.print(table)
    total = "unknown" if told.cost_usd is None else f"${told.cost_usd:,.2f}"
    limit = "no limit" if told.max_cost_usd is None else f"max_cost_usd ${told.max_cost_usd:g}"
    out.print(f"To pay: {total}. Spent so far: ${told.spent_usd:,.4f} ({limit}).")
    for stage in told.stages:
        failed = f", {stage.failed} of them failed" if stage.failed else ""
        out.print(f"[dim]{stage.stage}: from {stage.sampled} real calls{failed}, kept; price: {plain(stage.price)}.[/]")
    if (
        told.cost_usd is not None
        and told.max_cost_usd is not None
        and told.spent_usd + told.cost_usd > told.max_cost_usd
    ):
        out.print("[yellow]That is more than max_cost_usd: the run will stop in between, and keep what it paid for.[/]")


def print_cache(path: str, byte_count: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what the response cache holds."""
    table = Table(box=None, pad_edge=False)
    for name, justify in (
        ("variant", "left"),
        ("asked", "left"),
        ("answers", "right"),
        ("calls", "right"),
        ("spent", "right"),
        ("", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        use = "in use" if row["is_used"] else "[yellow]unused[/]"
        counts = (f"{row['reply_count']:,}", f"{row['calls']:,}", f"${row['cost_usd']:.4f}")
        table.add_row(row["variant"], plain(row["label"]), *counts, use)
    out = console()
    out.print(f"{plain(path)}, {byte_count / 1e6:.1f} MB")
    out.print(table if rows else "No answers yet: the tagger, rules and tags need none.")


def print_findings(findings: Sequence["Advice"]) -> None:
    """Print what `vlmine doctor` found."""
    out = console()
    for finding in findings:
        style = _STATE_STYLES[finding.state]
        out.print(f"[{style}]{finding.state:4}[/] {finding.subject}: {plain(finding.found)}")
        if finding.advice:
            out.print(f"     {plain(finding.advice)}")


def print_settings(model: type[BaseModel], prefix: str = "") -> None:
    """Print every setting with its default and its meaning."""
    out = console()
    meanings = _meanings(model)
    for name, field in model.model_fields.items():
        default = (
            ""
            if field.is_required() or _models(field.annotation)
            else f" [dim]= {plain(field.get_default(call_default_factory=True))}[/]"
        )
        out.print(f"{prefix}[bold]{name}[/]{default}  {plain(meanings.get(name, ''))}")
        for nested in _models(field.annotation):
            if name != "variants":
                print_settings(nested, prefix=f"{prefix}{name}.")


def _meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring that stands under each setting."""
    meanings: dict[str, str] = {}
    for owner in reversed(model.__mro__[: model.__mro__.index(BaseModel)]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        for setting, said in itertools.pairwise(getattr(definition, "body", [])):
            if (
                isinstance(setting, ast.AnnAssign)
                and isinstance(said, ast.Expr)
                and isinstance(said.value, ast.Constant)
            ):
                meanings[ast.unparse(setting.target)] = inspect.cleandoc(str(said.value.value))
    return meanings


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the settings models inside a type, such as that of `DatasetSettings | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return list(dict.fromkeys(model for part in getattr(annotation, "__args__", ()) for model in _models(part)))
