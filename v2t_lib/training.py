"""Training: compile defaults, what each epoch reports and keeps, and going on after a stop."""

import dataclasses
import os
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from v2t_lib import encoders
from v2t_lib.captioner import JIT_COMPILE, Captioner, save
from v2t_lib.diversity import COLLAPSE_SHARE
from v2t_lib.errors import DataError
from v2t_lib.losses import sequence_accuracy, sequence_loss
from v2t_lib.pipeline import batches, iter_examples, read_captions_of
from v2t_lib.shards import clip_spec, describe
from v2t_lib.specs import CaptionSpec
from v2t_lib.vocabulary import Vocabulary

MODEL_FILE, BLIND_FILE = "captioner.keras", "blind.keras"


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """How to train; the defaults suit clips of TGIF's size on one GPU."""

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_share: float = 0.05
    weight_decay: float = 0.02
    clip_norm: float = 1.0
    label_smoothing: float = 0.0
    seed: int = 0


def compile_for_training(captioner: Captioner, options: TrainingOptions, steps: int) -> None:
    """AdamW, warm-up and cosine decay over `steps`, gradients clipped by norm."""
    warmup = max(1, round(options.warmup_share * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=options.learning_rate,
        warmup_steps=warmup,
        alpha=0.01,
    )

    def loss(y_true, y_pred):
        return sequence_loss(y_true, y_pred, options.label_smoothing)

    captioner.compile(
        optimizer=keras.optimizers.AdamW(
            schedule,
            weight_decay=options.weight_decay,
            beta_2=0.98,  # short runs: the second moment must follow within a hundred steps
            global_clipnorm=options.clip_norm,
        ),
        loss=loss,
        metrics=[sequence_accuracy],
        jit_compile=JIT_COMPILE,
    )


class SampleCaptions(keras.callbacks.Callback):
    """Captions a few clips each epoch, prints some, and raises an alarm when all are alike."""

    def __init__(self, frames, truths: list[str], shown: int = 3):
        super().__init__()
        self.frames, self.truths, self.shown = frames, truths, shown

    def on_epoch_end(self, epoch, logs=None):
        texts = [caption.text for caption in self.model.caption_frames(self.frames)]
        share = len(set(texts)) / len(texts)
        if logs is not None:
            logs["distinct_captions"] = share
        for text, truth in list(zip(texts, self.truths, strict=True))[: self.shown]:
            print(f"  {text or '(nothing)'}   | truth: {truth}", file=sys.stderr)
        if share < COLLAPSE_SHARE:
            print(
                f"  ALARM: {len(set(texts))} distinct captions for {len(texts)} clips. The model "
                "writes the same whatever it sees: train longer, or lower the learning rate.",
                file=sys.stderr,
            )


class KeepBest(keras.callbacks.Callback):
    """Saves the model whenever the watched loss is the lowest so far."""

    def __init__(self, path: Path, watched: str, best: float = float("inf")):
        super().__init__()
        self.path, self.watched, self.best = path, watched, best

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {})[self.watched]
        if value < self.best:
            self.best = value
            save(self.model, self.path)


class Checkpoint(keras.callbacks.Callback):
    """Keeps weights and optimiser after each epoch, whole or not at all, for `resume`."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def _path(self, epochs: int) -> Path:
        return self.folder / f"{epochs:06d}.weights.h5"

    def clear(self) -> None:
        """Forgets every epoch."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def restore(self, captioner: Captioner) -> int:
        """Loads the newest checkpoint into a compiled captioner; the number of epochs done."""
        paths = sorted(self.folder.glob("[0-9]*.weights.h5"))
        if not paths:
            return 0
        captioner.optimizer.build(captioner.trainable_variables)
        captioner.load_weights(paths[-1])
        return int(paths[-1].name.split(".")[0])

    def on_epoch_end(self, epoch, logs=None):
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / "next.weights.h5"
        self.model.save_weights(temporary, overwrite=True)
        os.replace(temporary, self._path(epoch + 1))
        self._path(epoch).unlink(missing_ok=True)


def _cut_history(history: Path, epochs: int) -> pd.DataFrame:
    """Drops the rows of epochs that no checkpoint holds; they are done again."""
    rows = pd.read_csv(history) if history.exists() and history.stat().st_size else pd.DataFrame()
    if len(rows):
        rows = rows[rows["epoch"] < epochs]
        rows.to_csv(history, index=False)
    return rows


def fit(
    captioner: Captioner,
    shards: str | Path,
    path: Path,
    options: TrainingOptions,
    val: str | Path | None = None,
    resume: bool = False,
) -> keras.callbacks.History:
    """Trains `captioner` on `shards` and keeps its best weights at `path`.

    Beside `path` stand a history (`.csv`, one row an epoch) and a hidden folder with the last
    epoch's checkpoint, which `resume` goes on from.
    """
    history = path.with_name("history.csv" if path.name == MODEL_FILE else f"{path.stem}.csv")
    checkpoint = Checkpoint(path.with_name(f".{path.stem}-checkpoint"))
    if not resume:
        history.unlink(missing_ok=True)
        checkpoint.clear()
    data = batches(
        shards, captioner.vocabulary, captioner.caption_spec, options.batch_size, options.seed
    )
    steps = describe(shards)["captions"] // options.batch_size
    compile_for_training(captioner, options, steps * options.epochs)
    done = checkpoint.restore(captioner)
    rows = _cut_history(history, done)
    watched, val_data, callbacks = "loss", None, []
    if val is not None:
        watched = "val_loss"
        val_data = batches(val, captioner.vocabulary, captioner.caption_spec, options.batch_size)
        if not isinstance(captioner.encoder, encoders.BlindEncoder):  # that one's are all alike
            sample = [example for example, _ in zip(iter_examples(val), range(32), strict=False)]
            frames = np.stack([example.frames for example in sample])
            callbacks.append(SampleCaptions(frames, [example.captions[0] for example in sample]))
    callbacks += [
        KeepBest(path, watched, rows[watched].min() if len(rows) else float("inf")),
        keras.callbacks.CSVLogger(str(history), append=done > 0),
        checkpoint,
    ]
    return captioner.fit(
        data,
        validation_data=val_data,
        epochs=options.epochs,
        initial_epoch=done,
        callbacks=callbacks,
        shuffle=False,
        verbose=1 if sys.stderr.isatty() else 2,
    )


def train(
    shards: str | Path,
    out: str | Path,
    *,
    val: str | Path | None = None,
    encoder: str = "conv3d",
    encoder_options: dict | None = None,
    decoder_options: dict | None = None,
    caption_spec: CaptionSpec | None = None,
    options: TrainingOptions | None = None,
    doubly_stochastic: float = 0.0,
    resume: bool = False,
) -> Captioner:
    """Trains a captioner and its blind twin; writes `captioner.keras`, `blind.keras`, histories.

    The twin has the same decoder and sees nothing (`BlindEncoder`); a third of the epochs is more
    than it needs.

    Args:
        shards: Training shards; the vocabulary is made from their captions alone.
        out: The run's directory.
        val: Shards to choose the best epoch by; by the training loss when left out.
        encoder: A name in `encoders.ENCODERS`.
        encoder_options: Keyword arguments of the encoder.
        decoder_options: Keyword arguments of `AttentionDecoder`.
        caption_spec: Caption length and the vocabulary's minimum count.
        options: How to train.
        doubly_stochastic: See `Captioner`.
        resume: Go on with the run in `out`.
    """
    options, caption_spec = options or TrainingOptions(), caption_spec or CaptionSpec()
    out, spec = Path(out), clip_spec(shards)
    if val is not None and clip_spec(val) != spec:
        raise DataError(f"{val}: expected clips of {spec}. Received: {clip_spec(val)}")
    out.mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary.from_captions(read_captions_of(shards), caption_spec.min_count)
    keras.utils.set_random_seed(options.seed)

    def make(name: str, **encoder_config) -> Captioner:
        return Captioner(
            spec,
            caption_spec,
            vocabulary,
            encoders.get(name, **encoder_config),
            decoder_options,
            doubly_stochastic=0.0 if name == "blind" else doubly_stochastic,
        )

    captioner = make(encoder, **(encoder_options or {}))
    fit(captioner, shards, out / MODEL_FILE, options, val, resume)
    twin = make("blind", memory_size=captioner.encoder.memory_size)
    brief = dataclasses.replace(options, epochs=-(-options.epochs // 3))
    fit(twin, shards, out / BLIND_FILE, brief, val, resume)
    return captioner
