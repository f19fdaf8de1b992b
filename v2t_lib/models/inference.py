"""What a trained captioner does with batches of decoded clips: caption, explain, verify."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from v2t_lib.errors import ModelError
from v2t_lib.models.caption import Caption
from v2t_lib.models.compiled import (
    CompiledEncoder,
    CompiledFeatures,
    CompiledSearch,
    CompiledTeacherForcing,
    CompiledVerification,
    Decoding,
)
from v2t_lib.models.devices import split
from v2t_lib.models.generation import SearchResult
from v2t_lib.models.transcribe import transcribe
from v2t_lib.models.verification import Verification, verification, words_of
from v2t_lib.models.verifier import NullMemory, VerifierState, pooled
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.text.vocabulary import Vocabulary, sentence, tokenise


class Inference:
    """The part of `Captioner` that takes batches once it is trained; `OneClip` takes one clip."""

    clip_spec: ClipSpec
    caption_spec: CaptionSpec
    vocabulary: Vocabulary
    encoder: Any
    verifier: VerifierState
    # Compiled when first used: the encoder's and teacher forcing's model, a model for each number
    # of beams, and one for each number of sentences.
    _features: Any
    _encoding: Any
    _teacher_forcing: Any
    _searches: dict[int, Decoding]
    _verifications: dict[tuple[int, int], Decoding]

    @property
    def grid(self) -> tuple[int, int, int]:
        """`(T', h', w')`, the memory's cells."""
        return self.encoder.grid(self.clip_spec)

    def cell_shift(self) -> tuple[float, float]:
        """Where views and metrics lay attention, see `GridEncoder.cell_shift`."""
        measure = getattr(self.encoder, "cell_shift", None)
        return measure() if measure else (0.0, 0.0)

    def features(self, frames) -> np.ndarray:
        """What an image network makes of clips; frames that recur are computed once.

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.

        Returns:
            `(batch, T, h', w', C)`; `frames` for an encoder without an image network.
        """
        frames = self._checked(frames)
        if not hasattr(self.encoder, "features"):
            return frames
        if self._features is None:
            object.__setattr__(self, "_features", CompiledFeatures(self.encoder))
        return self._features.of_clips(frames)

    def encode(self, inputs) -> np.ndarray:
        """The memory of a batch of clips, which saves time where clips are used more than once.

        Args:
            inputs: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says, or what `features` made of
                them.

        Returns:
            float32 `(batch, S, D)`.
        """
        inputs = np.asarray(inputs)
        # One clip is too little for what `features` computes at a time.
        if len(inputs) > 1 and inputs.shape[1:] == self.clip_spec.shape:
            inputs = self.features(inputs)
        if self._encoding is None:
            object.__setattr__(self, "_encoding", CompiledEncoder(self))
        return np.asarray(self._encoding.predict_on_batch(split(inputs)))

    def caption_frames(self, frames, beam: int = 1, seconds=None, memory=None) -> list[Caption]:
        """Captions a batch of decoded clips.

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            beam: Number of beams; 1 for greedy.
            seconds: `(batch, T)`, the frames' times; frame numbers when left out.
            memory: What `encode` made of the frames, where it is there already.
        """
        frames = self._checked(frames)
        found = self.search(self.encode(frames) if memory is None else memory, beam)
        return self._captions(found, frames, seconds)

    def search(self, memory, beam: int = 1) -> SearchResult:
        """The tokens of captions for a batch of clips, with their log-probabilities and attention.

        Args:
            memory: `(batch, S, D)`, what `encode` made of the clips.
            beam: Number of beams; 1 for greedy.
        """
        if beam < 1:
            raise ValueError(f"expected at least 1 beam. Received: beam={beam}")
        if beam not in self._searches:
            self._searches[beam] = Decoding(functools.partial(CompiledSearch, self, beam))
        return SearchResult(*map(np.asarray, self._searches[beam](memory, len(memory))))

    def explain_frames(
        self, frames, texts: Sequence[str], seconds=None, memory=None
    ) -> list[Caption]:
        """Scores given sentences (teacher forcing): each word's probability and attention.

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            texts: A sentence a clip; words the vocabulary lacks are scored as the unknown word.
            seconds: `(batch, T)`, the frames' times; frame numbers when left out.
            memory: What `encode` made of the frames, where it is there already.
        """
        frames, length = self._checked(frames), self.caption_spec.length
        tokens = np.stack([self.vocabulary.pack(text, length) for text in texts])  # (B,L+1)
        if self._teacher_forcing is None:
            forcing = Decoding(functools.partial(CompiledTeacherForcing, self))
            object.__setattr__(self, "_teacher_forcing", forcing)
        memory = self.encode(frames) if memory is None else memory
        found = self._teacher_forcing((memory, tokens), len(memory))
        captions = self._captions(found, frames, seconds)
        unit = self.caption_spec.unit
        sentences = [tuple(tokenise(text, unit)[: length - 1]) for text in texts]
        return [
            dataclasses.replace(caption, words=words, text=sentence(words, unit))
            for caption, words in zip(captions, sentences, strict=True)
        ]

    def verify_frames(
        self, frames, sentences: Sequence[str], seconds=None, memory=None
    ) -> list[Verification]:
        """Judges a sentence for each clip of a batch: does the clip support it?

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            sentences: A sentence a clip.
            seconds: `(batch, T)`, the frames' times; frame numbers when left out.
            memory: What `encode` made of the frames, where it is there already.

        Raises:
            ModelError: The model has no null memory.
            SentenceError: A sentence without words, or longer than the model writes.
        """
        frames = self._checked(frames)
        words = [words_of(text, self.caption_spec) for text in sentences]
        tokens = np.stack([self.vocabulary.pack(s, self.caption_spec.length) for s in sentences])
        memory = self.encode(frames) if memory is None else memory
        found, blind = self.score_tokens(memory, tokens[:, None])
        found = SearchResult(*(part[:, 0] for part in found))
        captions = self._captions(found, frames, seconds)
        unlike = self.unlike_training(memory)
        verified = []
        for number, (caption, said) in enumerate(zip(captions, words, strict=True)):
            text = sentence(said, self.caption_spec.unit)
            given = dataclasses.replace(caption, words=tuple(said), text=text)
            log_probs = blind[number, 0, : len(said)]
            arguments = (sentences[number], self.verifier, self.vocabulary, unlike[number])
            verified.append(verification(given, log_probs, *arguments))
        return verified

    def score_tokens(self, memory, tokens) -> tuple[SearchResult, np.ndarray]:
        """Scores K given sentences a clip, with the clip and without: what verification rests on.

        Args:
            memory: `(batch, S, D)`, what `encode` made of the clips.
            tokens: int32 `(batch, K, L + 1)`, as `Vocabulary.pack` gives them.

        Returns:
            The sentences' scores, `(batch, K, L)` and so on; and float32 `(batch, K, L)`, the
            words' log-probabilities where no clip is seen.

        Raises:
            ModelError: The model has no null memory.
        """
        blind, count = self.require_null_memory(), tokens.shape[1]
        key = (count, id(blind))  # a graph of its own for each number of sentences
        if key not in self._verifications:
            model = functools.partial(CompiledVerification, self, blind)
            self._verifications[key] = Decoding(model)
        found, unseen = self._verifications[key]((memory, tokens), len(memory))
        return SearchResult(*map(np.asarray, found)), np.asarray(unseen)

    def unlike_training(self, memory) -> list[bool | None]:
        """Whether each clip of a batch is unlike those the model was trained on.

        Args:
            memory: `(batch, S, D)`, what `encode` made of the clips.

        Returns:
            None for every clip where the model's file doesn't say what it was trained on.
        """
        familiarity = self.verifier.familiarity
        if familiarity is None:
            return [None] * len(memory)
        return familiarity.unlike(pooled(memory)).tolist()

    def require_null_memory(self) -> NullMemory:
        """The null memory, without which nothing can be verified.

        Raises:
            ModelError: There is none.
        """
        if self.verifier.null_memory is None:
            raise ModelError(
                "expected a model that knows what it would write without seeing a clip. Received: "
                "one that was saved without; add it with `v2t calibrate MODEL SHARDS`"
            )
        return self.verifier.null_memory

    def _checked(self, frames) -> np.ndarray:
        frames = np.asarray(frames)
        if frames.shape[1:] != self.clip_spec.shape or frames.dtype != np.uint8:
            raise ValueError(
                f"expected a batch of uint8 frames of shape {self.clip_spec.shape}. "
                f"Received: {frames.dtype} of shape {frames.shape}"
            )
        return frames

    def _captions(self, found: SearchResult, frames, seconds) -> list[Caption]:
        if seconds is None:
            seconds = np.tile(np.arange(frames.shape[1], dtype=float), (len(frames), 1))
        return transcribe(found, self.vocabulary, self.grid, frames, seconds, self.cell_shift())
