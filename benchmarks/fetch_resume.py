"""Does a fetch that is killed lose, repeat or break anything, and how long does resuming take?

A fetch is killed 50 times (or as often as the first argument says) at random moments, resumed each
time, and compared with one that ran undisturbed. Before that, fetches with 1,000 and with 100,000
verdicts are resumed. The limits: nothing lost, nothing twice, 5 s to the first request.
"""

import collections
import http.server
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

from v2t_lib.shards.example import whole_examples
from v2t_lib.shards.format import DatasetInfo, Verdict
from v2t_lib.shards.slices import SliceWriter, last_verdicts, slices_in
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(frames=4, height=16, width=16)
SIZES = ["--frames", "4", "--size", "16", "--workers", "2"]
# Small slices, so that kills also meet their ends.
SMALL_SLICES = """
import sys
from v2t_lib.cli.main import main
from v2t_lib.shards import plan
if __name__ == "__main__":
    plan.SOURCES = 7
    sys.exit(main(sys.argv[1:]))
"""


def draw(seed: int, path: Path) -> bytes:
    rng = np.random.default_rng(seed)
    pictures = [Image.fromarray(p) for p in rng.integers(0, 256, (6, 24, 24, 3), np.uint8)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=80, loop=0)
    return path.read_bytes()


class Server(http.server.ThreadingHTTPServer):
    """Serves `/N.gif`: every ninth is gone, every tenth a page; each takes its random time."""

    daemon_threads = True

    def __init__(self, gifs: list[bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.gifs, self.asked, self.first = gifs, collections.Counter(), None
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    def urls(self, count: int) -> list[str]:
        return [f"http://127.0.0.1:{self.server_port}/{number}.gif" for number in range(count)]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        server, number = self.server, int(re.findall(r"\d+", self.path)[0])
        server.asked[self.path] += 1
        server.first = server.first or time.monotonic()
        time.sleep(random.random() * 0.05)
        data = b"<html>" if number % 10 == 9 else server.gifs[number % len(server.gifs)]
        self.send_response(404 if number % 9 == 8 else 200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{number}"')
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


def command(path: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", SMALL_SLICES, "fetch", str(path), "--out", str(out), *more]


def captions(path: Path, sources: list[str]) -> Path:
    path.write_text("".join(f"{source}\ta caption of {source}\n" for source in sources))
    return path


def content(out: Path) -> tuple[dict, dict]:
    """Rows and examples (or originals) by source, without what a kill may change."""
    rows = list(last_verdicts(out / "all"))
    assert (out / "manifest.tsv").read_text().count("\n") == len(rows) + 1
    assert len({row.source for row in rows}) == len(rows), "a row twice"
    changing = ("attempts",)
    known = {r.source: {k: v for k, v in vars(r).items() if k not in changing} for r in rows}
    if not (out / "all" / "dataset.json").exists():
        return known, {str(p.relative_to(out)): p.read_bytes() for p in out.glob("clips/*.gif")}
    shards = [out / "all" / shard.name for shard in DatasetInfo.load(out / "all").shards]
    examples = [(e.source, e.serialised) for path in shards for e in whole_examples(path)]
    assert len(dict(examples)) == len(examples), "a clip twice"
    return known, dict(examples)


def done_in(out: Path) -> list[str]:
    """The sources of the slices that are done."""
    return [row.source for one in slices_in(out / "all") for row in one.verdicts]


def killed(base: Path, server: Server, mode: str, kills: int, clips: int) -> None:
    path, out = captions(base / "c.tsv", server.urls(clips)), base / mode.strip("-")
    rng, done, wasted, again = random.Random(mode), 0, 0, 0
    server.asked.clear()
    finished: dict[str, int] = {}
    while True:
        process = subprocess.Popen(
            command(path, out, mode, *SIZES, "--connections", "4"), stderr=subprocess.PIPE
        )
        goal, start = len(finished) + rng.randint(0, 6), time.monotonic()
        patience = rng.uniform(0, 4) if rng.random() < 0.3 else 30
        while process.poll() is None and time.monotonic() - start < patience:
            if len(done_in(out)) > goal:
                break
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.2))
        if done < kills and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            done += 1
        error = process.communicate()[1]
        again += sum(server.asked[name] != count for name, count in finished.items())
        finished = {"/" + source.rsplit("/", 1)[1]: 0 for source in done_in(out)}
        finished = {name: server.asked[name] for name in finished}
        if process.returncode != -signal.SIGKILL:
            break
    assert process.returncode == 0, error.decode()[-3000:]
    wasted = sum(server.asked.values()) - clips
    plain = base / f"undisturbed{mode}"
    subprocess.run(command(path, plain, mode, *SIZES), check=True, stderr=subprocess.DEVNULL)
    equal = content(out) == content(plain)
    print(
        f"{mode}: {done} kills over {clips} clips; {again} finished clips asked for again, "
        f"{wasted} requests more than undisturbed (for clips under way); "
        f"rows and {'shards' if mode == '--shards' else 'files'} equal an undisturbed run's: "
        f"{equal}",
        flush=True,
    )
    assert equal and not again and done == kills


def large(base: Path, server: Server, rows: int) -> None:
    """Time to the first request and peak memory, of a folder with `rows` rows and 20 to come."""
    out = base / f"large-{rows}"
    folder = out / "all"
    folder.mkdir(parents=True)
    there = [f"https://38.media.tumblr.com/{n:032x}/tumblr_{n:019x}_500.gif" for n in range(rows)]
    path = captions(out / "c.tsv", [*there, *server.urls(20)])
    facts = {"attempts": 1, "digest": "0" * 16, "sha256": "0" * 64, "why": "HTTP 404"}
    for first in range(0, rows, 256):
        of_slice = there[first : first + 256]
        verdicts = (Verdict(source, "", "gone", final_url=source, **facts) for source in of_slice)
        SliceWriter(folder, first // 256).finish(SPEC, "0" * 64, tuple(verdicts))
    server.first, start = None, time.monotonic()
    process = subprocess.Popen(
        command(path, out, "--shards", *SIZES, "--limit", str(rows + 20)), stderr=subprocess.PIPE
    )
    error = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, error.decode()[-3000:]
    print(
        f"{rows:,} rows: first request after {server.first - start:.1f} s (limit 5 s), all done "
        f"after {time.monotonic() - start:.1f} s, peak memory {usage.ru_maxrss / 1024:.0f} MB",
        flush=True,
    )


def main():
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        server = Server([draw(seed, base / "x.gif") for seed in range(16)])
        for rows in (1_000, 100_000):
            large(base, server, rows)
        for mode in ("--shards", "--keep"):
            killed(base, server, mode, kills // 2, 20 * kills)


if __name__ == "__main__":
    main()
