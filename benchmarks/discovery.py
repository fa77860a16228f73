"""How often the interval of the unseen share holds the truth, on subsamples of pools that are counted in full.

    python -m benchmarks.discovery

Classes: images per class of CIFAR-100-LT (exponential, imbalance 100) and of Zipf's law over 1,000 classes. Keywords:
pools of images that mention several keywords at once, words of a topic together. 100 subsamples without replacement
each, seeds 0 to 99; the truth is the share of what was not drawn.
"""

import numpy as np
import numpy.typing as npt

from vlmine_dagster.mining.discovery import cluster_factor, good_turing, new_kinds, unseen_share

Ints = npt.NDArray[np.int64]
_DRAWS = 100


def exponential_classes() -> list[Ints]:
    """Return the class of each image, one class per image, of CIFAR-100-LT."""
    sizes = [int(500 * 0.01 ** (rank / 99)) for rank in range(100)]
    return [np.array([number]) for number, size in enumerate(sizes) for _ in range(size)]


def zipf_classes(class_count: int = 1000, image_count: int = 20_000) -> list[Ints]:
    """Return the class of each image under Zipf's law."""
    weights = 1 / np.arange(1, class_count + 1)
    drawn = np.random.default_rng(0).choice(class_count, image_count, p=weights / weights.sum())
    return [np.array([number]) for number in drawn]


def topic_keywords(image_count: int = 20_000, topics: int = 200, words: int = 25) -> list[Ints]:
    """Return the keywords of each image: one topic by Zipf's law, 3 to 8 of its words and of the common words."""
    rng = np.random.default_rng(1)
    shares = 1 / np.arange(1, topics + 1)
    inner = 1 / np.arange(1, words + 1)
    pool = []
    for topic in rng.choice(topics, image_count, p=shares / shares.sum()):
        own = topic * words + rng.choice(words, rng.integers(2, 5), replace=False, p=inner / inner.sum())
        common = topics * words + rng.choice(words, rng.integers(1, 5), replace=False)
        pool.append(np.concatenate([own, common]))
    return pool


def calibrate(pool: list[Ints], drawn: int) -> dict[str, float]:
    """Return in how many of 100 subsamples the interval holds, its median width, and the errors of both estimates."""
    kinds = max(int(one.max()) for one in pool) + 1
    total = np.bincount(np.concatenate(pool), minlength=kinds)
    rows = []
    for seed in range(_DRAWS):
        order = np.random.default_rng(seed).permutation(len(pool))
        sample = [pool[place] for place in order[:drawn]]
        counts = np.bincount(np.concatenate(sample), minlength=kinds)
        rest = total - counts
        truth = rest[counts == 0].sum() / rest.sum()
        factor = cluster_factor([int((counts[one] == 1).sum()) for one in sample])
        found = unseen_share(counts, drawn_share=drawn / len(pool), cluster=factor)
        more = [pool[place] for place in order[drawn : 2 * drawn]]
        came = np.unique(np.concatenate(more))
        new = new_kinds(counts, sum(map(len, more)), drawn_share=drawn / len(pool))
        fresh = int((counts[came] == 0).sum())
        rows.append(
            (
                found.low <= truth <= found.high,
                found.high - found.low,
                abs(good_turing(counts) - truth),
                abs(found.mean - truth),
                new.low <= fresh <= new.high,
                abs(new.mean - fresh) / max(fresh, 1),
            )
        )
    held, width, turing, chao, new_held, new_error = np.array(rows, dtype=np.float64).T
    return {
        "in the interval": held.sum(),
        "median width": float(np.median(width)),
        "error Good-Turing": turing.mean(),
        "error Chao-Jost": chao.mean(),
        "new kinds in the interval": new_held.sum(),
        "error of new kinds": new_error.mean(),
    }


def main() -> None:
    """Print a Markdown table."""
    pools = {
        "CIFAR-100-LT classes": exponential_classes(),
        "Zipf classes": zipf_classes(),
        "keywords by topic": topic_keywords(),
    }
    print(
        "| pool | drawn | held of 100 | median width | error Good-Turing | error Chao-Jost | new kinds held | error |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, pool in pools.items():
        for drawn in (200, 500, 2000):
            cells = calibrate(pool, drawn)
            shown = [f"{value:.0f}" if "interval" in what else f"{value:.4f}" for what, value in cells.items()]
            print(f"| {name} | {drawn:,} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
