"""Turns off the one optimisation of TensorFlow that lets equal runs end with other bits."""

import tensorflow as tf


def sum_in_order() -> None:
    """Makes a training step on the CPU give the same bits however busy the machine is.

    From an estimated peak of 205 MB on, TensorFlow's memory optimiser turns `AddN` over three or
    more tensors, the gradients of a weight over the decoder's steps say, into a buffer to which
    each tensor is added as soon as it is ready: in an order that depends on the threads. It has no
    switch of its own, but is off where automatic clustering for XLA is on, which changes nothing
    else on a CPU. With GPUs, where it would, this does nothing: there no bits are promised.
    """
    if not tf.config.list_physical_devices("GPU"):
        tf.config.optimizer.set_jit("autoclustering")
