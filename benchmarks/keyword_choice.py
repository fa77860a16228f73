"""Which keyworder should be the default: rules with phrases of 1 to 3 words, or the describer's own tags?

    python benchmarks/keyword_choice.py --project vlmine.yaml --draws 5

Reads the descriptions of a project that was run, extracts keywords in each way, and prints recall of few-shot images
by novelty alone and by Pareto mining with the probe's entropy, over draws of the seed.
"""

import click
import numpy as np

from assets.models import rule_keyworder
from benchmarks.recall import BUDGETS, Pool, recalls
from resources.describers import Description, Tag
from resources.workbench import Workbench
from vlmine_dagster.mining.novelty import novelty_scores
from vlmine_dagster.mining.vocabulary import count_images
from vlmine_dagster.project import RulesSettings, TagsSettings

CHOICES = {
    "rules, single words": RulesSettings(max_words=1),
    "rules, up to 2 words": RulesSettings(max_words=2),
    "rules, up to 3 words": RulesSettings(max_words=3),
    "tags": TagsSettings(),
}
SHOWN = ("novelty_min", "novelty_mean", "pareto")


@click.command()
@click.option("--project", "file", default="vlmine.yaml", show_default=True, type=click.Path(exists=True))
@click.option("--draws", default=5, show_default=True)
def main(file: str, draws: int) -> None:
    """Print a Markdown table of recall by keyworder, experiment and budget."""
    bench = Workbench(settings_file=file)
    pool = Pool(bench)
    rows = bench.lake.read_all("descriptions", bench.lake.partitions("descriptions")).to_pylist()
    described = {
        row["image_id"]: Description(
            row["image_id"], row["description"], tuple(Tag(t["tag"], t["probability"]) for t in row["tags"] or ())
        )
        for row in rows
    }
    print("| keyworder | keywords | experiment | " + " | ".join(f"{share:.0%}" for share in BUDGETS) + " |")
    print("| --- | ---: | --- |" + " ---: |" * len(BUDGETS))
    for choice, settings in CHOICES.items():
        keyworder = rule_keyworder(settings)
        words = [answer.keywords for answer in keyworder.extract([described[name] for name in pool.ids])]
        counts = count_images(words)
        pool.novelty = {f"novelty_{p}": novelty_scores(words, counts, pooling=p) for p in ("min", "mean")}
        found = [recalls(bench, pool, draw) for draw in range(draws)]
        for name in SHOWN:
            means = np.mean([draw[name] for draw in found], axis=0)
            print(f"| {choice} | {len(counts):,} | {name} | {' | '.join(f'{m:.3f}' for m in means)} |", flush=True)


if __name__ == "__main__":
    main()
