"""The captioner: an encoder and a decoder, and all that a trained one does."""

import dataclasses
import os
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from v2t_lib.clips.decode import Clip, decode_clip
from v2t_lib.errors import ModelError
from v2t_lib.fetching.download import read_source
from v2t_lib.models.caption import Caption
from v2t_lib.models.compiled import Compiled, filled_up, of_distinct_frames
from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.devices import remainders, split
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.generation import SearchResult, beam, forced, greedy, log_probs_of
from v2t_lib.models.process import require_own_process
from v2t_lib.models.verification import Verification, orders, verification, words_of
from v2t_lib.models.verifier import NullMemory, VerifierState, pooled
from v2t_lib.models.word_lifts import WordLifts
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import Vocabulary, sentence, tokenise

FORMAT = 1


@keras.saving.register_keras_serializable("v2t_lib")
class Captioner(keras.Model):
    """Generates captions for clips, and scores given ones.

    `caption`, `explain` and `verify` take one clip of any kind; `caption_frames` and so on a batch
    of decoded ones; `search` and `score_tokens` memories, which `encode` makes of clips.

    Args:
        clip_spec, caption_spec: What goes in and what comes out.
        vocabulary: The words it can write, of the same unit.
        encoder: An encoder layer (see `v2t_lib.encoders`).
        decoder: Keyword arguments of `AttentionDecoder`, except `vocabulary_size`.
        recipe: How it was built and trained, as `Recipe.to_dict` has it; None where unknown.

    Attributes:
        writing: The `CaptionSpec` by which captions are searched; another may be set, with
            `dataclasses.replace(captioner.writing, fewest_words=4)` say.
        verifier: What it and its file carry beside the network, to judge sentences by.

    It is called with `(clips, tokens)`, uint8 `(batch, T, H, W, 3)` and int32 `(batch, L)`, and
    returns logits `(batch, L, vocabulary_size)`.
    """

    def __init__(
        self,
        clip_spec: ClipSpec,
        caption_spec: CaptionSpec,
        vocabulary: Vocabulary,
        encoder: layers.Layer,
        decoder: dict | None = None,
        recipe: dict | None = None,
        **kwargs,
    ):
        require_own_process()
        super().__init__(**kwargs)
        if vocabulary.unit != caption_spec.unit:
            raise ValueError(
                f"expected a vocabulary of the caption spec's unit, {caption_spec.unit!r}. "
                f"Received: one of {vocabulary.unit!r}"
            )
        self.clip_spec, self.caption_spec, self.vocabulary = clip_spec, caption_spec, vocabulary
        self.writing, self.verifier = caption_spec, VerifierState()
        self.encoder, self.recipe = encoder, recipe
        self.decoder_options = dict(decoder or {})
        self.decoder = AttentionDecoder(
            len(vocabulary), **self.decoder_options, dtype=self.dtype_policy
        )
        self.build([(None, *clip_spec.shape), (None, caption_spec.length)])
        # Hidden from Keras's tracking: these models hold this one, and are no parts of it.
        object.__setattr__(self, "_compiled_functions", {})
        object.__setattr__(self, "_verifier_config", None)

    def build(self, input_shape):
        clips, tokens = input_shape
        if not self.encoder.built:  # a deserialised encoder is built already
            self.encoder.build(clips)
        self.decoder.build(tokens, self.encoder.compute_output_shape(clips))
        self.built = True

    def call(self, inputs, training=False):
        clips, tokens = split(inputs)
        return self.decoder(tokens, self.encoder(clips, training=training), training=training)[0]

    def evaluate(self, *args, **options):
        """Keras's `evaluate`, whose last batch may be smaller on several devices too."""
        with remainders():
            return super().evaluate(*args, **options)

    def generate(self, clips, width: int = 1) -> SearchResult:
        """Searches captions for a batch of clips: greedily for width 1, else with a beam."""
        return self.generate_from(self.encoder(clips), width)

    def generate_from(self, memory, width: int = 1, n: int = 1) -> SearchResult:
        """As `generate`, from the clips' memory `(batch, S, D)`; `n` as in `search`."""
        step, state, spec = self.decoder.step, self.decoder.start(memory), self.writing
        if width == 1:
            return greedy(step, state, spec.length, spec.fewest_words)
        exponent = spec.length_exponent
        return beam(step, state, spec.length, width, exponent, n, spec.fewest_words)

    @property
    def grid(self) -> tuple[int, int, int]:
        """`(T', h', w')`, the memory's cells."""
        return self.encoder.grid(self.clip_spec)

    def cell_shift(self) -> tuple[float, float]:
        """How far `(down, right)` of their own centres the cells see, see `GridEncoder.shift`."""
        shift = getattr(self.encoder, "shift", 0.0)
        return shift, shift

    def decode(self, source) -> Clip:
        """A path, a URL or what `decode_clip` takes, to the clip the model gets, or a ClipError."""
        if isinstance(source, str | os.PathLike):
            source = read_source(os.fspath(source))
        return decode_clip(source, self.clip_spec)

    def caption(self, source, beam: int = 1) -> Caption:
        """Captions one clip: a path or URL, bytes, an open file, a picture of Pillow's or frames;
        see `iter_frames`. One that gives no frames is a ClipError."""
        return self.best_captions(source, 1, beam)[0]

    def best_captions(self, source, n: int, beam: int | None = None) -> list[Caption]:
        """The `n` captions of one clip that a search with `beam` beams, or `n`, ranks highest."""
        clip = self.decode(source)
        memory = self.encode(clip.frames[None])
        found = self.search(memory, beam or n, n)
        if n > 1:
            found = SearchResult(*(part[0] for part in found))
        frames, seconds = (np.stack([part] * n) for part in (clip.frames, clip.seconds))
        return self._captions(found, frames, seconds, np.repeat(memory, n, axis=0))

    def explain(self, source, text: str) -> Caption:
        """Scores a given sentence of any length for a clip: each word's probability, attention."""
        clip, length = self.decode(source), self.length_of([text])
        return self.explain_frames(clip.frames[None], [text], clip.seconds[None], length=length)[0]

    def verify(self, source, sentence: str) -> Verification:
        """Does a clip, given as `caption` takes it, support a sentence?

        Raises:
            ClipError: The source gives no frames.
            ModelError: The model has no null memory.
            SentenceError: A sentence without words, or of more than 100.
        """
        clip = self.decode(source)
        return dataclasses.replace(
            self.verify_frames(clip.frames[None], [sentence], clip.seconds[None])[0],
            source=str(source) if isinstance(source, str | os.PathLike) else "",
            verify=lambda frames: self.verify_frames(frames, [sentence] * len(frames)),
        )

    def caption_frames(self, frames, beam: int = 1, seconds=None, memory=None) -> list[Caption]:
        """Captions a batch of decoded clips.

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            beam: Number of beams; 1 for greedy.
            seconds: `(batch, T)`, the frames' times; frame numbers when left out.
            memory: What `encode` made of the frames, if it is known already.
        """
        frames = self._checked(frames)
        memory = self.encode(frames) if memory is None else memory
        return self._captions(self.search(memory, beam), frames, seconds, memory)

    def explain_frames(
        self, frames, texts: Sequence[str], seconds=None, memory=None, length: int | None = None
    ) -> list[Caption]:
        """Scores a given sentence for each clip (teacher forcing); unknown words as UNK.

        Arguments are those of `caption_frames`, and `length`, the most tokens: those of the
        captions trained on when left out, as losses are defined.
        """
        frames, unit = self._checked(frames), self.vocabulary.unit
        length = length or self.caption_spec.length
        memory = self.encode(frames) if memory is None else memory
        found = self._scored(memory, self._packed(texts, length))
        found = SearchResult(*(part[:, 0] for part in found))
        captions = self._captions(found, frames, seconds, memory)
        for row, text in enumerate(texts):  # unknown words as they were given
            words = tuple(tokenise(text, unit)[: length - 1])
            captions[row] = dataclasses.replace(
                captions[row], words=words, text=sentence(words, unit)
            )
        return captions

    def verify_frames(
        self, frames, sentences: Sequence[str], seconds=None, memory=None
    ) -> list[Verification]:
        """As `verify`, a sentence for each clip; arguments are those of `caption_frames`."""
        memory = self.encode(self._checked(frames)) if memory is None else memory
        length, once = self.length_of(sentences), dict.fromkeys(sentences)
        packed = [self._packed(orders(words_of(t, self.caption_spec)), length) for t in once]
        # A batch about one sentence needs it once; other numbers would each be compiled anew.
        size = 1 if len(once) == 1 else len(sentences)
        scored = self._scored_blind(np.concatenate(filled_up(packed, size)))[:, 0]
        blind = dict(zip(once, np.split(scored, size), strict=False))
        captions = self.explain_frames(frames, sentences, seconds, memory, length)
        rows = zip(captions, sentences, self.word_lifts(memory), self.written(memory), strict=True)
        return [
            verification(caption, blind[text], text, self.verifier, self.vocabulary, *of_clip)
            for caption, text, *of_clip in rows
        ]

    def written(self, memory) -> list[list[str]]:
        """The words of each clip's caption, by greedy search."""
        return [self.vocabulary.unpack(tokens) for tokens in self.search(memory).tokens]

    def length_of(self, texts: Sequence[str]) -> int:
        """Tokens that hold texts of any length: a multiple of the captions', each compiled once."""
        length, unit = self.caption_spec.length, self.vocabulary.unit
        most = max((len(tokenise(text, unit)) + 1 for text in texts), default=0)
        return max(length, -(-most // length) * length)

    def word_lifts(self, memory) -> np.ndarray:
        """float32 `(batch, vocabulary_size)`: `WordLifts` of clips' memories, in nats."""
        key = ("word lifts", id(self.require_null_memory()))
        if key not in self._compiled_functions:
            self._compiled_functions[key] = WordLifts(self)
        return self._compiled_functions[key](memory)

    def _packed(self, texts: Sequence[str], length: int) -> np.ndarray:
        """int32 `(batch, 1, length + 1)`."""
        return np.stack([self.vocabulary.pack(text, length) for text in texts])[:, None]

    def _captions(self, found: SearchResult, frames, seconds, memory) -> list[Caption]:
        if seconds is None:
            seconds = np.tile(np.arange(frames.shape[1], dtype=float), (len(frames), 1))
        shift, unlike = self.cell_shift(), self.unlike_training(memory)
        return [
            Caption.from_search(
                SearchResult(*(part[row] for part in found)),
                self.vocabulary,
                self.grid,
                frames=frames[row],
                seconds=seconds[row],
                cell_shift=shift,
                unlike_training=unlike[row],
            )
            for row in range(len(found.tokens))
        ]

    def _checked(self, frames) -> np.ndarray:
        frames = np.asarray(frames)
        if frames.shape[1:] != self.clip_spec.shape or frames.dtype != np.uint8:
            raise ValueError(
                f"expected a batch of uint8 frames of shape {self.clip_spec.shape}. "
                f"Received: {frames.dtype} of shape {frames.shape}"
            )
        return frames

    def features(self, frames) -> np.ndarray:
        """What an image network makes of clips, `(batch, T, h', w', C)`; without one, the clips."""
        frames = self._checked(frames)
        if not hasattr(self.encoder, "features"):
            return frames
        compiled = self._compiled_function("features", self.encoder.stored, decodes=False)
        return of_distinct_frames(compiled, frames, self.encoder.together)

    def encode(self, inputs) -> np.ndarray:
        """The memory, float32 `(batch, S, D)`, of clips or of what `features` made of them."""
        inputs = np.asarray(inputs)
        # One clip is too little for what `features` computes at a time.
        if len(inputs) > 1 and inputs.shape[1:] == self.clip_spec.shape:
            inputs = self.features(inputs)
        encode = self._compiled_function(
            "encode", lambda clips: ops.cast(self.encoder(clips), "float32"), decodes=False
        )
        return encode.run(inputs)

    def search(self, memory, beam: int = 1, n: int = 1) -> SearchResult:
        """The tokens of captions, with their log-probabilities and attention, of what `encode` made
        of clips; with `n` above 1, at most `beam`, the best ones, best first: `(batch, n, L)`."""
        if not 1 <= n <= beam:
            raise ValueError(
                f"expected at least 1 beam, and no more captions. Received: beam={beam}, n={n}"
            )
        search = self._compiled_function(
            ("search", beam, n, self.writing), lambda memory: self.generate_from(memory, beam, n)
        )
        return SearchResult(*search.run(memory))

    def score_tokens(self, memory, tokens) -> tuple[SearchResult, np.ndarray]:
        """Scores K given sentences a clip, int32 `(batch, K, L + 1)` as `Vocabulary.pack` gives
        them, with the clip, by its memory, and without.

        Returns:
            The scores, `(batch, K, L)` and so on; and float32 `(batch, K, L)`, the words'
            log-probabilities without a clip.
        """
        return self._scored(memory, tokens), self._scored_blind(tokens)

    def _scored(self, memory, tokens) -> SearchResult:
        def score(inputs):
            memory, tokens = inputs
            return forced(*self.decoder(tokens[..., :-1], memory), tokens[..., 1:])

        key = ("score", *tokens.shape[1:])  # a graph for each number of sentences, and length
        return SearchResult(*self._compiled_function(key, score).run((memory, tokens)))

    def _scored_blind(self, tokens) -> np.ndarray:
        null_memory = self.require_null_memory()

        def score(tokens):
            logits, _ = self.decoder(tokens[..., :-1], null_memory(tokens))
            return log_probs_of(logits, tokens[..., 1:])

        key = ("score blind", *tokens.shape[1:], id(null_memory))
        return self._compiled_function(key, score, null_memory).run(tokens)

    def _compiled_function(self, key, function, *parts, decodes: bool = True) -> Compiled:
        """A function that uses this model and `parts`, made at its key's first use."""
        require_own_process()
        functions = self._compiled_functions
        if key not in functions:
            functions[key] = Compiled(function, self, *parts, decodes=decodes)
        return functions[key]

    def unlike_training(self, memory) -> list[bool | None]:
        """Whether each clip, by its memory, is unlike the training data; None where unknown."""
        if self.verifier.familiarity is None:
            return [None] * len(memory)
        return self.verifier.familiarity.unlike(pooled(memory)).tolist()

    def require_null_memory(self) -> NullMemory:
        """The null memory; a `ModelError` where there is none, as nothing can be verified then."""
        if self.verifier.null_memory is None:
            raise ModelError(
                "expected a model that knows what it would write without seeing a clip. Received: "
                "one that was saved without; add it with `v2t calibrate MODEL SHARDS`"
            )
        return self.verifier.null_memory

    def get_config(self):
        config = super().get_config() | {
            "format": FORMAT,
            "clip_spec": dataclasses.asdict(self.clip_spec),
            "caption_spec": dataclasses.asdict(self.caption_spec),
            "vocabulary": list(self.vocabulary.words),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": self.decoder_options,
            "recipe": self.recipe,
        }
        verifier = self.verifier.get_config()
        return config | {"verifier": verifier} if verifier else config

    @classmethod
    def from_config(cls, config):
        config = {name: part for name, part in config.items() if name != "format"}
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

    def save_own_variables(self, store):
        self.verifier.save(store)

    def load_own_variables(self, store):
        self.verifier = VerifierState.from_config(self._verifier_config, store)
