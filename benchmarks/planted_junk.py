"""Plants junk in a copy of a pool: pictures that are worth no label, under names that begin with `planted/`.

    python -m benchmarks.planted_junk /data/caltech101-lt --into /data/caltech101-junk --share 0.2

The pool is a folder of tars, as `vlmine protocol` and the benchmarks use them; the copy links to its tars and has one
more shard. Kinds take turns, made of pictures of the pool: blurred, black, washed out, a flat colour, a screenshot
of text, a strip a few pixels high, and a page with a stamp-sized picture on it. With `--kinds chart` they are charts
and tables, which no measure of pixels knows; with `--foreign POOL` pictures of another pool, such as blood cells among
photos, are one more kind. None has a row in `labels.csv`, so nobody but the reviewer knows what they are.
"""

import argparse
import io
import itertools
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

SHARD = "planted/junk-0000"
_WORDS = ("settings", "storage", "battery", "about", "update", "camera", "account", "help", "error", "file", "cancel")


def _blurred(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(max(picture.size) * draw.uniform(0.04, 0.08)))


def _black(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(draw.uniform(0.01, 0.06))


def _washed_out(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    return Image.blend(picture, Image.new("RGB", picture.size, "white"), draw.uniform(0.88, 0.96))


def _flat(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    colour = draw.integers(0, 256, 3)
    noise = draw.normal(0, 2, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8))


def _text(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", picture.size, "white" if draw.random() < 0.5 else "#202020")
    pen, size = ImageDraw.Draw(page), max(6, picture.height // 14)
    for top in range(size, picture.height - size, int(1.6 * size)):
        line = " ".join(draw.choice(_WORDS, 4))
        pen.text((size, top), line, fill="#808080" if draw.random() < 0.3 else "#1060c0", font_size=size)
    return page


def _strip(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    height = max(4, picture.height // 16)
    top = int(draw.integers(0, picture.height - height + 1))
    return picture.crop((0, top, picture.width, top + height))


def _empty(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    page = Image.new("RGB", picture.size, tuple(int(value) for value in draw.integers(0, 256, 3)))
    side = max(2, max(picture.size) // 24)
    page.paste(
        picture.resize((side, side)),
        (int(draw.integers(0, max(1, page.width - side))), int(draw.integers(0, max(1, page.height - side)))),
    )
    return page


def _chart(picture: Image.Image, draw: np.random.Generator) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(draw.uniform(3, 6), draw.uniform(2.5, 5)), dpi=80)
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    kind = draw.choice(["lines", "bars", "points", "pie", "cells", "table"])
    if kind == "lines":
        axes.plot(draw.normal(size=(40, int(draw.integers(1, 5)))).cumsum(axis=0))
    elif kind == "bars":
        axes.bar(range(8), draw.random(8), color=draw.random(3))
    elif kind == "points":
        axes.scatter(*draw.normal(size=(2, 80)), c=draw.random(80))
    elif kind == "pie":
        axes.pie(draw.random(5), labels=list("abcde"))
    elif kind == "cells":
        axes.imshow(draw.random((8, 8)))
    else:
        axes.axis("off")
        axes.table(draw.integers(0, 99, (8, 4)).astype(str).tolist(), loc="center")
    axes.set_title(f"Figure {draw.integers(1, 99)}: {kind}")
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[:, :, :3])


KINDS: Mapping[str, Callable[[Image.Image, np.random.Generator], Image.Image]] = {
    "blurred": _blurred,
    "black": _black,
    "washed-out": _washed_out,
    "flat": _flat,
    "text": _text,
    "strip": _strip,
    "nearly-empty": _empty,
}
_EVERY = {**KINDS, "chart": _chart}
FOREIGN = "foreign"


def plant(
    pool: Path,
    into: Path,
    *,
    share: float,
    random_seed: int = 0,
    kinds: Sequence[str] = tuple(KINDS),
    foreign: Path | None = None,
) -> int:
    """Make a copy of a pool in which this share of the images is junk; return how many were planted.

    Args:
        pool: The pool.
        into: Where the copy goes.
        share: Of the copy.
        random_seed: Which pictures are spoiled, and how.
        kinds: Kinds of junk.
        foreign: A pool whose pictures are one more kind.
    """
    for entry in pool.iterdir():
        target = into / entry.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(entry.resolve()) if entry.is_file() else shutil.copytree(
                entry, target, copy_function=_link
            )
    tars = sorted((pool / "pool").rglob("*.tar"))
    total = sum(1 for tar in tars for _ in _pictures(tar))
    count = round(total * share / (1 - share))
    draw = np.random.default_rng([random_seed, total])
    chosen = set(draw.choice(total, count, replace=count > total).tolist())
    every = itertools.chain.from_iterable(map(_pictures, tars))
    sources = (data for place, data in enumerate(every) if place in chosen)
    file = into / f"{SHARD}.tar"
    file.parent.mkdir(exist_ok=True)
    strangers = [] if foreign is None else itertools.chain.from_iterable(map(_pictures, sorted(foreign.rglob("*.tar"))))
    strange = iter(strangers)
    turns = itertools.cycle([*kinds, *([] if foreign is None else [FOREIGN])])
    with tarfile.open(file, "w") as planted:
        for number, (data, kind) in enumerate(zip(sources, turns, strict=False)):
            content = io.BytesIO()
            if kind == FOREIGN:
                content.write(next(strange))
            else:
                with Image.open(io.BytesIO(data)) as picture:
                    _EVERY[kind](picture.convert("RGB"), draw).save(content, "JPEG", quality=88)
            member = tarfile.TarInfo(f"{kind}-{number:05d}.jpg")
            member.size = content.tell()
            content.seek(0)
            planted.addfile(member, content)
    return count


def _link(source: str, target: str) -> None:
    Path(target).symlink_to(Path(source).resolve())


def _pictures(tar: Path) -> Iterator[bytes]:
    with tarfile.open(tar) as opened:
        for member in opened:
            if member.name.lower().endswith((".jpg", ".jpeg", ".png")):
                found = opened.extractfile(member)
                assert found is not None
                yield found.read()


def main() -> None:
    """Plant junk and say how much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.2)
    parser.add_argument("--random-seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=_EVERY, default=list(KINDS))
    parser.add_argument("--foreign", type=Path)
    given = parser.parse_args()
    options = {"random_seed": given.random_seed, "kinds": given.kinds, "foreign": given.foreign}
    print(f"planted {plant(given.pool, given.into, share=given.share, **options):,} junk images")


if __name__ == "__main__":
    main()
