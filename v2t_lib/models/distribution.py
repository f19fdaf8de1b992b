"""Several GPUs of one machine: each works on an equal part of every batch."""

import contextlib
from collections.abc import Iterator

import keras

from v2t_lib.errors import DeviceError


class EvenParts(keras.distribution.DataParallel):
    """Gives each device an equal part of a batch, or the whole batch where it has no such parts.

    Attributes:
        whole: Whether every batch that Keras sends goes to each device whole.
    """

    whole = False

    def parts(self, shape) -> keras.distribution.TensorLayout:
        """The layout of `(batch, ...)` in which each device holds as many examples as another."""
        even = shape[0] is not None and shape[0] % self.device_mesh.devices.size == 0
        axes = [self.batch_dim_name if even else None] + [None] * (len(shape) - 1)
        return keras.distribution.TensorLayout(axes, self.device_mesh)

    def get_data_layout(self, data_shape):
        if self.whole:
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        return self.parts(data_shape)


@contextlib.contextmanager
def spread(count: int, batch_size: int) -> Iterator[None]:
    """Within it, batches are spread over the first `count` devices; with 1 all is as without it.

    Losses and weights are those of one device but for rounding. What is trained in it has to be
    made or loaded in it; it can be saved anywhere, and the file loads anywhere.

    Args:
        count: Number of devices: GPUs, or where there are none what XLA takes for CPUs.
        batch_size: Examples a batch, all devices together.

    Raises:
        DeviceError: There are fewer devices, they can't share a batch evenly, or Keras doesn't run
            on JAX, the only backend on which it spreads batches this way.
    """
    if count == 1:
        yield
        return
    backend = keras.backend.backend()
    if backend != "jax":
        raise DeviceError(
            f"expected Keras on JAX for {count} devices. Received: Keras on {backend}; install JAX "
            "for your GPUs, pip install 'jax[cuda12]', and set KERAS_BACKEND=jax"
        )
    there = keras.distribution.list_devices()
    if len(there) < count:
        raise DeviceError(
            f"expected {count} devices. Received: {len(there)} ({', '.join(there)}); ask for no "
            "more, or, if JAX misses GPUs, install it for them: pip install 'jax[cuda12]'"
        )
    if batch_size % count:
        raise DeviceError(
            f"expected batches that {count} devices can share evenly. Received: {batch_size} "
            f"examples a batch; ask for a multiple of {count}"
        )
    with EvenParts(devices=there[:count]).scope():
        yield


@contextlib.contextmanager
def remainders() -> Iterator[None]:
    """Within it, a data set's last batch may have another size than its first.

    Keras lays out all batches of a data set as it does the first, and a smaller one may have no
    equal parts. So batches go to each device whole; `split` leaves it only its part of the work.
    """
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, EvenParts):
        yield
        return
    distribution.whole = True
    try:
        yield
    finally:
        distribution.whole = False


def split(batch):
    """Spreads a batch over the devices in use; Keras does so in `fit`, but not when it predicts.

    Args:
        batch: `(batch, ...)`, an array or a symbolic tensor, or a structure of such.

    Returns:
        The same values. Outside of `spread`, the very batch.
    """
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, EvenParts):
        return batch
    return keras.tree.map_structure(
        lambda part: keras.distribution.distribute_tensor(part, distribution.parts(part.shape)),
        batch,
    )
