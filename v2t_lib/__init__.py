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
    from v2t_lib.captions_file import Record as Record
    from v2t_lib.clips.decode import Clip as Clip
    from v2t_lib.clips.decode import decode_clip as decode_clip
    from v2t_lib.clips.decode import iter_frames as iter_frames
    from v2t_lib.datasets import shapes as shapes
    from v2t_lib.errors import ClipError as ClipError
    from v2t_lib.errors import DataError as DataError
    from v2t_lib.errors import ModelError as ModelError
    from v2t_lib.errors import V2TError as V2TError
    from v2t_lib.models.attention import BahdanauAttention as BahdanauAttention
    from v2t_lib.models.caption import Caption as Caption
    from v2t_lib.models.captioner import Captioner as Captioner
    from v2t_lib.models.decoder import AttentionDecoder as AttentionDecoder
    from v2t_lib.models.encoders import registry as encoders  # noqa: F401
    from v2t_lib.models.saving import load as load
    from v2t_lib.specs import CaptionSpec as CaptionSpec
    from v2t_lib.specs import ClipSpec as ClipSpec
    from v2t_lib.text.vocabulary import Vocabulary as Vocabulary
    from v2t_lib.training.losses import sequence_accuracy as sequence_accuracy
    from v2t_lib.training.losses import sequence_loss as sequence_loss
    from v2t_lib.views.inspector import inspect as inspect
    from v2t_lib.views.panel import panel as panel
    from v2t_lib.workspace import Workspace as Workspace

# TensorFlow takes this as it starts, so import `v2t_lib` before it. By default only the newest CPUs
# get oneDNN; on one that has AVX2 and no more, a training step takes a quarter of the time with it.
# `os.environ`, which belongs to the program around, stays as it was.
if "tensorflow" not in sys.modules and "TF_ENABLE_ONEDNN_OPTS" not in os.environ:
    os.putenv("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

_NAMES = {
    "captions_file": "Record",
    "clips.decode": "Clip decode_clip iter_frames",
    "errors": "ClipError DataError ModelError V2TError",
    "models.attention": "BahdanauAttention",
    "models.caption": "Caption",
    "models.captioner": "Captioner",
    "models.decoder": "AttentionDecoder",
    "models.saving": "load",
    "specs": "CaptionSpec ClipSpec",
    "text.vocabulary": "Vocabulary",
    "training.losses": "sequence_accuracy sequence_loss",
    "views.inspector": "inspect",
    "views.panel": "panel",
    "workspace": "Workspace",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}
_MODULES = {"encoders": "models.encoders.registry", "shapes": "datasets.shapes"}

__all__ = sorted(["__version__", *_HOMES, *_MODULES])


if not TYPE_CHECKING:  # or a mistyped name would have any type

    def __getattr__(name: str):
        if name in _HOMES:
            return getattr(importlib.import_module(f"v2t_lib.{_HOMES[name]}"), name)
        if name in _MODULES:
            return importlib.import_module(f"v2t_lib.{_MODULES[name]}")
        raise AttributeError(f"module 'v2t_lib' has no attribute {name!r}")


def __dir__():
    return __all__
