"""Frozen descriptions of what goes into the model: the clip's size and the caption's length."""

import dataclasses


def _check_positive(spec: object) -> None:
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(
                f"expected {type(spec).__name__}.{field.name} to be a whole number of at least 1. "
                f"Received: {value!r}"
            )


@dataclasses.dataclass(frozen=True)
class ClipSpec:
    """The clip the model sees: `frames` pictures of `height` x `width` pixels, RGB, uint8."""

    frames: int = 16
    height: int = 112
    width: int = 112

    def __post_init__(self):
        _check_positive(self)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(frames, height, width, 3)`."""
        return (self.frames, self.height, self.width, 3)


@dataclasses.dataclass(frozen=True)
class CaptionSpec:
    """The caption the model writes: at most `length` tokens, the last of them END.

    A word has to occur `min_count` times in the training captions to enter the vocabulary.
    """

    length: int = 20
    min_count: int = 1

    def __post_init__(self):
        _check_positive(self)
