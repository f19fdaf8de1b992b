"""What goes into the model and what comes out: the clip's size and the caption's length."""

import dataclasses

from v2t_lib.options import Options, option


@dataclasses.dataclass(frozen=True)
class ClipSpec(Options):
    """The clip the model sees: uint8 RGB frames of one size, evenly spaced in time."""

    frames: int = option(16, "frames sampled from each clip", "frames", at_least=1)
    height: int = option(112, "height of a frame", "pixels", at_least=1)
    width: int = option(112, "width of a frame", "pixels", at_least=1)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(frames, height, width, 3)`."""
        return (self.frames, self.height, self.width, 3)


class NativeClipSpec(ClipSpec):
    """Frames keep their size and shape, for a model that resizes them itself. Those of twice this
    size or more are first reduced by a whole factor, by area averaging, to no less than this."""


@dataclasses.dataclass(frozen=True)
class CaptionSpec(Options):
    """What captions are cut into, how long they get, and how a beam search chooses."""

    length: int = option(
        20, "most tokens in a caption, the end token included", "tokens", at_least=2
    )
    unit: str = option(
        "word",
        "what captions are cut into: words at their spaces, or also every character of scripts "
        "without spaces, such as Chinese, Japanese or Thai",
        "unit",
        choices=("word", "character"),
    )
    min_count: int = option(
        1, "times a word has to occur in training captions to be learnt", "occurrences", at_least=1
    )
    fewest_words: int = option(0, "fewest words of a generated caption", "words", at_least=0)
    length_exponent: float = option(
        0.7,
        "beams are ranked by log-probability over length to this power (arXiv 1609.08144); the "
        "more, the longer the captions",
        "exponent",
        at_least=0,
    )
