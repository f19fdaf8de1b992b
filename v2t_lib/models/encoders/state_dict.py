"""Reading the weights that PyTorch saved, without PyTorch.

A state dict is a pickle of named tensors beside their raw data. It is read by an unpickler that
knows only the names below, and so can run nothing. Both of PyTorch's forms are read: a zip archive,
and the older one, pickles in a row with the data behind them.
"""

import collections
import io
import pickle
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from v2t_lib.errors import ModelError

_UNREADABLE = (OSError, ValueError, TypeError, AttributeError, LookupError, EOFError,
               pickle.UnpicklingError, zipfile.BadZipFile)  # fmt: skip
_DTYPES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8"}


class _Tensor(NamedTuple):
    """A tensor in a pickle: where its values lie. PyTorch hands over more, which isn't needed."""

    storage: tuple[str, str]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def rebuilt(cls, storage, offset, shape, strides, *_):
        return cls(storage, offset, shape, strides)

    def array(self, storages: dict[str, bytes]) -> np.ndarray:
        key, dtype = self.storage
        values = np.frombuffer(storages[key], dtype)[self.offset :]
        strides = [step * values.itemsize for step in self.strides]
        if values.size < 1 + sum(
            (n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)
        ):
            raise ValueError("less data than its tensors need")
        return np.lib.stride_tricks.as_strided(values, self.shape, strides).copy()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor.rebuilt
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name}, which is no part of plain weights")

    def persistent_load(self, description):
        _, dtype, key, *_ = description
        return key, dtype


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """The tensors of a PyTorch state dict, by name.

    Raises:
        ModelError: The file can't be read, is cut off, or holds something else.
    """
    try:
        data = io.BytesIO(Path(path).read_bytes())
        tensors, storages = (_zipped if zipfile.is_zipfile(data) else _in_a_row)(data)
        return {name: tensor.array(storages) for name, tensor in tensors.items()}
    except _UNREADABLE as error:
        raise ModelError(
            f"{path}: expected weights saved by PyTorch, a state dict. Received: {error!r}"
        ) from None


def _zipped(data: io.BytesIO) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    with zipfile.ZipFile(data) as archive:
        folder = archive.namelist()[0].split("/")[0]
        tensors = _Unpickler(io.BytesIO(archive.read(f"{folder}/data.pkl"))).load()
        keys = {tensor.storage[0] for tensor in tensors.values()}
        return tensors, {key: archive.read(f"{folder}/data/{key}") for key in keys}


def _in_a_row(data: io.BytesIO) -> tuple[dict[str, _Tensor], dict[str, bytes]]:
    data.seek(0)
    for _ in range(3):  # a magic number, the protocol's version, sizes of types
        _Unpickler(data).load()
    tensors = _Unpickler(data).load()
    dtypes = dict(tensor.storage for tensor in tensors.values())
    storages = {}
    for key in _Unpickler(data).load():
        count = int.from_bytes(data.read(8), "little")
        storages[key] = data.read(count * np.dtype(dtypes[key]).itemsize)
    return tensors, storages
