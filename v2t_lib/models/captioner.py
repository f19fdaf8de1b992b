"""The model: an encoder and a decoder that caption a clip."""

import dataclasses

import keras
from keras import layers, ops

from v2t_lib.errors import ModelError
from v2t_lib.models.beam_search import beam
from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.devices import remainders, split
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.generation import SearchResult, greedy
from v2t_lib.models.one_clip import OneClip
from v2t_lib.models.scheduled_sampling import ScheduledSampling
from v2t_lib.models.verifier import VerifierState
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import PAD, Vocabulary

FORMAT = 1


@keras.saving.register_keras_serializable("v2t_lib")
class Captioner(OneClip, keras.Model):
    """Generates captions for clips.

    Built on construction: clip spec, caption spec and vocabulary fix every shape.

    Args:
        clip_spec: Number and size of the frames.
        caption_spec: What captions are cut into, their maximum length, and how beams are ranked.
        vocabulary: The words it can write, of the same unit.
        encoder: An encoder layer (see `v2t_lib.encoders`).
        decoder: Keyword arguments of `AttentionDecoder`, except `vocabulary_size`.
        doubly_stochastic: Weight of the doubly stochastic attention penalty, which is lowest when
            every cell gets the same total attention over the sentence (arXiv 1502.03044, section
            4.2.1); 0 for none.
        recipe: How it was built and trained, as `Recipe.to_dict` has it; None where unknown.

    Attributes:
        verifier: What it carries beside the network to judge sentences, see `verify`; set once it
            is trained. Its file holds it too.

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
        if vocabulary.unit != caption_spec.unit:
            raise ValueError(
                f"expected a vocabulary of the caption spec's unit, {caption_spec.unit!r}. "
                f"Received: one of {vocabulary.unit!r}"
            )
        self.clip_spec, self.caption_spec = clip_spec, caption_spec
        self.vocabulary, self.doubly_stochastic = vocabulary, doubly_stochastic
        self.encoder, self.recipe, self.verifier = encoder, recipe, VerifierState()
        self.decoder_options = dict(decoder or {})
        self.decoder = AttentionDecoder(
            len(vocabulary), **self.decoder_options, dtype=self.dtype_policy
        )
        self.scheduled_sampling = ScheduledSampling(dtype=self.dtype_policy)
        self.build([(None, *clip_spec.shape), (None, caption_spec.length)])
        # Hidden from Keras's tracking: these models hold this one, and are no parts of it.
        object.__setattr__(self, "_searches", {})
        object.__setattr__(self, "_teacher_forcing", None)
        object.__setattr__(self, "_features", None)
        object.__setattr__(self, "_verifications", {})
        object.__setattr__(self, "_encoding", None)
        object.__setattr__(self, "_verifier_config", None)

    def build(self, input_shape):
        clips, tokens = input_shape
        if not self.encoder.built:  # a deserialised encoder is built already
            self.encoder.build(clips)
        self.decoder.build(tokens, self.encoder.compute_output_shape(clips))
        self.scheduled_sampling.build(tokens, (*tokens, len(self.vocabulary)))
        self.built = True

    def call(self, inputs, training=False):
        clips, tokens = split(inputs)
        memory = self.encoder(clips, training=training)
        if self.scheduled_sampling.share and training:
            # A first pass, with teacher forcing and without gradient, predicts every word.
            logits, _ = self.decoder(tokens, ops.stop_gradient(memory))
            tokens = self.scheduled_sampling(tokens, ops.stop_gradient(logits))
        logits, weights = self.decoder(tokens, memory, training=training)
        if self.doubly_stochastic and training:
            real = ops.cast(ops.not_equal(tokens, PAD), "float32")[..., None]
            # Weights sum to 1 a word, so the mean over cells is words/S: the penalty is relative.
            cells = ops.cast(weights.shape[-1], "float32") / ops.sum(real, axis=1)
            unseen = 1.0 - ops.sum(weights * real, axis=1) * cells
            self.add_loss(self.doubly_stochastic * ops.mean(ops.square(unseen)))
        return logits

    def evaluate(self, *args, **options):
        """Keras's `evaluate`, whose last batch may be smaller on several devices too."""
        with remainders():
            return super().evaluate(*args, **options)

    def generate(self, clips, width: int = 1) -> SearchResult:
        """Searches captions for a batch of clips: greedily for width 1, else with a beam."""
        return self.generate_from(self.encoder(clips), width)

    def generate_from(self, memory, width: int) -> SearchResult:
        """As `generate`, from the clips' memory `(batch, S, D)`."""
        state, batch = self.decoder.start(memory), ops.shape(memory)[0]
        spec = self.caption_spec
        if width == 1:
            return greedy(self.decoder.step, state, batch, spec.length)
        options = (spec.length_exponent, spec.no_repeat)
        return beam(self.decoder.step, state, batch, spec.length, width, *options)

    def get_config(self):
        verifier = self.verifier.get_config()
        return (
            super().get_config()
            | {
                "format": FORMAT,
                "clip_spec": dataclasses.asdict(self.clip_spec),
                "caption_spec": dataclasses.asdict(self.caption_spec),
                "vocabulary": list(self.vocabulary.words),
                "encoder": keras.saving.serialize_keras_object(self.encoder),
                "decoder": self.decoder_options,
                "doubly_stochastic": self.doubly_stochastic,
                "recipe": self.recipe,
            }
            | ({"verifier": verifier} if verifier else {})
        )

    def save_own_variables(self, store):
        self.verifier.save(store)

    def load_own_variables(self, store):
        self.verifier = VerifierState.from_config(self._verifier_config, store)

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        if (found := config.pop("format", None)) != FORMAT:
            raise ModelError(
                f"expected a model of format {FORMAT}. Received: format {found}, of "
                "another version; use it with the v2t_lib that wrote it, or train it again"
            )
        caption_spec = CaptionSpec(**config.pop("caption_spec"))
        verifier = config.pop("verifier", None)
        captioner = cls(
            clip_spec=ClipSpec(**config.pop("clip_spec")),
            caption_spec=caption_spec,
            vocabulary=Vocabulary(tuple(config.pop("vocabulary")), caption_spec.unit),
            encoder=encoders.deserialize(config.pop("encoder")),
            **config,
        )
        # What it names is made when the weights are loaded.
        object.__setattr__(captioner, "_verifier_config", verifier)
        return captioner
