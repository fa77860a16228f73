"""How often a table of arms that are all the same shows a star: by Holm over arms, and with the whole table's test.

    python -m benchmarks.false_stars --tables 400

Arms are random walks over the budgets, so that budgets of one arm go together, as recall does.
"""

import click
import numpy as np

from benchmarks.measuring import machine
from vlmine_dagster.mining.sign_flips import sign_flip_p_values
from vlmine_dagster.mining.significance import wilcoxon_holm

SHOWN_BELOW = 0.025


def stars(rng: np.random.Generator, *, draws: int, arms: int, budgets: int) -> tuple[bool, bool]:
    """Return whether Holm over the arms of a column stars anything, and whether it does with the table's test too."""
    values = rng.normal(0, 1, (draws, arms, budgets)).cumsum(axis=2)
    by_column = np.empty((arms - 1, budgets))
    for budget in range(budgets):
        found = wilcoxon_holm({str(arm): values[:, arm, budget].tolist() for arm in range(arms)}, reference="0")
        by_column[:, budget] = [found[str(arm)] for arm in range(1, arms)]
    differences = (values[:, 1:] - values[:, :1]).reshape(draws, -1)
    by_table = sign_flip_p_values(differences).reshape(by_column.shape)
    return bool((by_column < SHOWN_BELOW).any()), bool((np.maximum(by_column, by_table) < SHOWN_BELOW).any())


@click.command()
@click.option("--tables", default=400, show_default=True)
@click.option("--draws", default=30, show_default=True)
@click.option("--arms", default=8, show_default=True, help="With the reference.")
@click.option("--budgets", default=5, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(tables: int, draws: int, arms: int, budgets: int, seed: int) -> None:
    """Print the share of tables with a star, which should have none."""
    rng = np.random.default_rng(seed)
    found = np.array([stars(rng, draws=draws, arms=arms, budgets=budgets) for _ in range(tables)])
    print(f"{machine('numpy', 'scipy')}; {tables} tables of {arms} arms, {budgets} budgets, {draws} draws\n")
    print(f"Holm over arms: {found[:, 0].mean():.1%}; with the whole table's test: {found[:, 1].mean():.1%}")


if __name__ == "__main__":
    main()
