"""What a model file may hold: checked here, whatever Keras would make of it.

A `.keras` file is a ZIP archive of `config.json`, which names classes to make, and
`model.weights.h5`, HDF5. Only the two are read, and nothing is unpacked beside them.
"""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py

from v2t_lib.errors import ModelError

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
#: Bytes; a vocabulary of a million words has less.
MAX_CONFIG = 64 * 2**20
#: What Keras's own part of a config may make: data types, and tuples as JSON lacks them.
PLAIN = {"DTypePolicy", "__tuple__"}


def read_config(archive: zipfile.ZipFile, is_ours: Callable[[dict], bool]) -> dict:
    """The config, in which no part names a class but those that `is_ours` knows.

    Raises:
        ModelError: It names another class, a Lambda layer say, or is too large.
    """
    size = archive.getinfo(CONFIG).file_size
    if size > MAX_CONFIG:
        raise ModelError(f"expected a config of at most {MAX_CONFIG} bytes. Received: {size}")
    config = json.loads(archive.read(CONFIG))
    for named in _objects(config):
        name, registered = named["class_name"], named.get("registered_name")
        plain = name in PLAIN and not registered and named.get("module") in (None, "keras")
        if not plain and not (str(registered).endswith(f">{name}") and is_ours(named)):
            raise ModelError(
                f"expected only classes of this library's registries. Received: {name!r} of "
                f"{named.get('module')!r}, which was not made; if it is an encoder of yours, "
                "import the module that registers it first"
            )
    return config


def _objects(value) -> Iterator[dict]:
    """Every part of a config of which Keras would make an object."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from _objects(part)


def extract_weights(archive: zipfile.ZipFile, folder: Path) -> Path:
    """Unpacks the weights alone, after which they are known to hold all they speak of.

    Raises:
        ModelError: They refer to other files, or to more values than the file has.
    """
    path = folder / WEIGHTS
    with archive.open(WEIGHTS) as packed, open(path, "wb") as file:
        shutil.copyfileobj(packed, file)
    with h5py.File(path, "r") as weights:
        _check(weights, path.stat().st_size)
    return path


def _check(group: h5py.Group, size: int) -> None:
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise ModelError(f"expected weights. Received: a link to elsewhere at {name!r}")
        if isinstance(part := group[name], h5py.Group):
            _check(part, size)
        elif part.external or part.is_virtual:
            raise ModelError(f"expected weights. Received: another file's content at {name!r}")
        elif part.nbytes > size:
            raise ModelError(
                f"expected no more than the file's {size} bytes. "
                f"Received: {part.nbytes} at {name!r}"
            )
