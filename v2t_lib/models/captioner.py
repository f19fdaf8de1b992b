"""The model: an encoder, a decoder, and all that's needed to caption a clip, in one file."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from v2t_lib.clips.decode import Clip, decode_clip
from v2t_lib.errors import ModelError
from v2t_lib.fetching.downloader import read_source
from v2t_lib.models.caption import Caption
from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.distribution import remainders, split
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.generation import ALTERNATIVES, SearchResult, beam, forced, greedy
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import PAD, START, UNK, Vocabulary, tokenise

FORMAT = 1
#: XLA makes Conv3D several times slower on CPUs; JAX knows no other way to compile.
JIT_COMPILE = keras.backend.backend() == "jax"


@keras.saving.register_keras_serializable("v2t_lib")
class Captioner(keras.Model):
    """Writes captions for clips.

    Built as soon as it is made: clip spec, caption spec and vocabulary fix every shape.

    Args:
        clip_spec: What clips are decoded to.
        caption_spec: How long captions get.
        vocabulary: The words it knows.
        encoder: An encoder layer (see `v2t_lib.encoders`).
        decoder: Keyword arguments of `AttentionDecoder`, but for `vocabulary_size`.
        doubly_stochastic: Weight of the penalty that asks every cell to be looked at once over
            the sentence (arXiv 1502.03044, section 4.2.1); 0 for none.
        recipe: How it was built and trained, as `Recipe.to_dict` has it; None where unknown.

    Call arguments:
        inputs: `(clips, tokens)`: uint8 `(batch, T, H, W, 3)` and int32 `(batch, L)`.

    Returns:
        Logits `(batch, L, vocabulary_size)`.
    """

    def __init__(
        self,
        clip_spec: ClipSpec,
        caption_spec: CaptionSpec,
        vocabulary: Vocabulary,
        encoder: layers.Layer,
        decoder: dict | None = None,
        doubly_stochastic: float = 0.0,
        recipe: dict | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.clip_spec, self.caption_spec = clip_spec, caption_spec
        self.vocabulary, self.doubly_stochastic = vocabulary, doubly_stochastic
        self.encoder, self.recipe = encoder, recipe
        self.decoder_options = dict(decoder or {})
        self.decoder = AttentionDecoder(
            len(vocabulary), **self.decoder_options, dtype=self.dtype_policy
        )
        self.seeds = keras.random.SeedGenerator()
        self.build([(None, *clip_spec.shape), (None, caption_spec.length)])
        self.scheduled_sampling: tuple[float, int] | None = None
        # Kept from Keras, which would take the writers, that hold this model, for parts of it.
        object.__setattr__(self, "_writers", {})

    def build(self, input_shape):
        clips, tokens = input_shape
        if not self.encoder.built:  # Keras builds what it deserialises
            self.encoder.build(clips)
        self.decoder.build(tokens, self.encoder.compute_output_shape(clips))
        self.built = True

    @property
    def grid(self) -> tuple[int, int, int]:
        """`(T', h', w')`, the memory's cells."""
        return self.encoder.grid(self.clip_spec)

    def call(self, inputs, training=False):
        clips, tokens = split(inputs)
        memory = self.encoder(clips, training=training)
        if self.scheduled_sampling and training:
            tokens = self._with_scheduled_sampling(tokens, memory)
        logits, weights = self.decoder(tokens, memory, training=training)
        if self.doubly_stochastic and training:
            real = ops.cast(ops.not_equal(tokens, PAD), "float32")[..., None]
            # Weights sum to 1 a word, so cells get words/S on average; the penalty is relative.
            cells = ops.cast(weights.shape[-1], "float32") / ops.sum(real, axis=1)
            unseen = 1.0 - ops.sum(weights * real, axis=1) * cells
            self.add_loss(self.doubly_stochastic * ops.mean(ops.square(unseen)))
        return logits

    def _with_scheduled_sampling(self, tokens, memory):
        """Scheduled sampling (arXiv 1506.03099) in two passes (arXiv 1906.07651).

        Some of the words before those to predict become what the model itself would have written
        there. `scheduled_sampling` is `(share, steps)`: the share grows linearly over the steps.
        """
        share, steps = self.scheduled_sampling
        # Each step draws twice. The optimiser's own count is out of reach in a step that JAX
        # compiles, and with accumulated gradients counts fewer.
        done = ops.cast(self.seeds.state[1], "float32") / (2 * steps)
        logits = ops.stop_gradient(self.decoder(tokens, ops.stop_gradient(memory))[0])  # (B,L,V)
        written = keras.random.categorical(
            ops.reshape(logits, (-1, logits.shape[-1])), 1, dtype="int32", seed=self.seeds
        )
        written = ops.reshape(written, ops.shape(tokens))
        own = ops.concatenate([tokens[:, :1], written[:, :-1]], axis=1)
        drawn = keras.random.uniform(ops.shape(tokens), seed=self.seeds)
        chosen = ops.logical_and(drawn < share * ops.minimum(done, 1.0), tokens != PAD)
        return ops.where(chosen, own, tokens)

    def evaluate(self, *args, **options):
        """As Keras has it; on several devices, too, the last batch may be smaller."""
        with remainders():
            return super().evaluate(*args, **options)

    def generate(self, clips, width: int = 1) -> SearchResult:
        """Searches captions for a batch of clips: greedy for width 1, else with a beam."""
        memory = self.encoder(clips)
        state, batch = self.decoder.start(memory), ops.shape(clips)[0]
        if width == 1:
            return greedy(self.decoder.step, state, batch, self.caption_spec.length)
        return beam(self.decoder.step, state, batch, self.caption_spec.length, width)

    def caption_frames(self, frames, beam: int = 1, seconds=None) -> list[Caption]:
        """Captions a batch of clips already decoded.

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            beam: Number of beams; 1 for greedy.
            seconds: `(batch, T)`, when the frames show; frame numbers when left out.
        """
        frames = self._checked(frames)
        if beam < 1:
            raise ValueError(f"expected at least 1 beam. Received: beam={beam}")
        if beam not in self._writers:
            self._writers[beam] = CaptionWriter(self, beam)
        found = self._writers[beam].predict_on_batch(split(frames))
        return self._captions(found, frames, seconds)

    def explain_frames(self, frames, texts: Sequence[str], seconds=None) -> list[Caption]:
        """The captions that given sentences are: how probable the model finds each of their words,
        and where it looks for them (teacher forcing).

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            texts: A sentence a clip; words the vocabulary lacks are scored as the unknown word.
            seconds: `(batch, T)`, when the frames show; frame numbers when left out.
        """
        frames, length = self._checked(frames), self.caption_spec.length
        tokens = np.stack([self.vocabulary.pack(text, length) for text in texts])  # (B,L+1)
        if not self._writers.get("reader"):
            self._writers["reader"] = CaptionReader(self)
        found = self._writers["reader"].predict_on_batch(split((frames, tokens)))
        captions = self._captions(found, frames, seconds)
        sentences = [tuple(tokenise(text)[: length - 1]) for text in texts]
        return [
            dataclasses.replace(caption, words=words, text=" ".join(words))
            for caption, words in zip(captions, sentences, strict=True)
        ]

    def _checked(self, frames) -> np.ndarray:
        frames = np.asarray(frames)
        if frames.shape[1:] != self.clip_spec.shape or frames.dtype != np.uint8:
            raise ValueError(
                f"expected a batch of uint8 frames of shape {self.clip_spec.shape}. "
                f"Received: {frames.dtype} of shape {frames.shape}"
            )
        return frames

    def _captions(self, found: SearchResult, frames, seconds) -> list[Caption]:
        """A search's result, clip by clip, as sentences."""
        found = SearchResult(*(np.asarray(part) for part in found))
        if seconds is None:
            seconds = np.tile(np.arange(self.clip_spec.frames, dtype=float), (len(frames), 1))
        captions = []
        for i, tokens in enumerate(found.tokens):
            words = tuple(self.vocabulary.unpack(tokens))
            count = len(words)
            captions.append(
                Caption(
                    text=" ".join(words),
                    words=words,
                    probs=np.exp(found.log_probs[i, :count]),
                    log_prob=float(found.log_probs[i].sum()),
                    attention=found.weights[i, :count].reshape(count, *self.grid),
                    frames=frames[i],
                    seconds=seconds[i],
                    runners_up=tuple(
                        self._runners_up(*row)
                        for row in zip(
                            tokens[:count],
                            found.alternatives[i],
                            found.alternative_log_probs[i],
                            strict=False,
                        )
                    ),
                )
            )
        return captions

    def _runners_up(self, token, alternatives, log_probs) -> tuple[tuple[str, float], ...]:
        words = self.vocabulary.words
        return tuple(
            (words[alternative], float(np.exp(log_prob)))
            for alternative, log_prob in zip(alternatives, log_probs, strict=True)
            if alternative not in (token, PAD, START, UNK)
        )[: ALTERNATIVES - 1]

    def decode(self, source) -> Clip:
        """A path, URL, bytes or uint8 `(N, H, W, 3)` frames to the clip this model sees."""
        if not isinstance(source, bytes | np.ndarray):
            source = read_source(source)
        return decode_clip(source, self.clip_spec)

    def caption(self, source, beam: int = 1) -> Caption:
        """Captions one clip: a path, URL, bytes or uint8 `(N, H, W, 3)` frames.

        Raises:
            ClipError: The source gives no frames.
        """
        clip = self.decode(source)
        return self.caption_frames(clip.frames[None], beam, clip.seconds[None])[0]

    def explain(self, source, text: str) -> Caption:
        """What the model makes of a given sentence for a clip: each word's probability and heat.

        Raises:
            ClipError: The source gives no frames.
        """
        clip = self.decode(source)
        return self.explain_frames(clip.frames[None], [text], clip.seconds[None])[0]

    def get_config(self):
        return super().get_config() | {
            "format": FORMAT,
            "clip_spec": dataclasses.asdict(self.clip_spec),
            "caption_spec": dataclasses.asdict(self.caption_spec),
            "vocabulary": list(self.vocabulary.words),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": self.decoder_options,
            "doubly_stochastic": self.doubly_stochastic,
            "recipe": self.recipe,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if config.pop("format", None) != FORMAT:
            raise ModelError(f"expected a model of format {FORMAT}. Received: another version's")
        return cls(
            clip_spec=ClipSpec(**config.pop("clip_spec")),
            caption_spec=CaptionSpec(**config.pop("caption_spec")),
            vocabulary=Vocabulary(tuple(config.pop("vocabulary"))),
            encoder=encoders.deserialize(config.pop("encoder")),
            **config,
        )


class CaptionWriter(keras.Model):
    """`Captioner.generate` as a model of its own, so that Keras compiles it once a width."""

    def __init__(self, captioner: Captioner, width: int):
        super().__init__()
        self.captioner, self.width = captioner, width
        self.built = True  # or Keras would, on JAX, search once more, step by step, to build it
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, clips):
        return self.captioner.generate(clips, self.width)


class CaptionReader(keras.Model):
    """Teacher forcing as a compiled model: clips and int32 `(batch, L + 1)` tokens in."""

    def __init__(self, captioner: Captioner):
        super().__init__()
        self.captioner = captioner
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, inputs):
        clips, tokens = inputs
        logits, weights = self.captioner.decoder(tokens[:, :-1], self.captioner.encoder(clips))
        return forced(logits, weights, tokens[:, 1:])


def save(captioner: Captioner, path: str | Path) -> None:
    """Writes the model to one `.keras` file, whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp.keras")
    # A copy leaves out the optimiser's state, twice the weights' size, and the training loss.
    bare = Captioner.from_config(captioner.get_config())
    bare.set_weights(captioner.get_weights())
    bare.save(temporary)
    os.replace(temporary, path)


def load(path: str | Path) -> Captioner:
    """Loads a model saved by `save`, with Keras's safe mode on.

    Raises:
        ModelError: No such file, not a model, of another version, or one that carries code.
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
        # Keras and h5py raise many kinds for a damaged or foreign file; users need one, and the
        # first of the chain, which says what is wrong, not who noticed.
        first = error
        while first.__cause__ or first.__context__:
            first = first.__cause__ or first.__context__
        reason = str(first).strip().splitlines() or [type(first).__name__]
        raise ModelError(
            f"{path}: expected a whole model file of this version that carries no code. "
            f"Received: {reason[0][:300]}; train again or get the file anew"
        ) from error
