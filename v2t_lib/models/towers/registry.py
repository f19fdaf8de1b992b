"""Two towers: pretrained models of keras-hub that give clips and sentences vectors of one space.

The cosine of a clip's vector and a sentence's says how well they match.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from types import ModuleType

import keras
import numpy as np
from keras import ops

from v2t_lib.errors import ModelError, SentenceError, out_of_memory
from v2t_lib.models.compiled import Compiled, filled_up
from v2t_lib.models.devices import gpus
from v2t_lib.options import Registry
from v2t_lib.specs import NativeClipSpec

TOWERS = Registry("towers", "v2t_lib.models.towers", ModelError)
register_towers = TOWERS.register
#: Clips, or sentences, at a time.
BATCH = 4


def keras_hub(model: str = "Backbone") -> ModuleType:
    """The library; a ModelError where it isn't installed, or too old to have a class of models."""
    try:
        import keras_hub

        getattr(keras_hub.models, model)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"expected keras-hub, 0.27 or newer. Received: {error}; pip install 'v2t_lib[hub]'"
        ) from None
    return keras_hub


@contextlib.contextmanager
def using(preset: str) -> Iterator[None]:
    """Turns errors of loading and running a preset into a ModelError that says what to do."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:
        what = f"weights from the keras-hub preset {preset!r}. Received: {error}; published ones "
        what += "are downloaded once, on a machine with network access; or name a preset's folder"
        if out_of_memory(error):
            what = f"enough memory for {preset}. Received: less; end other programs that use it, "
            what += "or take a smaller model, such as clip_b16"
        raise ModelError(f"expected {what}") from error


@dataclasses.dataclass(frozen=True)
class Seen:
    """What towers see in a clip, in one pass.

    Attributes:
        vector: float32 `(D,)`, the clip's, of unit length.
        frames: float32 `(T, D)`, the frames', of unit length.
        patches: `(T, h, w, C)`, the last tokens, which an encoder over the tower has as cells.
    """

    vector: np.ndarray
    frames: np.ndarray
    patches: np.ndarray


class Towers:
    """An image tower and a text tower; a clip's vector is the mean of its frames' unit vectors.

    A subclass is one family of models, registered under the name of a published preset.

    Args:
        preset: A preset's name or folder.
        backbone: The model in it.

    Attributes:
        spec: What clips are decoded to; the preset's own converter resizes them.
        logit_scale: With `logit_bias`, makes of a cosine the logit of the training.
    """

    preset = backbone_class = ""
    #: Frames of a clip.
    count = 8
    logit_scale, logit_bias = 100.0, 0.0

    def __init__(self, preset: str, backbone: keras.Model):
        self.name, self.backbone = preset, backbone
        self.converter = keras_hub().layers.ImageConverter.from_preset(preset)
        self.prepare(preset)
        # Averaging by whole factors down to twice the size costs the converter's filter nothing.
        height, width = (2 * side for side in self.converter.image_size)
        self.spec = NativeClipSpec(self.count, height, width)
        functions = self.see_pixels, self.read_tokens, self.local
        self._see, self._read, self._local = (Compiled(each, backbone) for each in functions)

    def prepare(self, preset: str) -> None:
        """Makes the preprocessor of sentences, and sets `logit_scale` and `logit_bias`."""
        maker = getattr(keras_hub().models, self.backbone_class.replace("Backbone", "Preprocessor"))
        length = self.backbone.text_encoder.max_sequence_length
        # With a converter in it, it would want images beside the sentences.
        self.preprocessor = maker.from_preset(preset, image_converter=None, sequence_length=length)
        self.tokenizer = self.preprocessor.tokenizer

    def tokens(self, sentences: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """int32 `(B, L)`, padded, and which tokens are real, `(B, L + 1)`: one more than fits."""
        length = self.preprocessor.sequence_length
        inputs = {"images": None, "prompts": sentences}
        found = self.preprocessor(inputs, sequence_length=length + 1)
        ids, real = (ops.convert_to_numpy(found[name]) for name in ("token_ids", "padding_mask"))
        return ids[:, :length].astype(np.int32), real.astype(np.int32)

    def read_tokens(self, inputs):
        """Tokens `(B, L)` and which of them are real to vectors `(B, D)`."""
        return self.backbone.get_text_embeddings(inputs[0])

    def see_pixels(self, pixels):
        """`(B, T, H, W, 3)` to patches `(B, T, P, C)`, vectors `(B, T, D)` and clips' `(B, D)`."""
        patches, vectors = self.see_pictures(ops.reshape(pixels, (-1, *pixels.shape[2:])))
        patches = ops.reshape(patches, (-1, self.count, *patches.shape[1:]))
        frames = unit(ops.reshape(vectors, (-1, self.count, vectors.shape[-1])))
        return patches, frames, ops.mean(frames, axis=1)

    def see_pictures(self, pictures):
        """`(N, H, W, 3)` to patches `(N, P, C)` and vectors `(N, D)`."""
        raise NotImplementedError

    def local(self, patches):
        """Patches `(N, P, C)` to vectors `(N, P, D)`, each by itself through the pooling."""
        raise NotImplementedError

    def see(self, clips: Sequence[np.ndarray]) -> list[Seen]:
        """What is in clips, each uint8 `(T, H, W, 3)` of any size with `spec.frames` frames."""
        seen = []
        for patches, frames, clip in self._run(self._see, map(self._pixels, clips)):
            side = round(patches.shape[1] ** 0.5)
            cells = patches.reshape(self.count, side, side, -1)
            seen.append(Seen(unit(clip), frames, cells))
        return seen

    def clip_vectors(self, clips: Sequence[np.ndarray]) -> np.ndarray:
        """float32 `(B, D)`, of unit length; clips as in `see`."""
        return np.stack([seen.vector for seen in self.see(clips)])

    def text_vectors(self, sentences: Sequence[str]) -> np.ndarray:
        """float32 `(B, D)`, of unit length.

        Raises:
            SentenceError: A sentence without words, or longer than the tower reads.
        """
        try:
            tokens, real = self.tokens(list(sentences))
        except Exception:
            if not hasattr(self.tokenizer, "set_proto"):
                raise
            # TensorFlow forgets what SentencePiece has loaded when a seed is set.
            self.tokenizer.set_proto(self.tokenizer.proto)
            tokens, real = self.tokens(list(sentences))
        for sentence, long in zip(sentences, real[:, -1], strict=True):
            if long or not any(map(str.isalnum, sentence)):
                raise SentenceError(
                    f"expected a sentence with a word and at most {tokens.shape[1]} tokens. "
                    f"Received: {sentence[:80]!r}{'..., which has more' if long else ''}"
                )
        return unit(np.stack(list(self._run(self._read, zip(tokens, real[:, :-1], strict=True)))))

    def heat(self, seen: Seen, sentence: np.ndarray) -> np.ndarray | None:
        """float32 `(T, h, w)`: each patch's cosine with a sentence, where patches have a vector."""
        if type(self).local is Towers.local:
            return None
        count, height, width, size = seen.patches.shape
        vectors = self._local.run(seen.patches.reshape(count, height * width, size))
        return (unit(vectors) @ sentence).reshape(count, height, width)

    def digest(self) -> str:
        """What tells these towers from others, by a sample of every weight."""
        about = [self.backbone_class, self.count, self.converter.get_config()]
        digest = hashlib.sha256(json.dumps(about, default=str).encode())
        for weight in self.backbone.weights:
            sample = ops.convert_to_numpy(weight).ravel()[::1009]
            digest.update(sample.astype(np.float32).tobytes())
        return digest.hexdigest()

    def _pixels(self, clip: np.ndarray) -> np.ndarray:
        if clip.dtype != np.uint8 or clip.ndim != 4 or len(clip) != self.count:
            raise ValueError(
                f"expected uint8 clips ({self.count}, H, W, 3). Received: {clip.dtype} {clip.shape}"
            )
        return ops.convert_to_numpy(self.converter(clip))

    def _run(self, compiled: Compiled, rows: Iterator) -> Iterator:
        """Yields the function's value for each row, float32; a smaller last batch is filled up."""
        size, tree = 0, keras.tree.map_structure
        while batch := list(itertools.islice(rows, BATCH)):
            size = max(size, len(batch))
            with using(self.name):
                inputs = tree(lambda *parts: np.stack(parts), *filled_up(batch, size))
                found = tree(lambda part: np.asarray(part, np.float32), compiled.run(inputs))
            if not all(np.isfinite(part).all() for part in keras.tree.flatten(found)):
                raise ModelError(
                    f"expected finite numbers of {self.name}. Received: others, in "
                    f"{self.backbone.compute_dtype}; load it with dtype='float32'"
                )
            yield from (tree(lambda part, row=row: part[row], found) for row in range(len(batch)))


def unit(vectors):
    """Arrays or tensors in float32, each row of length 1."""
    if isinstance(vectors, np.ndarray):
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return ops.normalize(ops.cast(vectors, "float32"), axis=-1)


def load_towers(name: str, dtype: str | None = None) -> Towers:
    """Towers by their registered name, or of another preset of keras-hub, by its name or folder.

    Published weights are downloaded once. On a GPU the default is float16, which a T4 has.

    Raises:
        ModelError: No keras-hub, no such preset, no network, or too little memory.
    """
    cls, hub = TOWERS[name] if name in list(TOWERS) else None, keras_hub()
    preset = cls.preset if cls else name
    with using(preset):
        dtype = dtype or ("float16" if gpus() else None)
        backbone = hub.models.Backbone.from_preset(preset, dtype=dtype)
        families = {found.backbone_class: found for found in TOWERS.found.values()}
        cls = cls or families.get(type(backbone).__name__)
        if cls is None:
            raise ModelError(
                f"expected {', '.join(TOWERS.found)}, or another preset of {', '.join(families)}. "
                f"Received: {preset}, a {type(backbone).__name__}"
            )
        return cls(preset, backbone)
