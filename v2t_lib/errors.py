"""The library's exceptions. Their messages say what was expected, what came and what to do."""

import contextlib
import re
from collections.abc import Iterator

#: The possible outcomes of fetching and decoding a clip: "ok", then the kinds of `ClipError`.
VERDICTS = (
    *("ok", "gone", "forbidden", "still", "placeholder", "not-a-clip", "corrupt", "too-big"),
    "unreachable",
)


class V2TError(Exception):
    """Base class of the library's errors; `v2t` prints them without a traceback."""


class ClipError(V2TError):
    """A clip without usable frames; `kind` is one of `VERDICTS` except "ok"."""

    def __init__(self, kind: str, message: str):
        if kind not in VERDICTS or kind == "ok":
            raise ValueError(f"expected kind to be one of {VERDICTS[1:]}. Received: kind={kind!r}")
        super().__init__(kind, message)
        self.kind, self.message = kind, message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class SentenceError(V2TError):
    """A sentence that can't be judged: without words, or longer than the model writes."""


class DataError(V2TError):
    """A captions file, split list or shard directory that is missing, damaged or unsuitable."""


class DeviceError(V2TError):
    """More devices than there are, or ones that can't be used this way."""


class ClusterError(V2TError):
    """A Spark cluster, or a folder that its machines share, that can't be used."""


class ModelError(V2TError):
    """A model file that can't be loaded: corrupt, of another version, or containing code."""


class TrainingError(V2TError):
    """Training that ended early: interrupted, by the number `signal`, or 0: it couldn't go on."""

    def __init__(self, message: str, signal: int = 0):
        super().__init__(message)
        self.signal = signal


def out_of_memory(error: BaseException) -> bool:
    """Whether a backend's error says that memory ran out; each has a class of its own for it."""
    if isinstance(error, V2TError):
        return False
    signs = ("RESOURCE_EXHAUSTED", "OOM when allocating", "ut of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in signs)


#: What to do, by what is in the operating system's reason.
_ADVICE = {
    "No space left|quota exceeded|File too large": (
        "what is finished is kept: make room and run the same command again to continue"
    ),
    "Read-only|Permission denied|not permitted": "name a folder that can be written",
    "File exists|Not a directory": "a file is in the folder's place: name another folder",
    "Is a directory|symbolic": "name another file",
}


@contextlib.contextmanager
def writing(path: object) -> Iterator[None]:
    """Turns the `OSError` of a full or read-only disk into a `DataError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error.strerror or error) from None


def disk_error(path: object, why: object) -> DataError:
    """The error for a file that can't be written."""
    return DataError(f"expected to write {path}. Received: {why}; {advice(str(why))}")


def advice(why: str) -> str:
    """What to do about the operating system's reason `why`."""
    known = (what for pattern, what in _ADVICE.items() if re.search(pattern, why))
    return next(known, "correct that and run the same command again")
