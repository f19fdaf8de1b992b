"""What a trained captioner does with batches of decoded clips: caption, explain, verify."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from v2t_lib.errors import ModelError
from v2t_lib.models.caption import Caption
from v2t_lib.models.compiled import (
    CompiledFeatures,
    CompiledPooling,
    CompiledSearch,
    CompiledTeacherForcing,
    CompiledVerification,
)
from v2t_lib.models.distribution import split
from v2t_lib.models.generation import SearchResult
from v2t_lib.models.null_memory import NullMemory
from v2t_lib.models.transcribe import transcribe
from v2t_lib.models.verification import Verification, verification, words_of
from v2t_lib.text.vocabulary import sentence, tokenise


class Inference:
    """The part of `Captioner` that takes batches once it is trained; `OneClip` takes one clip."""

    def features(self, frames) -> np.ndarray:
        """What an image network makes of clips, for `caption_frames` and the like.

        It saves time where a clip is used more than once: frames that recur are computed once.

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

    def caption_frames(self, frames, beam: int = 1, seconds=None, features=None) -> list[Caption]:
        """Captions a batch of decoded clips.

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            beam: Number of beams; 1 for greedy.
            seconds: `(batch, T)`, the frames' times; frame numbers when left out.
            features: What `features` made of the frames, where it is there already.
        """
        frames = self._checked(frames)
        found = self.search(frames if features is None else features, beam)
        return self._captions(found, frames, seconds)

    def search(self, inputs, beam: int = 1) -> SearchResult:
        """The tokens of captions for a batch of clips, with their log-probabilities and attention.

        Args:
            inputs: uint8 clips `(batch, T, H, W, 3)`, or what `features` made of them.
            beam: Number of beams; 1 for greedy.
        """
        if beam < 1:
            raise ValueError(f"expected at least 1 beam. Received: beam={beam}")
        if beam not in self._searches:
            self._searches[beam] = CompiledSearch(self, beam)
        return SearchResult(*map(np.asarray, self._searches[beam].predict_on_batch(split(inputs))))

    def explain_frames(
        self, frames, texts: Sequence[str], seconds=None, features=None
    ) -> list[Caption]:
        """Scores given sentences (teacher forcing): each word's probability and attention.

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            texts: A sentence a clip; words the vocabulary lacks are scored as the unknown word.
            seconds: `(batch, T)`, the frames' times; frame numbers when left out.
            features: What `features` made of the frames, where it is there already.
        """
        frames, length = self._checked(frames), self.caption_spec.length
        tokens = np.stack([self.vocabulary.pack(text, length) for text in texts])  # (B,L+1)
        if self._teacher_forcing is None:
            object.__setattr__(self, "_teacher_forcing", CompiledTeacherForcing(self))
        found = self._teacher_forcing.predict_on_batch(
            split((frames if features is None else features, tokens))
        )
        captions = self._captions(found, frames, seconds)
        unit = self.caption_spec.unit
        sentences = [tuple(tokenise(text, unit)[: length - 1]) for text in texts]
        return [
            dataclasses.replace(caption, words=words, text=sentence(words, unit))
            for caption, words in zip(captions, sentences, strict=True)
        ]

    def verify_frames(
        self, frames, sentences: Sequence[str], seconds=None, features=None
    ) -> list[Verification]:
        """Judges a sentence for each clip of a batch: does the clip bear it out?

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            sentences: A sentence a clip.
            seconds: `(batch, T)`, the frames' times; frame numbers when left out.
            features: What `features` made of the frames, where it is there already.

        Raises:
            ModelError: The model has no null memory.
            SentenceError: A sentence without words, or longer than the model writes.
        """
        frames = self._checked(frames)
        words = [words_of(text, self.caption_spec) for text in sentences]
        tokens = np.stack([self.vocabulary.pack(s, self.caption_spec.length) for s in sentences])
        inputs = frames if features is None else features
        found, blind, pooled = self.score_tokens(inputs, tokens[:, None])
        found = SearchResult(*(part[:, 0] for part in found))
        captions = self._captions(found, frames, seconds)
        unlike = self._unlike(pooled)
        verified = []
        for number, (caption, said) in enumerate(zip(captions, words, strict=True)):
            text = sentence(said, self.caption_spec.unit)
            given = dataclasses.replace(caption, words=tuple(said), text=text)
            log_probs = blind[number, 0, : len(said)]
            arguments = (sentences[number], self.verifier, self.vocabulary, unlike[number])
            verified.append(verification(given, log_probs, *arguments))
        return verified

    def score_tokens(self, inputs, tokens) -> tuple[SearchResult, np.ndarray, np.ndarray]:
        """Scores K given sentences a clip, with the clip and without: what verification rests on.

        Args:
            inputs: uint8 clips `(batch, T, H, W, 3)`, or what `features` made of them.
            tokens: int32 `(batch, K, L + 1)`, as `Vocabulary.pack` gives them.

        Returns:
            The sentences' scores, `(batch, K, L)` and so on; float32 `(batch, K, L)`, the words'
            log-probabilities where no clip is seen; and float32 `(batch, F)`, the clips' `pooled`
            memories.

        Raises:
            ModelError: The model has no null memory.
        """
        memory = self.require_null_memory()
        count = tokens.shape[1]  # a graph of its own for each number of sentences
        model = self._verifications.get(count)
        if model is None or model.null_memory is not memory:
            model = self._verifications[count] = CompiledVerification(self, memory)
        found, *others = model.predict_on_batch(split((inputs, tokens)))
        return SearchResult(*map(np.asarray, found)), *map(np.asarray, others)

    def unlike_training(self, frames, features=None) -> list[bool | None]:
        """Whether each clip of a batch is unlike those the model was trained on.

        Args:
            frames: uint8 `(batch, T, H, W, 3)`, as `clip_spec` says.
            features: What `features` made of the frames, where it is there already.

        Returns:
            None for every clip where the model's file doesn't say what it was trained on.
        """
        frames = self._checked(frames)
        if self.verifier.familiarity is None:
            return [None] * len(frames)
        return self._unlike(self.pooled(frames if features is None else features))

    def pooled(self, inputs) -> np.ndarray:
        """float32 `(batch, F)`: what familiarity is judged by, see `models.familiarity.pooled`.

        Args:
            inputs: uint8 clips `(batch, T, H, W, 3)`, or what `features` made of them.
        """
        if self._pooling is None:
            object.__setattr__(self, "_pooling", CompiledPooling(self))
        return np.asarray(self._pooling.predict_on_batch(split(inputs)))

    def _unlike(self, pooled: np.ndarray) -> list[bool | None]:
        familiarity = self.verifier.familiarity
        if familiarity is None:
            return [None] * len(pooled)
        return familiarity.unlike(pooled).tolist()

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
