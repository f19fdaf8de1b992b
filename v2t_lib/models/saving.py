"""Saving and loading a captioner as one `.keras` file."""

import json
import os
import zipfile
from pathlib import Path

import keras

from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import Captioner


def save(captioner: Captioner, path: str | Path) -> None:
    """Writes weights, clip spec, caption spec and vocabulary to one `.keras` file, atomically."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp.keras")
    # A copy leaves out the optimiser's state, twice the weights' size, and the training loss.
    bare = Captioner.from_config(captioner.get_config())
    bare.set_weights(captioner.get_weights())
    bare.save(temporary)
    os.replace(temporary, path)


def load(path: str | Path) -> Captioner:
    """Loads a model that `save` wrote, in Keras's safe mode.

    Raises:
        ModelError: The file is missing, is not a model, has another version's format, or carries
            code.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"expected a .keras file at {path}. Received: nothing of that name")
    try:
        with zipfile.ZipFile(path) as archive:
            made_of = json.loads(archive.read("config.json"))["registered_name"]
        if made_of != "v2t_lib>Captioner":
            raise ModelError(f"{path}: expected a Video-to-Text model. Received: {made_of}")
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except ModelError:
        raise
    except Exception as error:
        # Keras and h5py raise many kinds of error for a damaged or foreign file; users need one.
        # The first of the chain names the cause.
        first = error
        while first.__cause__ or first.__context__:
            first = first.__cause__ or first.__context__
        reason = str(first).strip().splitlines() or [type(first).__name__]
        raise ModelError(
            f"{path}: expected a whole model file of this version that carries no code. "
            f"Received: {reason[0][:300]}; train again or get the file anew"
        ) from error
