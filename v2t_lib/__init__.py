"""Video-to-Text: captions for GIFs and short clips, and where the model looked for every word.

Names are loaded when first used, so that `import v2t_lib` costs nothing.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING

if sys.version_info < (3, 10):  # noqa: UP036  (for a checkout on the path, which pip never saw)
    raise ImportError(
        "expected Python 3.10 to 3.13 for v2t_lib. Received: Python "
        f"{sys.version_info[0]}.{sys.version_info[1]}; run it with a newer one"
    )

if TYPE_CHECKING:  # what `_HOMES` and `_MODULES` say, as type checkers and editors read it
    from v2t_lib.captions_file import Record
    from v2t_lib.clips.decode import Clip, decode_clip, iter_frames
    from v2t_lib.datasets import shapes
    from v2t_lib.errors import ClipError, DataError, ModelError, V2TError
    from v2t_lib.models.attention import BahdanauAttention
    from v2t_lib.models.caption import Caption
    from v2t_lib.models.captioner import Captioner
    from v2t_lib.models.decoder import AttentionDecoder
    from v2t_lib.models.encoders import registry as encoders
    from v2t_lib.models.saving import load
    from v2t_lib.specs import CaptionSpec, ClipSpec
    from v2t_lib.text.vocabulary import Vocabulary
    from v2t_lib.training.losses import sequence_accuracy, sequence_loss
    from v2t_lib.views.inspector import inspect
    from v2t_lib.views.panel import panel
    from v2t_lib.workspace import Workspace

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

__all__ = [
    "AttentionDecoder",
    "BahdanauAttention",
    "Caption",
    "CaptionSpec",
    "Captioner",
    "Clip",
    "ClipError",
    "ClipSpec",
    "DataError",
    "ModelError",
    "Record",
    "V2TError",
    "Vocabulary",
    "Workspace",
    "__version__",
    "decode_clip",
    "encoders",
    "inspect",
    "iter_frames",
    "load",
    "panel",
    "sequence_accuracy",
    "sequence_loss",
    "shapes",
]


if not TYPE_CHECKING:  # or a mistyped name would have any type

    def __getattr__(name: str):
        if name in _HOMES:
            return getattr(importlib.import_module(f"v2t_lib.{_HOMES[name]}"), name)
        if name in _MODULES:
            return importlib.import_module(f"v2t_lib.{_MODULES[name]}")
        raise AttributeError(f"module 'v2t_lib' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
