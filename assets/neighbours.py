"""Stage `neighbour_scores`: how lonely an image is among all, and how far from the labelled ones."""

from vlmine_dagster.engine.stages import Product, StageRun
from vlmine_dagster.scoring.evidence import SeedAndPool
from vlmine_dagster.scoring.neighbours import neighbour_scores


def compute(run: StageRun) -> Product:
    """Make the signals that an experiment asks for; the columns of the others stay empty."""
    wanted = run.project.settings.asked_signals("neighbour_scores", variant=run.variant)
    known = SeedAndPool(run, is_described=False)
    rows = neighbour_scores(run, known, wanted)
    facts = {"scored": rows.num_rows, "labelled seed images": len(known.labels), "signals": ", ".join(wanted)}
    return Product(rows, facts)
