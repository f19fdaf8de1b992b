"""The few exceptions users meet. All say what was expected, what came and what to do."""

import contextlib
from collections.abc import Iterator

#: What a clip's bytes, or the attempt to get them, can turn out to be.
VERDICTS = (
    "ok",
    "gone",
    "forbidden",
    "still",
    "placeholder",
    "not-a-clip",
    "corrupt",
    "too-big",
    "unreachable",
)


class V2TError(Exception):
    """Base of every error this library raises on purpose; `v2t` prints it without a traceback."""


class ClipError(V2TError):
    """A clip that gives no usable frames.

    Args:
        kind: One of `VERDICTS` other than `"ok"`; the word that manifests and reports count by.
        message: What was expected and what came.
    """

    def __init__(self, kind: str, message: str):
        if kind not in VERDICTS or kind == "ok":
            raise ValueError(f"expected kind to be one of {VERDICTS[1:]}. Received: kind={kind!r}")
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class DataError(V2TError):
    """A captions file, split list or shard directory that can't be used as it is."""


class DeviceError(V2TError):
    """Devices asked for that aren't there, or can't be used as they were asked for."""


class ModelError(V2TError):
    """A model file that can't be loaded: corrupt, of another version, or carrying code."""


class TrainingError(V2TError):
    """A run that ended early: interrupted, or by a loss that is no number any more."""


@contextlib.contextmanager
def writing(path: object) -> Iterator[None]:
    """Turns what a full or failing disk raises into a `DataError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise disk_error(path, error.strerror or error) from None


def disk_error(path: object, why: object) -> DataError:
    """The error for a disk that takes no more."""
    return DataError(
        f"expected to write {path}. Received: {why}; nothing finished is lost: make room and run "
        "the same command again, which goes on"
    )
