"""`vlmine vocabulary`: keywords that mean one thing, and what counting them as one would change."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from vlmine_dagster.cli.group import as_json
from vlmine_dagster.cli.session import open_bench
from vlmine_dagster.cli.terminal import console, plain, print_json, print_table, short_name, table_of
from vlmine_dagster.domain.counting import counted
from vlmine_dagster.domain.errors import ConfigError

if TYPE_CHECKING:
    from vlmine_dagster.mining.merges import Merge, Proposal
    from vlmine_dagster.resources.workbench import Workbench
    from vlmine_dagster.studies.vocabulary_trial import Change, Trial

Columns = dict[str, Literal["left", "right"]]

_SHOWN = 20
_RULES = ("lemma", "spelling", "spaces", "synonym", "meaning")


@click.command()
@click.option("--show", "is_shown", is_flag=True, help="Show what would enter and leave the list.")
@click.option("--apply", "is_applied", is_flag=True, help="Write the proposals into vocabulary.csv.")
@click.option("--written", "is_written", is_flag=True, help="Propose nothing; show only the merges in vocabulary.csv.")
@click.option("--rule", "rules", multiple=True, type=click.Choice(_RULES), help="Only proposals of this rule.")
@click.option("--only", multiple=True, metavar="KEYWORD", help="Only the proposal of this keyword.")
@click.option("--without", multiple=True, metavar="KEYWORD", help="Leave out the proposal of this keyword.")
@click.option(
    "--words",
    type=click.Path(path_type=Path, dir_okay=False),
    help="More synonyms: your own file, one group per line with commas, or WordNet's index.noun.",
)
@click.option(
    "--similar",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Similarity from which merges by meaning are proposed. Default: .8.",
)
@click.option(
    "--leave-out", "unwanted", multiple=True, metavar="KEYWORD", help="Do not count this keyword; make no proposals."
)
@click.option("--experiment", help="List to show. Default: the usual one of those that count keywords.")
@as_json
def vocabulary(
    *,
    is_shown: bool,
    is_applied: bool,
    is_written: bool,
    rules: tuple[str, ...],
    only: tuple[str, ...],
    without: tuple[str, ...],
    words: Path | None,
    similar: float | None,
    unwanted: tuple[str, ...],
    experiment: str | None,
    is_json: bool,
) -> None:
    """Propose keywords to count as one: lemmas, spellings, synonyms, and words of one meaning; or leave some out.

    Nothing changes before --apply, which writes vocabulary.csv beside vlmine.yaml and shows who enters and leaves.
    That file may be edited by hand too; `vlmine run` then uses it.
    """
    from vlmine_dagster.mining.merges import LEAST_SIMILARITY, Merge, checked_merges, version_of
    from vlmine_dagster.scoring.proposed_merges import left_out, proposed_merges
    from vlmine_dagster.scoring.vocabulary_file import read_merges, write_merges

    bench = open_bench()
    file = bench.project.vocabulary_file
    merges, own = read_merges(file), own_synonyms(words)
    least = LEAST_SIMILARITY if similar is None else similar
    if unwanted:
        found = left_out(bench, merges, unwanted)
    else:
        found = [] if is_written else proposed_merges(bench, merges, synonyms=own, rules=rules, least=least)
    chosen = choose(found, only=only, without=without)
    wanted = [*merges, *(Merge(one.keyword, one.merged_into) for one in chosen)]
    if is_shown or is_applied:
        lines = ((line, one.keyword, one.merged_into) for line, one in enumerate(wanted, start=2))
        checked_merges(lines, where=file.name)
    trial = trial_of(bench, experiment, wanted) if is_shown or (is_applied and chosen) else None
    if is_applied and chosen:
        write_merges(file, wanted)
    report = _report(bench, merges, chosen, trial, version=version_of(wanted), is_applied=is_applied)
    print_json(report) if is_json else print_vocabulary(report, chosen, trial)


def own_synonyms(words: Path | None) -> dict[str, str]:
    """Return the first word of its group, by word, of a file of synonyms.

    Raises:
        ConfigError: the file cannot be read, names a word twice, or holds no group.
    """
    from vlmine_dagster.mining.spellings import SYNONYMS, read_groups
    from vlmine_dagster.mining.wordnet import is_wordnet_index, wordnet_groups

    if words is None:
        return {}
    try:
        text = words.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--words: {words} cannot be read: {error}") from error
    if is_wordnet_index(text):
        return wordnet_groups(text, groups=SYNONYMS)
    groups = read_groups(text, where=str(words))
    if all(word == first for word, first in groups.items()):
        raise ConfigError(
            f"--words: {words} has no line with two words. Write one group per line, with commas between words, or "
            f"give WordNet's index.noun."
        )
    return groups


def choose(found: "Sequence[Proposal]", *, only: Sequence[str], without: Sequence[str]) -> "list[Proposal]":
    """Return the proposals that are asked for.

    Raises:
        ConfigError: a keyword that is named has no proposal.
    """
    from vlmine_dagster.domain.hints import did_you_mean

    known = {one.keyword for one in found}
    for name in (*only, *without):
        if name not in known:
            raise ConfigError(f"no merge of the keyword {name!r} is proposed{did_you_mean(name, known)}")
    return [one for one in found if one.keyword not in without and (not only or one.keyword in only)]


def trial_of(bench: "Workbench", experiment: str | None, merges: "Sequence[Merge]") -> "Trial":
    """Return who would enter and leave a list.

    Raises:
        ConfigError: there is no such experiment, or none that counts keywords.
    """
    from vlmine_dagster.cli.mined import experiment_of
    from vlmine_dagster.settings import default_experiment
    from vlmine_dagster.studies.vocabulary_trial import try_merges

    if experiment is not None:
        experiment_of(bench, experiment)
        return try_merges(bench, experiment, merges)
    counting = [name for name, one in bench.project.settings.strategies.items() if one.counts_keywords]
    if not counting:
        raise ConfigError(
            "no experiment counts keywords: none has the signal novelty_min or novelty_mean. Name one by --experiment."
        )
    return try_merges(bench, default_experiment(counting), merges)


def _report(
    bench: "Workbench",
    merges: "Sequence[Merge]",
    chosen: "Sequence[Proposal]",
    trial: "Trial | None",
    *,
    version: str,
    is_applied: bool,
) -> dict[str, Any]:
    from vlmine_dagster.scoring.vocabulary_file import vocabulary_version

    return {
        "file": str(bench.project.vocabulary_file),
        "merges": len(merges),
        "unit": bench.project.settings.unit,
        "version": vocabulary_version(bench.project),
        "version_with_proposals": version,
        "proposals": [asdict(one) for one in chosen],
        "applied": is_applied and bool(chosen),
        "list": None if trial is None else asdict(trial),
    }


def print_vocabulary(report: dict[str, Any], chosen: "Sequence[Proposal]", trial: "Trial | None") -> None:
    """Print proposals, who would enter and leave the list, and what to do next."""
    from vlmine_dagster.domain.counting import LEFT_OUT

    out = console()
    if chosen:
        columns: Columns = {
            "keyword": "left",
            "images": "right",
            "merged into": "left",
            "of images": "right",
            "why": "left",
        }
        table = table_of(columns, title="Keywords that may mean the same")
        for one in chosen[:_SHOWN]:
            numbers = f"{one.keyword_count:,}", f"{one.target_count:,}"
            why = one.rule if one.similarity is None else f"{one.rule} {one.similarity:.2f}"
            into = ["(left out)", ""] if one.merged_into == LEFT_OUT else [plain(one.merged_into), numbers[1]]
            table.add_row(plain(one.keyword), numbers[0], *into, why)
        print_table(table)
        if len(chosen) > _SHOWN:
            out.print(f"[dim]and {len(chosen) - _SHOWN:,} more; `vlmine vocabulary --json` prints all.[/]")
    else:
        out.print("No merge is proposed.")
    if trial is not None:
        print_trial(trial, noun=report["unit"])
    if report["applied"]:
        merges = counted(report["merges"] + len(chosen), "merge")
        out.print(f"Written: {plain(report['file'])}, {merges}, version {report['version']}.")
        out.print("Next: look at it with git diff, then vlmine run")
    elif chosen:
        out.print("[dim]Nothing has changed. --show lists what enters and leaves the list, --apply writes the file.[/]")


def print_trial(trial: "Trial", *, noun: str) -> None:
    """Print which images or objects would enter and leave a list."""
    out = console()
    before, after = trial.keyword_count
    merged = counted(before, "keyword becomes", "keywords become")
    enters = counted(len(trial.enters), f"{noun} enters", f"{noun}s enter")
    leaves, stays = counted(len(trial.leaves), "leaves", "leave"), counted(trial.stays, "stays", "stay")
    out.print(f"{plain(trial.experiment)}: {merged} {after:,}; {enters} the list, {leaves} it, {stays}.")
    for title, changes in (("Enter", trial.enters), ("Leave", trial.leaves)):
        if changes:
            print_table(_changes_table(title, changes, noun=noun))
    if trial.taken_as_published:
        tables = " and ".join(trial.taken_as_published)
        out.print(f"[dim]{tables} depend on keywords too and were taken as published; `vlmine run` updates them.[/]")


def _changes_table(title: str, changes: "Sequence[Change]", *, noun: str) -> Any:
    columns: Columns = {noun: "left", "rank before": "right", "after": "right", "why": "left"}
    table = table_of(columns, title=f"{title}: first {_SHOWN}" if len(changes) > _SHOWN else title)
    for one in changes[:_SHOWN]:
        ranks = ["-" if rank is None else f"{rank:,}" for rank in (one.before, one.after)]
        table.add_row(plain(short_name(one.image_id)), *ranks, plain(one.reason))
    return table
