"""Saving and loading a captioner as one `.keras` file."""

import os
import tempfile
import zipfile
from pathlib import Path

from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.model_file import extract_weights, read_config

CAPTIONER = "v2t_lib>Captioner"


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


def _is_ours(config: dict) -> bool:
    """Whether a part of a model file is the captioner or a registered encoder."""
    return config.get("registered_name") == CAPTIONER or encoders.class_of(config) is not None


def load(path: str | Path) -> Captioner:
    """Loads a model that `save` wrote; no class is made but the captioner and registered encoders.

    Raises:
        ModelError: The file is missing, is not a model, has another version's format, or asks for
            another class or for another file.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing of that name"
        raise ModelError(f"expected a .keras file at {path}. Received: {found}")
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            config = read_config(archive, _is_ours)
            if config.get("registered_name") != CAPTIONER:
                name = config.get("registered_name") or config.get("class_name")
                raise ModelError(f"expected a Video-to-Text model. Received: {name}")
            captioner = Captioner.from_config(config["config"])
            captioner.load_weights(extract_weights(archive, Path(folder)))
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
