"""Verifying many pairs of clip and sentence: each clip is decoded and encoded once."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from v2t_lib.captions_file import Pair, without_password
from v2t_lib.errors import ClipError, SentenceError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.over_clips import BATCH, Batch, decode_all, over_clips
from v2t_lib.models.verification import Verification, words_of


@dataclasses.dataclass(frozen=True)
class PairResult:
    """A pair's verification, or why there is none.

    Attributes:
        file: The clip as the pair names it, without a URL's password.
        sentence: The claim.
        found: Its verification, without the `caption`, whose frames would fill the memory; or None.
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


def verify_pairs(
    captioner: Captioner, pairs: Sequence[Pair], workers: int | None = None
) -> Iterator[PairResult]:
    """Yields the result of every pair, in order; a pair that can't be judged stops no other.

    Args:
        captioner: A model with its null memory.
        pairs: The pairs; those of one clip are judged together, wherever they stand.
        workers: As `decode_all` has them.

    Raises:
        ModelError: The model has no null memory.
    """
    captioner.require_null_memory()
    errors = {number: _wrong_with(pair, captioner) for number, pair in enumerate(pairs)}
    of_source: dict[str, list[int]] = {}
    for number, error in errors.items():
        if not error:
            of_source.setdefault(pairs[number].source, []).append(number)

    def judged(batch: Batch) -> list[list[Verification]]:
        numbers = [of_source[source] for source in batch.items]
        rows = [(clip, pairs[n].sentence) for clip, of in enumerate(numbers) for n in of]
        found = _verified(captioner, batch, rows)
        return [list(itertools.islice(found, len(of))) for of in numbers]

    def results() -> Iterator[tuple[int, PairResult]]:
        yield from ((n, _result(pairs[n], error)) for n, error in errors.items() if error)
        clips = decode_all(list(of_source), captioner.clip_spec, workers)
        for source, found in over_clips(captioner, clips, judged):
            numbers = of_source[source]
            each = [str(found)] * len(numbers) if isinstance(found, ClipError) else found
            yield from ((n, _result(pairs[n], one)) for n, one in zip(numbers, each, strict=True))

    waiting: dict[int, PairResult] = {}
    shown = 0
    for number, result in results():
        waiting[number] = result
        while shown in waiting:
            yield waiting.pop(shown)
            shown += 1


def _wrong_with(pair: Pair, captioner: Captioner) -> str:
    if not pair.error:
        try:
            words_of(pair.sentence, captioner.caption_spec)
        except SentenceError as error:
            return str(error)
    return pair.error


def _verified(
    captioner: Captioner, batch: Batch, rows: Sequence[tuple[int, str]]
) -> Iterator[Verification]:
    """Yields the verification of each row: a clip's number in the batch, and a sentence."""
    for first in range(0, len(rows), BATCH):
        some = rows[first : first + BATCH]
        size = 1 if len(rows) == 1 else BATCH  # a single pair isn't worth filling up
        clips, sentences = zip(*filled_up(some, size), strict=True)
        chosen = np.array(clips)
        parts = (batch.frames[chosen], sentences, batch.seconds[chosen], batch.memory[chosen])
        yield from captioner.verify_frames(*parts)[: len(some)]


def _result(pair: Pair, found: Verification | str) -> PairResult:
    """A pair's result by its verification, or by what is wrong."""
    file = without_password(pair.file)
    if isinstance(found, str):
        return PairResult(file, pair.sentence, error=found)
    found = dataclasses.replace(found, source=file, caption=None)
    return PairResult(file, pair.sentence, found)
