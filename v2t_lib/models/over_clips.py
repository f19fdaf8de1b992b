"""Work over many clips: decoded in worker processes, encoded in full batches, results in order."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from v2t_lib.clips.decode import Clip
from v2t_lib.errors import ClipError
from v2t_lib.fetching.download import decode_source
from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.shards.workers import Workers, allowed_processes
from v2t_lib.specs import ClipSpec

#: Clips encoded at once.
BATCH = 32
#: From this many clips on worker processes save more time than they take to start.
WORTH_WORKERS = 8
Source = TypeVar("Source", bound=str | Path)


class Frames(Protocol):
    """What is encoded: a `Clip`, a shard's `Example`."""

    @property
    def frames(self) -> np.ndarray: ...

    @property
    def seconds(self) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Batch:
    """Encoded clips; a smaller last batch is filled up with its last clip."""

    items: list  # what each clip belongs to, without those that fill up
    frames: np.ndarray  # uint8 (batch, T, H, W, 3)
    seconds: np.ndarray  # float64 (batch, T)
    features: np.ndarray  # `Captioner.features` of the frames
    memory: np.ndarray  # float32 (batch, S, D), `Captioner.encode` of the features


def decode_all(
    sources: Sequence[Source], spec: ClipSpec, workers: int | None = None
) -> Iterator[tuple[Source, Clip | ClipError]]:
    """Yields every source, a path or URL, with its decoded clip or the error, in order.

    `workers` are decoding processes, 0 for none; when left out as many as there are cores, and none
    for a few sources.
    """
    if workers is None:
        workers = allowed_processes() if len(sources) >= WORTH_WORKERS else 0
    jobs = ((source, spec) for source in sources)
    with contextlib.ExitStack() as stack:
        if workers:
            processes = Workers(min(workers, len(sources)), decode_source)
            decoded = stack.enter_context(contextlib.closing(processes)).map(jobs)
        else:
            decoded = itertools.starmap(decode_source, jobs)
        yield from zip(sources, decoded, strict=True)


def captions(
    captioner: Captioner, sources: Sequence[Source], beam: int = 1, workers: int | None = None
) -> Iterator[tuple[Source, Caption | ClipError]]:
    """Yields every source, a path or URL, with its caption or the error, in order; `workers` as
    `decode_all` has it."""

    def work(batch: Batch) -> list[Caption]:
        return captioner.caption_frames(batch.frames, beam, batch.seconds, batch.memory)

    return over_clips(captioner, decode_all(sources, captioner.clip_spec, workers), work)


def over_clips(
    captioner: Captioner,
    clips: Iterable[tuple[Any, Frames | ClipError]],
    work: Callable[[Batch], Sequence],
) -> Iterator[tuple[Any, Any]]:
    """Encodes clips a batch at a time and yields the results of `work` on them, in order.

    While a batch is computed, a thread gets the next one ready.

    Args:
        captioner: The model.
        clips: Items, anything, each with its clip or the error in its place, as of `decode_all`.
        work: `work(batch)` returns a result a clip; those of clips that fill up are dropped.
    """
    size = 0
    chunks = _chunks(iter(clips))
    with contextlib.closing(chunks), ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, chunks, None)
        while (chunk := coming.result()) is not None:
            coming = thread.submit(next, chunks, None)
            good = [pair for pair in chunk if not isinstance(pair[1], ClipError)]
            size = BATCH if len(chunk) == BATCH else max(size, len(good))
            results = iter(work(_encoded(captioner, good, size)) if good else ())
            for item, clip in chunk:
                yield item, clip if isinstance(clip, ClipError) else next(results)


def _chunks(clips: Iterator) -> Generator[list, None, None]:
    while chunk := list(itertools.islice(clips, BATCH)):
        yield chunk


def _encoded(captioner: Captioner, pairs: list[tuple[Any, Frames]], size: int) -> Batch:
    clips = filled_up([clip for _, clip in pairs], size)
    frames = np.stack([clip.frames for clip in clips])
    seconds = np.stack([clip.seconds for clip in clips])
    features = captioner.features(frames)
    return Batch([item for item, _ in pairs], frames, seconds, features, captioner.encode(features))
