"""Recipe: everything that decides how a captioner is built and trained, in one frozen object."""

import dataclasses
import json
import typing

from v2t_lib.options import Options, option
from v2t_lib.specs import CaptionSpec, ClipSpec


@dataclasses.dataclass(frozen=True)
class DecoderOptions(Options):
    """Sizes of `AttentionDecoder`, and its dropout."""

    units: int = option(512, "size of the LSTM's state", "units", at_least=1)
    embedding_size: int = option(
        256, "size of word embeddings and of the layer before the logits", "units", at_least=1
    )
    attention_units: int = option(
        512, "size of the space in which attention compares query and memory", "units", at_least=1
    )
    dropout: float = option(
        0.0, "dropout of word embeddings and before the logits", "share", at_least=0, below=1
    )


@dataclasses.dataclass(frozen=True)
class TrainingOptions(Options):
    """How to train: AdamW with warmup and cosine decay, and what is kept of the run."""

    epochs: int = option(20, "passes over the training captions", "epochs", at_least=1)
    batch_size: int = option(
        32, "captions in a batch, each with its clip", "captions", at_least=1, flag="batch"
    )
    learning_rate: float = option(1e-3, "AdamW's peak learning rate", "rate", above=0)
    warmup_share: float = option(
        0.05, "share of the steps in which the rate rises from 0", "share", at_least=0, at_most=1
    )
    weight_decay: float = option(0.02, "AdamW's weight decay", "rate", at_least=0)
    clip_norm: float = option(1.0, "largest norm of a step's whole gradient", "norm", above=0)
    label_smoothing: float = option(
        0.0, "share of a training target spread over all words", "share", at_least=0, below=1
    )
    captions_per_clip: int = option(
        0, "captions drawn of each clip's for an epoch; 0 for all of them", "captions", at_least=0
    )
    epoch_steps: int = option(
        1, "fewest batches in an epoch, by several passes if need be", "batches", at_least=1
    )
    accumulate: int = option(
        1, "batches to a step of the optimiser, where memory is short", "batches", at_least=1
    )
    ema: float = option(
        0.0,
        "momentum of the weights' exponential moving average, which is evaluated and saved in "
        "their place; 0.999 suits long runs, 0 turns it off",
        "momentum",
        at_least=0,
        below=1,
    )
    scst_samples: int = option(
        5, "captions sampled of each clip in self-critical training", "captions", at_least=2
    )
    # At 1 most samples are so much worse than greedy captions that the stage makes these worse.
    scst_temperature: float = option(
        0.5, "of sampling in self-critical training", "temperature", above=0
    )
    precision: str = option(
        "float32",
        "Keras dtype policy; the mixed ones are for GPUs, or mixed_bfloat16 for JAX",
        "policy",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
    )
    seed: int = option(
        0, "seed of weights, batch order and all else drawn", "number", at_least=0, below=2**32
    )
    checkpoint_steps: int = option(
        500, "steps between checkpoints; each epoch ends with one too", "steps", at_least=1
    )
    keep_checkpoints: int = option(3, "last checkpoints to keep", "checkpoints", at_least=1)


@dataclasses.dataclass(frozen=True)
class Recipe(Options):
    """What the model sees, how it is built and how it is trained.

    `train` takes the shards' clip size. `encoder_options` are the encoder's keyword arguments,
    values as in JSON; lists become tuples. A part of another type raises `ValueError`.
    """

    clip: ClipSpec = dataclasses.field(default_factory=ClipSpec)
    caption: CaptionSpec = dataclasses.field(default_factory=CaptionSpec)
    encoder: str = option("conv3d", "encoder's name; `v2t encoders` lists them", "name")
    encoder_options: dict = dataclasses.field(default_factory=dict)
    decoder: DecoderOptions = dataclasses.field(default_factory=DecoderOptions)
    training: TrainingOptions = dataclasses.field(default_factory=TrainingOptions)

    def __post_init__(self):
        super().__post_init__()
        for name, kind in typing.get_type_hints(type(self)).items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise ValueError(
                    f"expected Recipe.{name} to be a {kind.__name__}. Received: {value!r}"
                )
        object.__setattr__(self, "encoder_options", _with_tuples(self.encoder_options))

    def to_dict(self) -> dict:
        """The recipe in JSON's types, as a `.keras` file and `v2t recipes --json` hold it."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: dict) -> "Recipe":
        """The recipe that `to_dict` describes, `captioner.recipe` say."""
        parts = {
            name: kind(**values[name])
            for name, kind in typing.get_type_hints(cls).items()
            if issubclass(kind, Options)
        }
        return cls(**values | parts)


def _with_tuples(value):
    """JSON's values with tuples for its lists, so that equal recipes compare equal."""
    if isinstance(value, dict):
        return {name: _with_tuples(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_with_tuples, value))
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(
        "expected Recipe.encoder_options to hold numbers, strings, lists and the like. "
        f"Received: {value!r}"
    )
