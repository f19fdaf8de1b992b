"""What does a page of thousands of clips weigh, and how soon does Chromium show it?

Drawn clips, no two the same, are written as a page to look through their captions, which Chromium
then opens, scrolls to the end and keeps open; printed are the page's bytes, the seconds until it is
loaded and until the last card is painted, and the most memory of all of Chromium's processes.
"""

import argparse
import os
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import Vocabulary
from v2t_lib.views.review import Review

FRAMES, SIZE, SPEED = 8, 192, 4
TEXT = "a red square moves right"


def drawn(rng: np.random.Generator) -> Caption:
    """A caption of soft noise, which changes more than clips do."""
    coarse = rng.integers(0, 256, (FRAMES, 12, 12, 3), np.uint8)
    large = [Image.fromarray(f).resize((SIZE, SIZE), Image.Resampling.BICUBIC) for f in coarse]
    words = TEXT.split()
    attention = np.full((len(words), 2, 2, 2), 1 / 8, np.float32)
    probs, seconds = np.full(len(words), 0.5), np.arange(FRAMES) / SPEED
    return Caption(TEXT, tuple(words), probs, -1.0, attention, np.stack(large), seconds)


def write(path: Path, clips: int) -> None:
    captioner = Captioner(
        ClipSpec(FRAMES, SIZE, SIZE),
        CaptionSpec(length=8),
        Vocabulary.from_captions([TEXT]),
        encoders.get("blind"),
        {"units": 8, "embedding_size": 8, "attention_units": 8},
    )
    review, rng = Review(captioner, place="clips"), np.random.default_rng(0)
    for number in range(clips):
        review.add(f"{number}.gif", f"{number}.gif", drawn(rng))
    review.write_page(path)


def memory() -> float:
    """MB of the processes that this one has begun, Chromium's; shared pages count once."""
    ours, total = {os.getpid()}, 0
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            _, fields = (process / "stat").read_text().rsplit(")", 1)
            if int(fields.split()[1]) not in ours:
                continue
            ours.add(int(process.name))
            lines = (process / "smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except OSError:  # it has ended
            continue
    return total / 1024


def browse(path: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        most, ended = [0.0], threading.Event()

        def watch() -> None:
            while not ended.wait(0.3):
                most.append(memory())

        watcher = threading.Thread(target=watch)
        watcher.start()
        started = time.monotonic()
        page.goto(f"file://{path}", timeout=300_000)
        loaded = time.monotonic() - started
        page.wait_for_timeout(5000)
        started = time.monotonic()
        for part in range(1, 21):
            page.evaluate("(part) => scrollTo(0, part * document.body.scrollHeight / 20)", part)
            page.evaluate("() => new Promise((shown) => requestAnimationFrame(() => shown()))")
            page.wait_for_timeout(200)
        ended.set()
        watcher.join()
        scrolled = time.monotonic() - started - 20 * 0.2
        script = "() => [...document.images].filter((i) => i.src === i.dataset.moving).length"
        print(f"loaded after {loaded:.1f} s; scrolled through in {scrolled:.1f} s more")
        print(f"playing: {page.evaluate(script)} clips; memory at most {max(most):,.0f} MB")
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--page", type=Path, help="keep the page; one that is there is opened")
    args = parser.parse_args()
    path = (args.page or Path(tempfile.mkdtemp()) / "page.html").absolute()
    if not path.exists():
        started = time.monotonic()
        write(path, args.clips)
        print(f"{args.clips} clips written in {time.monotonic() - started:.0f} s")
    print(f"{path.stat().st_size / 1e6:.1f} MB")
    browse(path)


if __name__ == "__main__":
    main()
