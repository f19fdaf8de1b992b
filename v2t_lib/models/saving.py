"""Saving and loading a captioner as one `.keras` file, in safe mode.

The file is a ZIP archive of `config.json`, which names classes to make, and `model.weights.h5`,
HDF5. Both are checked here, whatever Keras would make of them; nothing else is read or unpacked.
"""

import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py

from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import FORMAT, Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.progress import log

CAPTIONER = "v2t_lib>Captioner"
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
#: Bytes; a vocabulary of a million words has less.
MAX_CONFIG = 64 * 2**20
#: What Keras's own part of a config may make: data types, and tuples as JSON lacks them.
PLAIN = {"DTypePolicy", "__tuple__"}
#: Options of training that older versions had; they change nothing in use.
DROPPED = ("scheduled_sampling", "doubly_stochastic")


def save(captioner: Captioner, path: str | Path) -> None:
    """Writes weights, clip spec, caption spec and vocabulary to one `.keras` file, atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp.keras")
    # A copy leaves out the optimiser's state, twice the weights' size, and the training loss.
    bare = Captioner.from_config(captioner.get_config())
    bare.set_weights(captioner.get_weights())
    bare.verifier = captioner.verifier
    try:
        bare.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: str | Path) -> Captioner:
    """Loads a model that `save` wrote; no class is made but the captioner and registered encoders.

    Raises:
        ModelError: The file is missing, is not a model, has another version's format, or asks for
            another class or for another file.
    """
    path = Path(path)
    if not path.is_file():
        received = "a folder" if path.is_dir() else "nothing of that name"
        raise ModelError(f"expected a .keras file at {path}. Received: {received}")
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            config = _read_config(archive)
            captioner = Captioner.from_config(_current(config, path))
            captioner.load_weights(_extract_weights(archive, Path(folder)))
        return captioner
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except Exception as error:
        # Keras and h5py raise many kinds of error for a damaged or foreign file; users need one.
        # The first of the chain names the cause.
        first: BaseException = error
        while first.__cause__ or first.__context__:
            first = first.__cause__ or first.__context__ or first
        reason = str(first).strip().splitlines() or [type(first).__name__]
        raise ModelError(
            f"{path}: expected a whole model file of this version. "
            f"Received: {reason[0][:300]}; train again or get the file anew"
        ) from error


def _current(config: dict, path: Path) -> dict:
    """The captioner's config, without options that only older versions had."""
    if config.get("registered_name") != CAPTIONER:
        name = config.get("registered_name") or config.get("class_name")
        raise ModelError(f"expected a Video-to-Text model. Received: {name}")
    config = config["config"]
    if (found := config.get("format")) != FORMAT:
        raise ModelError(
            f"expected a model of format {FORMAT}. Received: format {found}, of another version; "
            "use it with the v2t_lib that wrote it, or train it again"
        )
    recipe = config.get("recipe") or {}
    for options in (config, recipe.get("training", {})):
        for name in DROPPED:
            options.pop(name, None)
    recipe.get("caption", {}).pop("no_repeat", None)
    if config["caption_spec"].pop("no_repeat", 0):
        log.warning("%s: made with --no-repeat, which is gone: beams may repeat words", path)
    return config


def _read_config(archive: zipfile.ZipFile) -> dict:
    """The config, in which no class is named but the captioner and registered encoders.

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
        ours = registered == CAPTIONER or encoders.class_of(named) is not None
        if not plain and not (ours and str(registered).endswith(f">{name}")):
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


def _extract_weights(archive: zipfile.ZipFile, folder: Path) -> Path:
    """Unpacks the weights alone, and checks that they hold all they refer to.

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
