"""Verifying many pairs of clip and sentence: each clip is decoded and encoded once."""

import dataclasses
from collections.abc import Iterator, Sequence

from v2t_lib.captions_file import Pair, without_password
from v2t_lib.errors import ClipError, DataError, V2TError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import filled_up
from v2t_lib.models.over_clips import BATCH, Batch, decode_all, over_clips
from v2t_lib.models.towers.registry import Towers
from v2t_lib.models.verification import Verification, words_of
from v2t_lib.models.verifier import CANT_TELL


@dataclasses.dataclass(frozen=True)
class PairResult:
    """A pair's verification, or why there is none.

    Attributes:
        file: The clip as the pair names it, without a URL's password.
        sentence: The claim.
        found: Its verification, or None; without `caption`, whose frames would fill the memory.
        error: Why there is none; "" where there is one.
        match: The cosine of two towers; None without.
    """

    file: str
    sentence: str
    found: Verification | None = None
    error: str = ""
    match: float | None = None

    def to_dict(self) -> dict:
        """The row that `v2t verify --json` prints."""
        if self.found is None:
            return {"file": self.file, "sentence": self.sentence, "error": self.error}
        return self.found.to_dict() | {"match": self.match and round(self.match, 4)}


def verify_pairs(
    captioner: Captioner, pairs: Sequence[Pair], workers: int | None = None
) -> Iterator[PairResult]:
    """Yields the result of every pair, in order; a pair that can't be judged stops no other.

    Those of one clip are judged together, wherever they stand; `workers` as `decode_all` has it.

    Raises:
        ModelError: The model has no null memory.
    """
    captioner.require_null_memory()
    done: dict[int, Verification | V2TError] = {}
    of_source: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        try:
            if pair.error:
                raise DataError(pair.error)
            words_of(pair.sentence, captioner.caption_spec)
            of_source.setdefault(pair.source, []).append(number)
        except V2TError as error:
            done[number] = error
    decoded = decode_all(list(of_source), captioner.clip_spec, workers)
    clips = ((of_source[source], clip) for source, clip in decoded)
    results = over_clips(captioner, clips, lambda batch: _judged(captioner, batch, pairs))
    for number, pair in enumerate(pairs):
        while number not in done:
            numbers, found = next(results)
            each = [found] * len(numbers) if isinstance(found, ClipError) else found
            done.update(zip(numbers, each, strict=True))
        result, file = done.pop(number), without_password(pair.file)
        if isinstance(result, V2TError):
            yield PairResult(file, pair.sentence, error=str(result))
        else:
            result = dataclasses.replace(result, source=file, caption=None)
            yield PairResult(file, pair.sentence, result)


def _judged(captioner: Captioner, batch: Batch, pairs: Sequence[Pair]) -> list[list[Verification]]:
    """The verifications of each clip's pairs, whose numbers are the batch's items."""
    rows = [(clip, number) for clip, numbers in enumerate(batch.items) for number in numbers]
    size = 1 if len(rows) == 1 else BATCH  # a single pair isn't worth filling up
    found: dict[int, Verification] = {}
    for first in range(0, len(rows), BATCH):
        clips, numbers = map(list, zip(*filled_up(rows[first : first + BATCH], size), strict=True))
        sentences = [pairs[number].sentence for number in numbers]
        inputs = batch.frames[clips], sentences, batch.seconds[clips], batch.memory[clips]
        found |= zip(numbers, captioner.verify_frames(*inputs), strict=True)
    return [[found[number] for number in numbers] for numbers in batch.items]


def match_pairs(towers: Towers, pairs: Sequence[Pair]) -> Iterator[PairResult]:
    """Yields every pair's result by towers alone, in order: no verdict, but how well both match."""
    sources = dict.fromkeys(pair.source for pair in pairs if not pair.error)
    decoded = decode_all(list(sources), towers.spec)
    seen: dict[str, tuple] = {}  # a clip's and its frames' vectors, and seconds; or the error
    for pair in pairs:
        file = without_password(pair.file)
        try:
            if pair.error:
                raise DataError(pair.error)
            query = towers.text_vectors([pair.sentence])[0]
            while pair.source not in seen:
                source, clip = next(decoded)
                if isinstance(clip, ClipError):
                    seen[source] = (clip,)
                    continue
                found = towers.see([clip.frames])[0]
                seen[source] = found.vector, found.frames, clip.seconds
            if len(seen[pair.source]) == 1:
                raise seen[pair.source][0]
        except V2TError as error:
            yield PairResult(file, pair.sentence, error=str(error))
            continue
        vector, frames, seconds = seen[pair.source]
        frame = int((frames @ query).argmax())
        about = None, None, CANT_TELL, (), frame, float(seconds[frame]), None, (), None
        rated = Verification(file, pair.sentence, *about)
        yield PairResult(file, pair.sentence, rated, match=float(vector @ query))
