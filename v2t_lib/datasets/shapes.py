"""The embedded data: captioned GIFs that the library draws itself, with ground-truth masks.

Some colour-shape-behaviour combinations never occur in train, val or test; the split `unseen` is
made of them.
"""

import contextlib
import io
from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.datasets.registry import DataSet, register_dataset
from v2t_lib.datasets.shapes_drawing import BEHAVIOURS, COLOURS, MOVES, SHAPES, Thing, draw
from v2t_lib.errors import ClipError, DataError
from v2t_lib.files import replacing
from v2t_lib.progress import Progress
from v2t_lib.shards.example import DRAWN_FILE, MASK_FOLDER
from v2t_lib.shards.workers import Workers, allowed_processes

#: Share of the clips in every split but train, which takes the rest.
SHARES = {"val": 0.04, "test": 0.08, "unseen": 0.04}
SPLITS = ("train", *SHARES)
MASK_COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0))
#: Every held-out clip has a caption in each of three phrasings. A train or val clip has one, drawn
#: with these shares: people, too, have their favourite ways to say a thing.
PHRASING_SHARES = (0.6, 0.25, 0.15)


def _participle(behaviour: str) -> str:
    verb, *way = behaviour.split()
    stem = {"moves": "mov", "spins": "spinn", "shrinks": "shrink"}.get(verb, verb[:-1])
    return " ".join([f"{stem}ing", *way])


def describe(things: tuple[Thing, ...], phrasing: int) -> str:
    """The caption of `things`, named from left to right, in one of the three phrasings."""
    if phrasing == 0:
        return " while ".join(f"a {t.colour} {t.shape} {t.behaviour}" for t in things)
    if phrasing == 1:
        return " and ".join(
            f"the {t.colour} {t.shape} is {_participle(t.behaviour)}" for t in things
        )
    named = " and ".join(f"a {t.colour} {t.shape} {_participle(t.behaviour)}" for t in things)
    return f"there is {named}"


#: Behaviours by how captions say them.
_SAID = {way(behaviour): behaviour for behaviour in BEHAVIOURS for way in (str, _participle)}
_VERBS = {said.split()[0] for said in _SAID}


def references(words: Sequence[str]) -> list[tuple[str, int] | None]:
    """For each word its kind, "colour", "shape" or "behaviour", and its object's number, counted
    from 0 from left to right; None for words about no object.

    The n-th colour, shape and verb belong to the n-th object, a direction to the verb before it.
    """
    kinds: dict[str, Container[str]] = {"colour": COLOURS, "shape": SHAPES, "behaviour": _VERBS}
    counts = dict.fromkeys(kinds, -1)
    about: list[tuple[str, int] | None] = []
    for word in words:
        kind = next((kind for kind, known in kinds.items() if word in known), "")
        if kind:
            counts[kind] += 1
        elif word in MOVES and counts["behaviour"] >= 0:
            kind = "behaviour"
        about.append((kind, counts[kind]) if kind else None)
    return about


def behaviours(words: Sequence[str]) -> list[str]:
    """What each object of a drawn clip does, from left to right, by a caption of any phrasing."""
    said: dict[int, list[str]] = {}
    for word, reference in zip(words, references(words), strict=True):
        if reference and reference[0] == "behaviour":
            said.setdefault(reference[1], []).append(word)
    return [_SAID[" ".join(part)] for part in said.values()]


def encode_gif(pictures: np.ndarray, palette: np.ndarray, delays: list[int]) -> bytes:
    """Writes pictures uint8 `(N, H, W)`, of indices into a palette uint8 `(colours, 3)`, shown for
    `delays` in milliseconds, as an optimised GIF: partial frames, unchanged pixels transparent."""
    first, *others = frames = [Image.fromarray(picture) for picture in pictures]
    for frame in frames:
        frame.putpalette(palette.astype(np.uint8).tobytes())
    file, moving = io.BytesIO(), {"save_all": True, "append_images": others, "duration": delays}
    first.save(file, "GIF", **moving, loop=0, disposal=1, optimize=True)
    return file.getvalue()


def split_sizes(clips: int) -> dict[str, int]:
    """How many of `clips` go into each split."""
    held_out = {split: max(1, round(share * clips)) for split, share in SHARES.items()}
    return {"train": clips - sum(held_out.values()), **held_out}


def _draw_files(out: Path, split: str, numbers: range, seed: int) -> list[tuple[str, str]]:
    """Draws clips into `out`; their captions-file rows."""
    rows = []
    for number in numbers:
        # Seeded by split and number, so that drawing more clips leaves earlier ones as they are.
        rng = np.random.default_rng([seed, SPLITS.index(split), number])
        drawing = draw(rng, unseen=split == "unseen")
        name = f"{split}-{number:05d}.gif"
        phrasings = range(len(PHRASING_SHARES))
        if split in ("train", "val"):
            phrasings = [int(rng.choice(phrasings, p=PHRASING_SHARES))]
        else:
            masks = encode_gif(drawing.masks, np.array(MASK_COLOURS), drawing.delays)
            (out / MASK_FOLDER / name).write_bytes(masks)
        picture = encode_gif(drawing.pictures, drawing.palette, drawing.delays)
        (out / name).write_bytes(picture)
        rows += [(name, describe(drawing.things, phrasing)) for phrasing in phrasings]
    return rows


def _draw_all(jobs: list[tuple], clips: int, workers: int) -> list[tuple[str, str]]:
    """Runs `_draw_files` in processes; the rows in the order of the jobs."""
    captions = []
    with (
        contextlib.closing(Workers(workers, _draw_files)) as pool,
        Progress(total=clips, unit="clip", desc="draw") as progress,
    ):
        for rows in pool.map(jobs):
            if isinstance(rows, ClipError):
                raise DataError(
                    "expected the processes that draw to finish. Received: "
                    f"{rows.message.partition('Received: ')[2]}; take fewer (workers=1)"
                )
            captions += rows
            progress.update(len({source for source, _ in rows}))
    return captions


def write_shapes(out: str | Path, clips: int, seed: int = 0, workers: int | None = None) -> Path:
    """Draws `clips` clips into `out` and returns the captions file.

    Writes `*.gif`, `captions.tsv`, `train.txt`, `val.txt`, `test.txt`, `unseen.txt` and, for the
    last two, `masks/*.gif`: the object named first red, the second green. A clip depends on seed,
    split and number alone.

    Raises:
        ValueError: Fewer than 5 clips.
        DataError: `out` holds other captions, or processes can't be started or end early.
    """
    sizes = split_sizes(clips)
    if min(sizes.values()) < 1:
        raise ValueError(f"expected at least 5 clips, one a split and more. Received: {clips}")
    out = Path(out)
    if (out / "captions.tsv").exists() and not (out / MASK_FOLDER / DRAWN_FILE).exists():
        raise DataError(
            f"{out}: expected a new folder, or one of drawn clips. Received: one with captions.tsv "
            "of something else, which drawing would replace; name another folder (--out)"
        )
    (out / MASK_FOLDER).mkdir(parents=True, exist_ok=True)
    (out / MASK_FOLDER / DRAWN_FILE).write_text("Where the objects of the drawn clips lie\n")
    jobs = [
        (out, split, range(first, min(first + 64, size)), seed)
        for split, size in sizes.items()
        for first in range(0, size, 64)
    ]
    captions = _draw_all(jobs, clips, workers or allowed_processes())
    for split, size in sizes.items():
        listing = "".join(f"{split}-{number:05d}.gif\n" for number in range(size))
        (out / f"{split}.txt").write_text(listing, encoding="utf-8")
    with replacing(out / "captions.tsv") as temporary:
        temporary.write_text("".join(f"{a}\t{b}\n" for a, b in captions), encoding="utf-8")
    return out / "captions.tsv"


@register_dataset("shapes")
class Shapes(DataSet):
    """Drawn clips, which need no download and teach every step in minutes."""

    licence = "Drawn by this library: yours to use as you like"
    recipe = "shapes"
    usual_clips = 8000
    splits = SPLITS

    def captions(self, home: Path) -> Path:
        path = home / "data" / "captions.tsv"
        return path if path.exists() else write_shapes(path.parent, self.clips, self.seed)
