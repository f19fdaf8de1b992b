"""How much memory does decoding take, however long the clip?

A GIF of 1,000 frames of 500 x 400, twice: one that is composed as palette indices, and one, with
two palettes, as colours. The limit is T + 3 source frames.
"""

import multiprocessing
import sys
import time
from pathlib import Path

from fuzz_clips import forget_peak, peak_megabytes

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from helpers.gif_writer import OTHER, control, gif, image, pattern, screen

from v2t_lib.clips.decode import decode_clip
from v2t_lib.specs import ClipSpec

SPEC, FRAMES, WIDTH, HEIGHT = ClipSpec(), 1000, 500, 400


def long_gif(palette, frames: int) -> bytes:
    """Frames of the whole canvas with transparent pixels, so that each needs all before it."""
    big = pattern(0, WIDTH, HEIGHT)
    pair = [control(5, 1, 7) + image(big), control(5, 1, 7) + image(big[::-1], palette=palette)]
    return gif(*pair * (frames // 2), head=screen((WIDTH, HEIGHT)))


def _measure(palette, answers) -> None:
    decode_clip(long_gif(palette, 2)[:-1], ClipSpec(1, 8, 8))  # Loads what is loaded once.
    data = long_gif(palette, FRAMES)
    forget_peak()
    before, start = peak_megabytes(), time.perf_counter()
    decode_clip(data, SPEC)
    answers.put((len(data) / 2**20, peak_megabytes() - before, time.perf_counter() - start))


def main() -> None:
    context = multiprocessing.get_context("spawn")
    limit = (SPEC.frames + 3) * WIDTH * HEIGHT * 3 / 2**20
    for name, palette in (("indices", None), ("colours", OTHER)):
        answers = context.Queue()
        worker = context.Process(target=_measure, args=(palette, answers))
        worker.start()
        size, more, seconds = answers.get()
        worker.join()
        print(
            f"{FRAMES} frames of {WIDTH} x {HEIGHT} as {name}, a file of {size:.0f} MB: {more} MB "
            f"beyond the file, {seconds:.1f} s; the limit, T + 3 source frames, is {limit:.1f} MB"
        )


if __name__ == "__main__":
    main()
