"""Do broken bytes ever do anything but give frames or a ClipError?

    python benchmarks/fuzz_clips.py [--count 20000] [--seed 0] [--workers 2] [--only N]

Breaks the drawn clips of every format and decodes what comes out of it, each within 5 seconds and
500 MB for the whole process. Anything else (another exception, a dead process, a limit passed) is
printed with its number, which `--only` runs again, and makes the exit status 1.
"""

import argparse
import collections
import contextlib
import dataclasses
import io
import itertools
import multiprocessing
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from v2t_lib.clips.decode import decode_clip, iter_frames
from v2t_lib.clips.problems import sniff
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

SECONDS, MEGABYTES = 5.0, 500
#: How a case ends that should not: with another exception, no process, too late, too large.
FAILURES = ("escaped", "died", "hung", "memory")
#: At most so many of a clip's frames are taken one by one.
FRAMES = 32
SPEC = ClipSpec(frames=8, height=32, width=32)
EXTREMES = (b"\0", b"\xff", b"\0\0", b"\xff\xff", b"\x7f\xff", b"\xff\x7f", b"\0" * 4, b"\xff" * 4)


@dataclasses.dataclass(frozen=True)
class Ending:
    """How one case ended: "frames", a ClipError's kind or one of `FAILURES`."""

    number: int
    form: str
    how: str
    seconds: float = 0.0
    megabytes: int = 0
    why: str = ""


def clips() -> list[bytes]:
    """What is broken: drawn clips in every format."""
    from helpers.clips import corpus
    from helpers.video_corpus import video_corpus

    stills, noise = [], np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    for form in ("jpeg", "bmp"):
        file = io.BytesIO()
        Image.fromarray(noise).save(file, form)
        stills.append(file.getvalue())
    # Every format as often as any other, whatever its number of clips.
    forms = collections.defaultdict(list)
    for data in [*corpus().values(), *video_corpus().values(), *stills]:
        forms[sniff(data)].append(data)
    most = max(len(group) for group in forms.values())
    return [group[n % len(group)] for group in forms.values() for n in range(most)]


def broken(rng: np.random.Generator, whole: list[bytes]) -> tuple[str, bytes]:
    """A clip's format and its bytes with one to eight faults in them."""
    original = whole[rng.integers(len(whole))]
    data = bytearray(original)
    for _ in range(int(2 ** rng.uniform(0, 3))):
        at, fault = int(rng.integers(len(data) + 1)), rng.integers(9)
        some = slice(at, at + int(2 ** rng.uniform(0, 8)))
        if fault < 4 and at < len(data):
            data[at] = data[at] ^ 1 << int(rng.integers(8)) if fault < 2 else rng.integers(256)
        elif fault == 4:
            extreme = EXTREMES[rng.integers(len(EXTREMES))]
            data[at : at + len(extreme)] = extreme
        elif fault == 5:
            del data[some]
        elif fault == 6:
            data[at:at] = data[some]
        elif fault == 7:
            other = whole[rng.integers(len(whole))]
            data[some] = other[some]
        elif rng.random() < 0.3:
            del data[at:]
    if rng.random() < 0.7:
        # Most keep their signature, for what doesn't is refused at once.
        data[:12] = original[:12]
    if original[1:4] == b"PNG" and rng.random() < 0.7:
        _mend_checksums(data)
    return sniff(original), bytes(data)


def _mend_checksums(data: bytearray) -> None:
    """Puts right every PNG chunk's checksum, or no fault would ever get past it."""
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        if end + 4 > len(data):
            return
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4


def decode(data: bytes) -> str:
    """Decodes the bytes in both ways: "frames", or the ClipError's kind."""
    with contextlib.suppress(ClipError):
        for frame, seconds in itertools.islice(iter_frames(data), FRAMES):
            assert frame.dtype == np.uint8 and frame.shape[2] == 3 and seconds > 0
    try:
        clip = decode_clip(data, SPEC)
        assert clip.frames.shape == SPEC.shape and (np.diff(clip.seconds) > 0).all()
    except ClipError as error:
        return error.kind
    return "frames"


def peak_megabytes() -> int:
    """The most memory this process has held since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _work(pipe, whole: list[bytes], seed: int, attempt: Callable[[bytes], str]) -> None:
    """Runs in a process of its own: numbers in, endings out."""
    pipe.send("ready")
    while (number := pipe.recv()) is not None:
        form, data = broken(np.random.default_rng([seed, number]), whole)
        forget_peak()
        start, why = time.perf_counter(), ""
        try:
            how = attempt(data)
        except BaseException as error:
            how, why = "escaped", repr(error)
        seconds, megabytes = time.perf_counter() - start, peak_megabytes()
        pipe.send(Ending(number, form, how, seconds, megabytes, why))


def _endings(numbers: Iterator[int], *how: object) -> Iterator[Ending]:
    """Runs cases in one process after another; a new one where one dies or hangs."""
    context, process = multiprocessing.get_context("spawn"), None
    for number in numbers:
        if process is None:
            pipe, other = context.Pipe()
            process = context.Process(target=_work, args=(other, *how), daemon=True)
            process.start()
            other.close()
            pipe.recv()
        pipe.send(number)
        try:
            ending = pipe.recv() if pipe.poll(SECONDS) else Ending(number, "?", "hung", SECONDS)
        except EOFError:
            ending = Ending(number, "?", "died")
        if ending.megabytes > MEGABYTES:
            ending = dataclasses.replace(ending, how="memory")
        yield ending
        if ending.how in ("hung", "died"):
            process.kill()
            process.join()
            process = None
    if process is not None:
        pipe.send(None)
        process.join()


def fuzz(
    numbers: Sequence[int], seed: int, workers: int, attempt: Callable = decode
) -> list[Ending]:
    """Decodes the broken clips of these numbers; how each ended."""
    # Drawn here, for the encoders leave more memory taken than any decoder.
    waiting, lock, endings, whole = iter(numbers), threading.Lock(), [], clips()

    def numbers_of_one() -> Iterator[int]:
        while True:
            with lock:
                number = next(waiting, None)
            if number is None:
                return
            yield number

    def run() -> None:
        for ending in _endings(numbers_of_one(), whole, seed, attempt):
            endings.append(ending)
            if len(endings) % 1000 == 0:
                print(f"{len(endings)} of {len(numbers)}", file=sys.stderr)

    threads = [threading.Thread(target=run) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(endings, key=lambda ending: ending.number)


def report(endings: list[Ending]) -> str:
    """A table of formats and endings, the extremes, and every failure."""
    hows = ["frames", *sorted({e.how for e in endings} - {"frames", *FAILURES}), *FAILURES]
    counts = collections.Counter((e.form, e.how) for e in endings)
    rows = [["", *hows, "all"]]
    for form in [*sorted({e.form for e in endings}), "all"]:
        row = [
            sum(n for (f, h), n in counts.items() if h == how and form in (f, "all"))
            for how in hows
        ]
        rows.append([form, *map(str, row), str(sum(row))])
    lines = [" ".join(f"{cell:>11}" for cell in row) for row in rows]
    slow, large = max(e.seconds for e in endings), max(e.megabytes for e in endings)
    lines.append(f"slowest {slow:.2f} s (limit {SECONDS}), largest {large} MB (limit {MEGABYTES})")
    lines += [f"number {e.number}: {e.how} {e.why}" for e in endings if e.how in FAILURES]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, metavar="N", help="run one number again")
    args = parser.parse_args()
    numbers = range(args.count) if args.only is None else range(args.only, args.only + 1)
    endings = fuzz(numbers, args.seed, args.workers)
    print(report(endings))
    return 1 if any(ending.how in FAILURES for ending in endings) else 0


if __name__ == "__main__":
    sys.exit(main())
