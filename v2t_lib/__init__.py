"""Video-to-Text: captions for GIFs and short clips, and where the model looked for every word.

Names are loaded when first used, so that `import v2t_lib` costs nothing.
"""

import importlib
import os

# TensorFlow takes this as it starts, so import `v2t_lib` before it. By default only the newest CPUs
# get oneDNN; on one that has AVX2 and no more, a training step takes a quarter of the time with it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

_HOMES = {
    "AttentionDecoder": "models.decoder",
    "BahdanauAttention": "models.attention",
    "Caption": "models.caption",
    "CaptionSpec": "specs",
    "Captioner": "models.captioner",
    "Clip": "clips.decode",
    "ClipError": "errors",
    "ClipSpec": "specs",
    "DataError": "errors",
    "ModelError": "errors",
    "Record": "captions_file",
    "V2TError": "errors",
    "Vocabulary": "text.vocabulary",
    "Workspace": "workspace",
    "decode_clip": "clips.decode",
    "inspect": "views.inspector",
    "iter_frames": "clips.decode",
    "load": "models.saving",
    "panel": "views.panel",
    "sequence_accuracy": "training.losses",
    "sequence_loss": "training.losses",
}
_MODULES = {"encoders": "models.encoders.registry", "shapes": "datasets.shapes"}

__all__ = [*_HOMES, *_MODULES, "__version__"]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"v2t_lib.{_HOMES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"v2t_lib.{_MODULES[name]}")
    raise AttributeError(f"module 'v2t_lib' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
