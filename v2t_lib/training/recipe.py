"""Recipe: everything that decides how a captioner is built and trained, in one frozen object."""

import dataclasses

from v2t_lib.specs import CaptionSpec, ClipSpec


@dataclasses.dataclass(frozen=True)
class DecoderOptions:
    """Sizes of `AttentionDecoder`, and its dropout."""

    units: int = 512
    embedding_size: int = 256
    attention_units: int = 512
    dropout: float = 0.0


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """How to train; the defaults suit clips of TGIF's size on one GPU.

    Attributes:
        accumulate: Batches whose gradients make one step of the optimiser.
        ema: Momentum of the exponential moving average of the weights, which is what is evaluated
            and saved; 0 for none.
        scheduled_sampling: Share of input words replaced by the model's own by the end of training
            (arXiv 1506.03099); 0 for none.
        doubly_stochastic: Weight of the doubly stochastic attention penalty (see `Captioner`).
        precision: A Keras dtype policy: `mixed_float16` scales the loss.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_share: float = 0.05
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    label_smoothing: float = 0.0
    accumulate: int = 1
    ema: float = 0.0
    scheduled_sampling: float = 0.0
    doubly_stochastic: float = 0.0
    precision: str = "float32"
    seed: int = 0
    checkpoint_steps: int = 500
    keep_checkpoints: int = 3


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What the model sees, how it is built and how it is trained.

    Attributes:
        clip: What clips are decoded to.
        caption: Caption length and the vocabulary's minimum count.
        encoder: A name in `encoders.ENCODERS`.
        encoder_options: Keyword arguments of the encoder.
        decoder: Sizes and dropout of the decoder.
        training: How to train.
    """

    clip: ClipSpec = dataclasses.field(default_factory=ClipSpec)
    caption: CaptionSpec = dataclasses.field(default_factory=CaptionSpec)
    encoder: str = "conv3d"
    encoder_options: dict = dataclasses.field(default_factory=dict)
    decoder: DecoderOptions = dataclasses.field(default_factory=DecoderOptions)
    training: TrainingOptions = dataclasses.field(default_factory=TrainingOptions)


SHAPES = Recipe(
    clip=ClipSpec(frames=8, height=48, width=48),
    caption=CaptionSpec(length=14),
    training=TrainingOptions(epochs=8, batch_size=32, learning_rate=3e-3),
    encoder_options={
        "widths": (32, 48, 96),
        "strides": ((2, 2, 2), (1, 2, 2), (1, 2, 2)),
        "residual_from": 1,
    },
    decoder=DecoderOptions(units=160, embedding_size=64, attention_units=64),
)
REAL_CLIPS = Recipe(
    clip=ClipSpec(frames=16, height=112, width=112),
    caption=CaptionSpec(length=20, min_count=3),
    training=TrainingOptions(epochs=10, batch_size=32),
)
#: By the name that `v2t train --recipe` takes.
RECIPES = {
    "shapes": SHAPES,
    # What `v2t demo --full` takes an hour for: a wider model, averaged weights.
    "shapes_full": dataclasses.replace(
        SHAPES,
        training=TrainingOptions(epochs=12, batch_size=32, learning_rate=3e-3, ema=0.998),
        decoder=DecoderOptions(units=256, embedding_size=96, attention_units=96, dropout=0.1),
    ),
    # Enough for every line to run, and no more.
    "smoke": dataclasses.replace(
        SHAPES,
        clip=ClipSpec(frames=4, height=24, width=24),
        training=TrainingOptions(epochs=2, batch_size=16, learning_rate=3e-3),
    ),
    "tgif": REAL_CLIPS,
    "folder": REAL_CLIPS,
}
