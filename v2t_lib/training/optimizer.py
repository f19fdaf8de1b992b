"""Compiling a captioner for training: AdamW, its learning-rate schedule, and the loss."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE, MANY_STEPS, jit_from
from v2t_lib.models.encoders.blind import BlindEncoder
from v2t_lib.training.losses import TrainingLoss, sequence_accuracy
from v2t_lib.training.recipe import TrainingOptions


class ScheduledAdamW(keras.optimizers.AdamW):
    """AdamW whose learning rate follows a schedule until it is set, by `ReduceLROnPlateau` say.

    Keras's own optimisers raise when something sets the rate of a schedule.
    """

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        # Negative until set. A variable, so that compiled steps and checkpoints have it.
        self._rate_set = self.add_variable(
            (), initializer=keras.initializers.Constant(-1.0), name="rate_set"
        )

    @property
    def learning_rate(self):
        rate = ops.convert_to_tensor(self._rate_set)
        return ops.where(rate < 0, super().learning_rate, rate)

    @learning_rate.setter
    def learning_rate(self, value):
        self._rate_set.assign(value)


def compile_for_training(captioner: Captioner, options: TrainingOptions, steps: int) -> None:
    """Compiles with AdamW, gradients clipped by global norm, and over all `steps` of the training
    linear warm-up and cosine decay."""
    warmup = max(1, round(options.warmup_share * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - warmup),
        warmup_target=options.learning_rate,
        warmup_steps=warmup,
        alpha=0.01,
    )
    encoder = captioner.encoder
    # Nothing is left of what XLA is slow at, convolutions, where features are computed before.
    light = isinstance(encoder, BlindEncoder) or getattr(encoder, "frozen", False)
    sum_in_order()
    captioner.compile(
        optimizer=ScheduledAdamW(
            schedule,
            weight_decay=options.weight_decay,
            beta_2=0.98,  # short runs: the second moment has to adapt within a hundred steps
            global_clipnorm=options.clip_norm,
            use_ema=bool(options.ema),
            ema_momentum=options.ema or 0.99,
            gradient_accumulation_steps=options.accumulate if options.accumulate > 1 else None,
        ),
        loss=TrainingLoss(options.label_smoothing),
        metrics=[sequence_accuracy],
        jit_compile=jit_from(steps, MANY_STEPS) if light else JIT_COMPILE,
    )


def sum_in_order() -> None:
    """Makes a training step on the CPU give the same bits however busy the machine is.

    From an estimated 205 MB on, TensorFlow's memory optimiser adds the tensors of an `AddN`,
    the gradients of a weight over the decoder's steps say, in an order that depends on the threads.
    It is off where automatic clustering for XLA is on, which changes nothing else on a CPU. With
    GPUs, where it would, this does nothing: there no bits are promised.
    """
    if not tf.config.list_physical_devices("GPU"):
        tf.config.optimizer.set_jit("autoclustering")


def swap_averages(model: Captioner) -> None:
    """Exchanges weights and the optimiser's moving averages of them; a second call restores both.

    Keras's `SwapEMAWeights` adds and subtracts, which loses digits that bit-exact resume needs.
    """
    optimizer: Any = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    averages = optimizer._model_variables_moving_average  # no public name
    for weight, average in zip(model.trainable_variables, averages, strict=True):
        value = np.array(weight)
        weight.assign(average)
        average.assign(value)
