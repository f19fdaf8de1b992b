"""One data set for all epochs of a training."""

from collections.abc import Callable

import tensorflow as tf


class Epochs(tf.data.Dataset):
    """A data set for `Model.fit` that reads another epoch each time it is iterated over.

    `Model.fit` iterates over one data set at the beginning of every epoch; this one calls
    `rest_of_epoch` then, for the first epoch already when it is made. The first epoch of a resumed
    run has fewer batches than `steps`: training has to end it before they run out.

    Args:
        rest_of_epoch: Makes the data set of the epoch that is about to begin, from the step it has
            reached.
        steps: Batches in a whole epoch, which is what Keras is told.
    """

    def __init__(self, rest_of_epoch: Callable[[], tf.data.Dataset], steps: int):
        self._rest_of_epoch, self._steps = rest_of_epoch, steps
        self._first = rest_of_epoch()
        self._spec = self._first.element_spec
        super().__init__(self._first._variant_tensor)

    @property
    def element_spec(self):
        return self._spec

    def _inputs(self):
        return []

    def cardinality(self):
        return tf.constant(self._steps, tf.int64)

    def __iter__(self):
        first, self._first = self._first, None  # made already, for its spec
        return iter(first or self._rest_of_epoch())
