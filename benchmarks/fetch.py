"""Is fetching as fast as the network or the decoding allows?

Downloading alone beside `curl --parallel`, from the same local server to files; and fetching with
decoding beside packing the same clips from local files, on two cores that also serve.
"""

import contextlib
import functools
import http.server
import multiprocessing
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from timing import medians

from v2t_lib.captions_file import read_captions
from v2t_lib.fetching.download import Downloads
from v2t_lib.fetching.http import DEFAULT_POLICY
from v2t_lib.shards.pack import fetch, pack
from v2t_lib.specs import ClipSpec

CLIPS, DISTINCT, WORKERS = 160, 8, 2
SPEC = ClipSpec()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files from a folder, straight from the system's cache to the socket."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def copyfile(self, source, outputfile):
        outputfile.flush()
        self.connection.sendfile(source)

    def log_message(self, *args):
        pass


def serve(folder: Path, connection) -> None:
    """Runs in a process of its own; sends its port."""
    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket.listen(256)
    connection.send(server.server_port)
    server.serve_forever()


def draw(folder: Path) -> list[Path]:
    """GIFs of about the size and length that TGIF's have: 40 frames, 1.2 MB."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:180, 0:280]
    for clip in range(DISTINCT):
        pictures = []
        for frame in range(40):
            waves = 80 * np.sin((x + 6 * frame + 40 * clip) / 30) * np.cos((y - 4 * frame) / 25)
            level = 128 + waves + rng.normal(0, 3, x.shape)
            grey = np.clip(level, 0, 255).astype(np.uint8)
            pictures.append(Image.fromarray(np.dstack([grey, 255 - grey, grey // 2])).quantize(96))
        first, *rest = pictures
        first.save(folder / f"{clip}.gif", save_all=True, append_images=rest, duration=90, loop=0)
    paths = []
    for number in range(CLIPS):
        paths.append(folder / f"clip-{number:03d}.gif")
        os.link(folder / f"{number % DISTINCT}.gif", paths[-1])
    return paths


def fresh(base: Path):
    """Makes empty folders, one a call."""
    count = iter(range(10**6))

    def make() -> Path:
        folder = base / f"run-{next(count)}"
        folder.mkdir()
        return folder

    return make


def plain(urls: list[str], make) -> None:
    folder, downloads = make(), Downloads()
    with contextlib.closing(downloads):
        coming = [
            downloads.submit(url, downloads.get, url, folder / f"{number}.gif")
            for number, url in enumerate(urls)
        ]
        assert not any(download.result().error for download in coming)
    assert len(list(folder.glob("*.gif"))) == len(urls)


def curl(urls: list[str], make) -> None:
    folder = make()
    config = folder / "curl.txt"
    config.write_text(
        "".join(f'url = "{u}"\noutput = "{folder}/{n}.gif"\n' for n, u in enumerate(urls))
    )
    command = [
        "curl",
        "--silent",
        "--fail",
        "--parallel",
        "--parallel-max",
        str(DEFAULT_POLICY.per_host),
    ]
    subprocess.run([*command, "--config", str(config)], check=True)
    assert len(list(folder.glob("*.gif"))) == len(urls)


def throughput(base: Path) -> None:
    (base / "served").mkdir()
    paths = draw(base / "served")
    size = sum(path.stat().st_size for path in paths)
    parent, child = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    server = context.Process(target=serve, args=(base / "served", child), daemon=True)
    server.start()
    port = parent.recv()
    urls = [f"http://127.0.0.1:{port}/{path.name}" for path in paths]
    remote, local, make = base / "remote.tsv", base / "served" / "local.tsv", fresh(base)
    remote.write_text("".join(f"{url}\ta caption\n" for url in urls))
    local.write_text("".join(f"{path.name}\ta caption\n" for path in paths))
    records, there = read_captions(remote), read_captions(local)
    print(f"{CLIPS} clips of {size / CLIPS / 2**20:.2f} MB, {DEFAULT_POLICY.per_host} connections")
    seconds = medians(9, curl=lambda: curl(urls, make), plain=lambda: plain(urls, make))
    report("downloading alone", "curl --parallel", seconds["plain"], seconds["curl"], size, 0.80)
    seconds = medians(
        3,
        fetch=lambda: fetch(records, remote, make(), spec=SPEC, workers=WORKERS),
        pack=lambda: pack(there, local, make() / "shards", SPEC, WORKERS),
    )
    report("fetching and packing", "packing alone", seconds["fetch"], seconds["pack"], size, 0.85)
    server.terminate()


def report(ours: str, limit: str, seconds: float, best: float, size: int, goal: float) -> None:
    print(
        f"{ours} {CLIPS / seconds:.0f} clips/s, {size / seconds / 2**20:.0f} MB/s; "
        f"{limit} {CLIPS / best:.0f} clips/s, {size / best / 2**20:.0f} MB/s: "
        f"{best / seconds:.0%} (goal {goal:.0%})",
        flush=True,
    )


def main():
    with tempfile.TemporaryDirectory() as folder:
        throughput(Path(folder))


if __name__ == "__main__":
    main()
