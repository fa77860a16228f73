"""What commands say of the slices of a list."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlmine_dagster.resources.workbench import Workbench


def slice_words(bench: "Workbench", experiment: str) -> list[str]:
    """Return how many of each slice a list selects, in sentences; none where it has no slices."""
    found = slices_of_list(bench, experiment)
    if not found:
        return []
    counts = ", ".join(f"{one['slice']} {one['selected']:,} of {one['ranked']:,}" for one in found["slices"])
    words = [f"Selected by {found['by']}: {counts}."]
    if found["worst"] is not None:
        words.append(found["worst"])
    return words


def slices_of_list(bench: "Workbench", experiment: str) -> dict[str, Any]:
    """Return the slices of a published list with what is known of each; empty where it has none."""
    slicing = bench.project.settings.slices_of(experiment)
    stamp = bench.lake.stamp("pareto_set", experiment)
    if slicing is None or stamp is None or "slice" not in stamp.columns:
        return {}
    from vlmine_dagster.reporting.slices import slice_rows, worst_text

    is_judged = bench.lake.path("retrain_metrics", experiment).exists()
    metrics = bench.lake.read("retrain_metrics", experiment).to_pylist() if is_judged else []
    rows = slice_rows(bench.lake.read("pareto_set", experiment, columns=["slice", "selected"]), metrics)
    slices = [
        {
            "slice": row.name,
            "ranked": row.pool_count,
            "selected": row.selected_count,
            "recall": row.recall,
            "accuracy_before": row.before,
            "accuracy_after": row.after,
        }
        for row in rows
    ]
    return {"by": slicing.by, "has_floor": slicing.has_floor, "slices": slices, "worst": worst_text(metrics)}
