"""The embedded data: captioned GIFs that the library draws itself, with ground-truth masks.

Some colour-shape-behaviour combinations never occur in train, val or test; the split `unseen` is
made of them.
"""

import io
import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.datasets.registry import DataSet, register_dataset
from v2t_lib.datasets.shapes_drawing import draw
from v2t_lib.datasets.shapes_grammar import PHRASING_SHARES
from v2t_lib.errors import DataError
from v2t_lib.files import replacing
from v2t_lib.progress import Progress
from v2t_lib.shards.pack import DRAWN_FILE, MASK_FOLDER
from v2t_lib.shards.workers import start_pool

#: Share of the clips in every split but train, which takes the rest.
SHARES = {"val": 0.04, "test": 0.08, "unseen": 0.04}
SPLITS = ("train", *SHARES)
MASK_COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0))


def encode_gif(pictures: np.ndarray, palette: np.ndarray, delays: list[int]) -> bytes:
    """Writes palette pictures as an optimised GIF: partial frames, unchanged pixels transparent.

    Args:
        pictures: uint8 `(N, H, W)`, indices into `palette`.
        palette: uint8 `(colours, 3)`.
        delays: `N` delays in milliseconds.
    """
    frames = []
    for picture in pictures:
        frame = Image.fromarray(picture)
        frame.putpalette(palette.astype(np.uint8).tobytes())
        frames.append(frame)
    file = io.BytesIO()
    frames[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=delays,
        loop=0,
        disposal=1,
        optimize=True,
    )
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
        captions = drawing.captions
        if split in ("train", "val"):
            captions = (captions[int(rng.choice(len(PHRASING_SHARES), p=PHRASING_SHARES))],)
        else:
            masks = encode_gif(drawing.masks, np.array(MASK_COLOURS), drawing.delays)
            (out / MASK_FOLDER / name).write_bytes(masks)
        picture = encode_gif(drawing.pictures, drawing.palette, drawing.delays)
        (out / name).write_bytes(picture)
        rows += [(name, caption) for caption in captions]
    return rows


def _draw_all(jobs: list[tuple], clips: int, workers: int) -> list[tuple[str, str]]:
    """Runs `_draw_files` in processes; the rows in the order of the jobs."""
    captions = []
    with start_pool(workers) as pool, Progress(total=clips, unit="clip", desc="draw") as progress:
        try:
            for rows in pool.map(_draw_files, *zip(*jobs, strict=True)):
                captions += rows
                progress.update(len({source for source, _ in rows}))
        except BrokenProcessPool:
            raise DataError(
                "expected the processes that draw to stay. Received: one that was ended, by lack "
                "of memory perhaps; take fewer (workers=1)"
            ) from None
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
    captions = _draw_all(jobs, clips, workers or os.cpu_count() or 1)
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
