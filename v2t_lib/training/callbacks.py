"""Callbacks that watch a run: sample captions, the best model, averaged weights."""

from pathlib import Path

import keras
import numpy as np

from v2t_lib.errors import TrainingError
from v2t_lib.metrics.texts import COLLAPSE_SHARE
from v2t_lib.models.devices import alone
from v2t_lib.models.hosts import current
from v2t_lib.models.saving import save
from v2t_lib.progress import log
from v2t_lib.training.checkpoints import Mirror


class SampleCaptions(keras.callbacks.Callback):
    """Captions a few clips after each epoch, prints some, and warns when they are all alike.

    Adds `distinct_captions` to the logs: the number of different captions, per clip.

    Args:
        frames: uint8 `(clips, T, H, W, 3)`.
        references: A reference caption for each clip.
        shown: How many are printed.
    """

    def __init__(self, frames, references: list[str], shown: int = 3):
        super().__init__()
        self.frames, self.references, self.shown = frames, references, shown

    def on_epoch_end(self, epoch, logs=None):
        texts = [caption.text for caption in self.model.caption_frames(self.frames)]
        distinct = len(set(texts))
        if logs is not None:
            logs["distinct_captions"] = distinct / len(texts)
        for text, reference in list(zip(texts, self.references, strict=True))[: self.shown]:
            log.info("  %s   | reference: %s", text or "(nothing)", reference)
        if distinct / len(texts) < COLLAPSE_SHARE:
            log.warning(
                f"  ALARM: {distinct} distinct captions for {len(texts)} clips. The model "
                "writes the same whatever it sees: train longer, or lower the learning rate."
            )


class KeepBest(keras.callbacks.Callback):
    """Saves the model at the end of each epoch whose loss is the lowest so far.

    Args:
        path: The `.keras` file.
        monitor: The loss's name in the logs.
        best: The lowest loss of the epochs before, when a run is resumed.
        mirror: Copies the file.

    Raises:
        TrainingError: The loss is not finite.
    """

    def __init__(self, path: Path, monitor: str, best: float, mirror: Mirror):
        super().__init__()
        self.path, self.monitor, self.best, self.mirror = path, monitor, best, mirror

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {})[self.monitor]
        if not np.isfinite(value):
            raise TrainingError(
                f"expected {self.monitor} to be finite. Received: {value} after epoch {epoch + 1}; "
                "lower the learning rate, or train in float32"
            )
        if value < self.best:
            self.best = value
            save(self.model, self.path)
            self.mirror.put(self.path)


class OnFirstHost(keras.callbacks.Callback):
    """Calls the callbacks of an epoch's end on the first of several hosts, with its own model.

    The model that is trained lies on all hosts, and works only if all of them take part.

    Args:
        captioner: The first host's own model, which gets the weights.
        callbacks: What is called; each sees `captioner` as its model.
    """

    def __init__(self, captioner, callbacks: list[keras.callbacks.Callback]):
        super().__init__()
        self.captioner, self.callbacks = captioner, callbacks
        for callback in callbacks:
            callback.set_model(captioner)

    def on_epoch_end(self, epoch, logs=None):
        if not current().first:
            return
        weights = self.model.get_weights()
        with alone():
            self.captioner.set_weights(weights)
            for callback in self.callbacks:
                callback.on_epoch_end(epoch, logs)


class EmaWeights(keras.callbacks.Callback):
    """Evaluates and saves the optimiser's moving average of the weights in their place.

    Keras's `SwapEMAWeights` swaps by adding and subtracting, which loses digits; a resumed run
    would no longer be bit-exact.
    """

    def swap(self, *_):
        """Exchanges weights and averages; a second call restores them."""
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        averages = optimizer._model_variables_moving_average  # no public name
        for weight, average in zip(self.model.trainable_variables, averages, strict=True):
            value = np.array(weight)
            weight.assign(average)
            average.assign(value)

    def on_test_begin(self, logs=None):
        self.swap()

    def on_test_end(self, logs=None):
        self.swap()

    def around(self, callbacks: list[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
        """This callback, and `callbacks`, which find the averages at the end of an epoch."""
        swap = keras.callbacks.LambdaCallback
        return [self, swap(on_epoch_end=self.swap), *callbacks, swap(on_epoch_end=self.swap)]
