"""What a run does at its steps' and epochs' ends: reports, keeps the best, and stays alive."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from v2t_lib.errors import ModelError, TrainingError
from v2t_lib.files import replacing
from v2t_lib.metrics.diversity import COLLAPSE_SHARE
from v2t_lib.models.captioner import save
from v2t_lib.training.checkpoints import Checkpoints, Mirror


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

    def __init__(self, path: Path, watched: str, best: float, mirror: Mirror):
        super().__init__()
        self.path, self.watched, self.best, self.mirror = path, watched, best, mirror

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {})[self.watched]
        if value < self.best:
            self.best = value
            save(self.model, self.path)
            self.mirror.put(self.path)


class EmaWeights(keras.callbacks.Callback):
    """Puts the optimiser's moving averages in the weights' place while the model is judged.

    `swap` does it, and a second time undoes it; Keras calls it around each evaluation.
    """

    def swap(self, *_):
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        # Keras's own name for them; its `SwapEMAWeights` adds and subtracts, which loses digits.
        averages = optimizer._model_variables_moving_average
        for weight, average in zip(self.model.trainable_variables, averages, strict=True):
            value = np.array(weight)
            weight.assign(average)
            average.assign(value)

    def on_test_begin(self, logs=None):
        self.swap()

    def on_test_end(self, logs=None):
        self.swap()

    def around(self, callbacks: list[keras.callbacks.Callback]) -> list[keras.callbacks.Callback]:
        """This one, with `callbacks` that see the averages at an epoch's end."""
        swap = keras.callbacks.LambdaCallback
        return [self, swap(on_epoch_end=self.swap), *callbacks, swap(on_epoch_end=self.swap)]


class StopSignal:
    """Ctrl-C, or a request to end, heard at the next step's end; a second one stops at once."""

    def __init__(self):
        self.heard = False

    def _hear(self, number, frame):
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
        print("\n  stopping after this step; once more to stop at once", file=sys.stderr)

    def __enter__(self):
        # Python hears signals in its main thread alone.
        here = threading.current_thread() is threading.main_thread()
        signals = (signal.SIGINT, signal.SIGTERM) if here else ()
        self._before = {number: signal.signal(number, self._hear) for number in signals}
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)


class ResumableState(keras.callbacks.Callback):
    """Saves the run's whole state, and goes on from what was saved.

    Weights, optimiser, schedule, random states, the epoch's running means and the history are
    saved every `every` steps and at each epoch's end, so that a run that was killed at any moment
    ends as if it had not been.

    Args:
        checkpoints: Where states are saved.
        history: The `.csv` file, one row an epoch.
        steps: Steps an epoch.
        every: Steps between two checkpoints.
        order: What decides the order of the data; a run goes on only with the same.
        name_clips: Epoch and step to the clips of that batch, for the error message.
        stop: Whether the user wants the run to stop.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        history: Path,
        steps: int,
        every: int,
        order: dict,
        name_clips: Callable[[int, int], list[str]],
        stop: StopSignal,
    ):
        super().__init__()
        self.checkpoints, self.history, self.steps, self.every = checkpoints, history, steps, every
        self.order, self.name_clips, self.stop = order, name_clips, stop
        self.epoch = self.step = 0
        self.ended = False
        self.rows: list[dict] = []
        self._means: list[float] | None = None

    def resume(self, model) -> None:
        """Sets the compiled model and all that's here to the newest checkpoint, if there is one.

        Raises:
            ModelError: It is another run's.
        """
        model.optimizer.build(model.trainable_variables)
        about = self.checkpoints.restore(_state(model))
        if about is None:
            return
        if about["order"] != self.order:
            raise ModelError(
                f"{self.checkpoints.folder}: expected a run with {self.order}. Received: one with "
                f"{about['order']}; --resume needs these to stay as they were"
            )
        self.epoch, self.step, self.rows = about["epoch"], about["step"], about["rows"]
        if about["means"] is not None:
            _build_metrics(model)
            self._means = about["means"]
        self._write_history()
        print(f"  going on at {self._where()}", file=sys.stderr)

    def _where(self) -> str:
        return f"epoch {self.epoch + 1}, after step {self.step} of {self.steps}"

    def _save(self) -> None:
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()  # within an epoch the variables themselves are empty
        about = {
            "epoch": self.epoch,
            "step": self.step,
            "rows": self.rows,
            "means": [float(v) for v in self.model.metrics_variables] if self.step else None,
            "order": self.order,
        }
        done = self.epoch * self.steps + self.step
        self.checkpoints.save(_state(self.model), done, about)

    def _write_history(self) -> None:
        with replacing(self.history) as temporary:
            pd.DataFrame(self.rows).to_csv(temporary, index=False)
        self.checkpoints.mirror.put(self.history)

    def _stop_if_asked(self) -> None:
        if self.stop.heard:
            raise TrainingError(
                f"stopped at {self._where()}; everything is saved: the same command with --resume "
                "goes on from there"
            )

    def on_epoch_begin(self, epoch, logs=None):
        if self._means is not None:
            for variable, value in zip(self.model.metrics_variables, self._means, strict=True):
                variable.assign(value)
            self._means = None

    def on_train_batch_end(self, batch, logs=None):
        loss = float((logs or {})["loss"])
        if not np.isfinite(loss):
            clips = ", ".join(self.name_clips(self.epoch, self.step))
            raise TrainingError(
                f"expected a finite loss. Received: {loss} at {self._where()}, with the clips "
                f"{clips}. Look at them; if they are sound, lower the learning rate or train in "
                "float32, and --resume goes on from the last checkpoint before"
            )
        self.step += 1
        due = self.step % self.every == 0 and self.step < self.steps
        if due or self.stop.heard:
            self._save()
        self._stop_if_asked()

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append({"epoch": epoch} | {name: float(v) for name, v in (logs or {}).items()})
        self.epoch, self.step = epoch + 1, 0
        self.ended = self.model.stop_training  # by another callback
        self.model.stop_training = True  # each epoch's data go to a `fit` of their own
        self._write_history()
        self._save()
        self._stop_if_asked()


def _build_metrics(model) -> None:
    """Makes the variables of loss and metrics, which Keras puts off until the first batch."""
    targets = np.zeros((1, model.caption_spec.length), "int32")
    logits = np.zeros((*targets.shape, len(model.vocabulary)), "float32")
    model.compute_loss(None, targets, logits)
    model.compute_metrics(None, targets, logits)


def _state(model) -> list:
    """Every variable that outlives a step: weights, random states, the optimiser's."""
    return [*model.variables, *model.optimizer.variables]
