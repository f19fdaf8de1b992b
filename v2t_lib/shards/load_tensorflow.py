"""Loading TensorFlow where Keras isn't loaded yet: in what writes shards."""

import contextlib


def load_tensorflow():
    """TensorFlow's module, loaded after Keras.

    TensorFlow loads Keras itself as it starts, and Keras its backend. PyTorch's builds for GPUs
    bring Triton, whose copy of LLVM crashes the process where TensorFlow's was loaded before it.
    """
    with contextlib.suppress(ImportError):  # writing shards needs no backend
        import keras  # noqa: F401
    import tensorflow as tf

    return tf
