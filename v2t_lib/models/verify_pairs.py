"""Verifying many pairs of clip and sentence: each clip is decoded once, results come in order."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from v2t_lib.captions_file import Pair, without_password
from v2t_lib.clips.decode import Clip
from v2t_lib.errors import SentenceError, V2TError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.verification import Verification, words_of

#: Pairs scored at once.
BATCH = 32


@dataclasses.dataclass(frozen=True)
class PairResult:
    """A pair's verification, or why there is none.

    Attributes:
        file: The clip as the pair names it, without a URL's password.
        sentence: The claim.
        found: Its verification, without the `caption`, whose frames and attention would fill the
            memory; None where there is none.
        error: Why there is none; "" where there is one.
    """

    file: str
    sentence: str
    found: Verification | None = None
    error: str = ""

    def to_dict(self) -> dict:
        """The row that `v2t verify --json` prints."""
        if self.found is None:
            return {"file": self.file, "sentence": self.sentence, "error": self.error}
        return self.found.to_dict()


def verify_pairs(captioner: Captioner, pairs: Sequence[Pair]) -> Iterator[PairResult]:
    """Yields the result of every pair, in order.

    Pairs of one clip are judged together, wherever they stand; results wait until it is their turn.

    Raises:
        ModelError: The model has no null memory.
    """
    captioner.require_null_memory()
    done: dict[int, PairResult] = {}
    shown = 0
    for number, result in _results(captioner, pairs):
        done[number] = result
        while shown in done:
            yield done.pop(shown)
            shown += 1


def _results(captioner: Captioner, pairs: Sequence[Pair]) -> Iterator[tuple[int, PairResult]]:
    """Numbered results in the order in which they are found: clip by clip, a batch at a time."""
    rows, clips = [], []
    for number, pair, clip in _readable(captioner, pairs):
        if isinstance(clip, str):
            yield number, _result(pair, error=clip)
            continue
        rows.append((number, pair))
        clips.append(clip)
        if len(rows) == BATCH:
            yield from _judged(captioner, rows, clips)
            rows, clips = [], []
    if rows:
        yield from _judged(captioner, rows, clips)


def _readable(
    captioner: Captioner, pairs: Sequence[Pair]
) -> Iterator[tuple[int, Pair, Clip | str]]:
    """Every pair with its decoded clip, or with what is wrong with it."""
    by_source: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        by_source.setdefault(pair.source, []).append(number)
    for source, numbers in by_source.items():
        clip = None  # decoded, or asked for, once
        for number in numbers:
            error = pairs[number].error or _wrong_with(captioner, pairs[number].sentence)
            if not error and clip is None:
                clip = _decoded(captioner, source)
            yield number, pairs[number], error or clip


def _wrong_with(captioner: Captioner, sentence: str) -> str:
    try:
        words_of(sentence, captioner.caption_spec)
    except SentenceError as error:
        return str(error)
    return ""


def _decoded(captioner: Captioner, source: str) -> Clip | str:
    try:
        return captioner.decode(source)
    except V2TError as error:
        return str(error)


def _judged(
    captioner: Captioner, rows: Sequence[tuple[int, Pair]], clips: Sequence[Clip]
) -> Iterator[tuple[int, PairResult]]:
    size = 1 if len(rows) == 1 else BATCH  # a single pair isn't worth filling up
    sentences, clips = filled_up([pair.sentence for _, pair in rows], size), filled_up(clips, size)
    frames = np.stack([clip.frames for clip in clips])
    seconds = np.stack([clip.seconds for clip in clips])
    found = captioner.verify_frames(frames, sentences, seconds)
    for (number, pair), verification in zip(rows, found, strict=False):
        yield number, _result(pair, verification)


def _result(pair: Pair, found: Verification | None = None, error: str = "") -> PairResult:
    file = without_password(pair.file)
    if found is not None:
        found = dataclasses.replace(found, source=file, caption=None)
    return PairResult(file, pair.sentence, found, error)
