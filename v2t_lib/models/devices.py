"""Data parallelism: each of several devices gets an equal part of a batch."""

import contextlib
from collections.abc import Iterator

import keras

from v2t_lib.errors import DeviceError
from v2t_lib.models.hosts import check_backend, current


def gpus() -> list[str]:
    """The GPUs that Keras computes on; asking JAX for them by kind fails where there are none."""
    if keras.backend.backend() == "torch":  # no keras.distribution there: ask where tensors go
        device = str(keras.ops.zeros(()).device)
        return [device] if device != "cpu" else []
    return [device for device in keras.distribution.list_devices() if device.startswith("gpu")]


class EvenParts(keras.distribution.DataParallel):
    """Splits a batch evenly over the devices; one that can't be split evenly goes to each whole.

    On several hosts `Model.fit` gets from each the rows for its own devices.
    """

    #: Whether each device gets every batch of `Model.fit` and the like whole.
    whole = False

    def layout(self, shape) -> keras.distribution.TensorLayout:
        """The layout that splits `(batch, ...)` evenly, or that replicates it."""
        even = shape[0] is not None and shape[0] % self.device_mesh.devices.size == 0
        axes = [self.batch_dim_name if even else None] + [None] * (len(shape) - 1)
        return keras.distribution.TensorLayout(axes, self.device_mesh)

    def get_data_layout(self, data_shape):
        rows, *rest = data_shape
        return self.layout((None if self.whole else rows and rows * current().count, *rest))


@contextlib.contextmanager
def spread(count: int | None, batch_size: int) -> Iterator[None]:
    """Within it, batches are split over the first `count` devices; None: over all of all hosts.

    Losses and weights equal those of one device but for rounding. A model that is trained within it
    has to be created or loaded within it. Hosts have to create models, assign variables and fit in
    the same order.
    """
    if count == 1:
        yield
        return
    check_backend("all devices" if count is None else f"{count} devices")
    devices = keras.distribution.list_devices()
    if len(devices) < (count or 0):
        raise DeviceError(
            f"expected {count} devices. Received: {len(devices)} ({', '.join(devices)}); ask for "
            "no more, or, if JAX misses GPUs, install it for them: pip install 'jax[cuda12]'"
        )
    check_even(batch_size, count)
    with EvenParts(devices=devices[:count], auto_shard_dataset=False).scope():
        yield


def check_even(batch_size: int, count: int | None = None) -> None:
    """Raises a DeviceError where `count` devices, or those of all hosts, can't share a batch."""
    whose = ", those of all hosts," if count is None else ""
    count = count or len(keras.distribution.list_devices())
    if batch_size % count:
        raise DeviceError(
            f"expected batches that {count} devices{whose} can share evenly. Received: "
            f"{batch_size} examples a batch; ask for a multiple of {count}"
        )


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

    Keras uses the layout of the first batch for all. So each device gets batches whole here, and
    `split`, in the model, divides the work.
    """
    distribution = keras.distribution.distribution()
    if isinstance(distribution, EvenParts):
        distribution.whole = True
    try:
        yield
    finally:
        if isinstance(distribution, EvenParts):
            distribution.whole = False


def split(batch):
    """Splits a batch, arrays or tensors, over the devices; outside of `spread` it is as it was.

    Keras does so in `fit`, but not in `predict_on_batch`.
    """
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, EvenParts):
        return batch
    return keras.tree.map_structure(
        lambda part: keras.distribution.distribute_tensor(part, distribution.layout(part.shape)),
        batch,
    )
