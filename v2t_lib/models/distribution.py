"""Data parallelism on the GPUs of one machine or several: each gets an equal part of a batch."""

import contextlib
from collections.abc import Iterator

import keras

from v2t_lib.errors import DeviceError
from v2t_lib.models.hosts import current


def gpus() -> list[str]:
    """The GPUs that Keras computes on; asking JAX for them by kind fails where there are none."""
    if keras.backend.backend() == "torch":  # no keras.distribution there: ask where tensors go
        device = str(keras.ops.zeros(()).device)
        return [device] if device != "cpu" else []
    return [device for device in keras.distribution.list_devices() if device.startswith("gpu")]


class EvenParts(keras.distribution.DataParallel):
    """Splits a batch evenly over the devices; one that can't be split evenly goes to each whole.

    On several hosts `Model.fit` gets from each the rows for its own devices.

    Attributes:
        whole: Whether each device gets every batch of `Model.fit` and the like whole.
    """

    whole = False

    def parts(self, shape) -> keras.distribution.TensorLayout:
        """The layout that splits `(batch, ...)` evenly, or that replicates it."""
        even = shape[0] is not None and shape[0] % self.device_mesh.devices.size == 0
        axes = [self.batch_dim_name if even else None] + [None] * (len(shape) - 1)
        return keras.distribution.TensorLayout(axes, self.device_mesh)

    def get_data_layout(self, data_shape):
        if self.whole:
            return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)
        rows, *rest = data_shape
        return self.parts((rows and rows * current().count, *rest))


@contextlib.contextmanager
def spread(count: int, batch_size: int) -> Iterator[None]:
    """Within it, batches are split over the first `count` devices; a count of 1 changes nothing.

    Losses and weights equal those of one device but for rounding. A model that is trained within it
    has to be created or loaded within it; its `.keras` file loads anywhere.

    Args:
        count: Number of devices: GPUs, or without any XLA's logical CPU devices.
        batch_size: Examples a batch, over all devices.

    Raises:
        DeviceError: There are fewer devices, the batch can't be split evenly, or Keras doesn't run
            on JAX, its only backend with this kind of data parallelism.
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


def check_hosts_share(batch_size: int) -> None:
    """Checks that the devices of all hosts can share a batch evenly.

    Raises:
        DeviceError: They can't.
    """
    count = len(keras.distribution.list_devices())
    if batch_size % count:
        raise DeviceError(
            f"expected batches that {count} devices, those of all hosts, can share evenly. "
            f"Received: {batch_size} examples a batch; ask for a multiple of {count}"
        )


def spread_over_hosts() -> contextlib.AbstractContextManager:
    """Within it, batches are split over all devices of all hosts, see `models.hosts`.

    Every host has to do the same in the same order: create models, assign variables, fit.
    """
    return EvenParts(devices=keras.distribution.list_devices(), auto_shard_dataset=False).scope()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Within it, models and arrays are this host's own, on its first device."""
    before = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(before)


@contextlib.contextmanager
def remainders() -> Iterator[None]:
    """Within it, the last batch of a data set may be smaller than the others.

    Keras uses the layout of a data set's first batch for all, and the last may not split evenly. So
    each device gets the batches whole here; `split`, in the model, divides the work.
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
    """Splits a batch over the devices, which Keras does in `fit` but not in `predict_on_batch`.

    Args:
        batch: `(batch, ...)`, an array or a symbolic tensor, or a structure of such.

    Returns:
        The same values; outside of `spread` the batch itself.
    """
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, EvenParts):
        return batch
    return keras.tree.map_structure(
        lambda part: keras.distribution.distribute_tensor(part, distribution.parts(part.shape)),
        batch,
    )
