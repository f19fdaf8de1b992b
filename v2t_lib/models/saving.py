"""Saving and loading a captioner as one `.keras` file, in safe mode: config and weights are checked
here, whatever Keras would make of them."""

import contextlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras

from v2t_lib.clips.problems import sniff
from v2t_lib.errors import ClipError, ModelError, out_of_memory
from v2t_lib.models.captioner import FORMAT, Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.process import require_own_process, seeded
from v2t_lib.progress import log
from v2t_lib.signatures import HEAD, what_is

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
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp.keras")
    # A copy leaves out the optimiser's state, twice the weights' size, and the training loss.
    with seeded():
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

    What is no such file is a ModelError, and so is a process that is a fork of one with a model.
    """
    path = Path(path).expanduser()
    if received := _other(path):
        raise ModelError(f"expected a .keras file at {path}. Received: {received}")
    require_own_process()
    keras.ops.zeros(())  # a backend that can't compute is not the file's fault
    try:
        with zipfile.ZipFile(path) as archive, seeded():
            captioner = Captioner.from_config(_current(_read_config(archive), path))
            # Neither here nor by Keras is it unpacked: no lock and no folder for it is needed.
            with archive.open(WEIGHTS) as weights, h5py.File(weights, "r") as opened:
                _check(opened, archive.getinfo(WEIGHTS).file_size)
            captioner.load_weights(path)
        return captioner
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except Exception as error:  # Keras and h5py raise many kinds for a damaged or foreign file
        first: BaseException = error
        while first.__context__:  # the first of the chain names the cause
            first = first.__context__
        if isinstance(first, ImportError) or out_of_memory(first):
            raise first from None
        if isinstance(first, OSError) and first.errno:
            raise ModelError(f"expected to read {path}. Received: {first.strerror}") from None
        reason = str(first).strip().splitlines() or [type(first).__name__]
        raise ModelError(
            f"{path}: expected a whole model file of this version. "
            f"Received: {reason[0][:300]}; train again or get the file anew"
        ) from error


def _other(path: Path) -> str:
    """What is there instead of a model's file, and what to do; "" where there may be one."""
    if str(path).startswith(("http:", "https:")):
        return "a URL; download the file first"
    if path.is_dir():
        unpacked = (path / CONFIG).exists() or any(path.glob(f"*/{CONFIG}"))
        return "a folder" + "; zip what is in it, with config.json at the top" * unpacked
    if not path.is_file():
        return "nothing of that name"
    with contextlib.suppress(OSError), open(path, "rb") as file:  # told where it is opened
        head = file.read(HEAD)
        if head[:2] == b"PK" and not zipfile.is_zipfile(path):
            return "the beginning of one, as where a download was cut off; get it anew"
        if head[:2] != b"PK" and (what := what_is(head)):
            return what
        with contextlib.suppress(ClipError):
            return f"a clip ({sniff(head)})"
    return "" if path.suffix == ".keras" else "a file of another name; rename it"


def _current(config: dict, path: Path) -> dict:
    """The captioner's config, without options that only older versions had."""
    found = config.get("registered_name"), config["config"].get("format")
    if found != (CAPTIONER, FORMAT):
        raise ModelError(
            f"expected a {CAPTIONER} of format {FORMAT}. Received: {found[0]}, format {found[1]}; "
            "use a model of another version with the v2t_lib that wrote it, or train it again"
        )
    config = config["config"]
    recipe = config.get("recipe") or {}
    for options in (config, recipe.get("training", {})):
        for name in DROPPED:
            options.pop(name, None)
    recipe.get("caption", {}).pop("no_repeat", None)
    if config["caption_spec"].pop("no_repeat", 0):
        log.warning("%s: made with --no-repeat, which is gone: beams may repeat words", path)
    return config


def _read_config(archive: zipfile.ZipFile) -> dict:
    """The config; a ModelError where it names a class but the captioner and registered encoders."""
    if CONFIG not in (names := archive.namelist()):
        raise ModelError(
            f"expected {CONFIG} at the top of the archive. Received: {', '.join(names[:3])}; if it "
            "is a model that was unpacked, zip what was in it, without a folder around it"
        )
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


def _check(group: h5py.Group, size: int) -> None:
    """Raises a ModelError where weights refer to other files, or to more values than a file has."""
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
