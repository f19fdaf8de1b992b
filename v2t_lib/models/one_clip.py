"""What a trained captioner does with one clip, wherever it comes from."""

import dataclasses

import numpy as np

from v2t_lib.clips.decode import Clip, decode_clip
from v2t_lib.fetching.download import read_source
from v2t_lib.models.caption import Caption
from v2t_lib.models.inference import Inference
from v2t_lib.models.verification import Verification, words_of


class OneClip(Inference):
    """The part of `Captioner` that takes a path, URL, bytes or frames once it is trained."""

    def decode(self, source) -> Clip:
        """A path, URL, bytes or uint8 `(N, H, W, 3)` frames to the clip the model gets."""
        if not isinstance(source, bytes | np.ndarray):
            source = read_source(source)
        return decode_clip(source, self.clip_spec)

    def caption(self, source, beam: int = 1) -> Caption:
        """Captions one clip: a path, URL, bytes or uint8 `(N, H, W, 3)` frames.

        Raises:
            ClipError: The source gives no frames.
        """
        clip = self.decode(source)
        memory = self.encode(clip.frames[None])
        found = self.caption_frames(clip.frames[None], beam, clip.seconds[None], memory)[0]
        (unlike,) = self.unlike_training(memory)
        return dataclasses.replace(found, unlike_training=unlike)

    def explain(self, source, text: str) -> Caption:
        """Scores a given sentence for a clip: each word's probability and attention.

        Raises:
            ClipError: The source gives no frames.
        """
        clip = self.decode(source)
        memory = self.encode(clip.frames[None])
        found = self.explain_frames(clip.frames[None], [text], clip.seconds[None], memory)[0]
        (unlike,) = self.unlike_training(memory)
        return dataclasses.replace(found, unlike_training=unlike)

    def verify(self, source, sentence: str) -> Verification:
        """Does a clip support a sentence? See `Verification`.

        Args:
            source: A path, URL, bytes or uint8 `(N, H, W, 3)` frames.
            sentence: What is claimed of it.

        Raises:
            ClipError: The source gives no frames.
            ModelError: The model has no null memory.
            SentenceError: A sentence without words, or longer than the model writes.
        """
        self.require_null_memory()
        words_of(sentence, self.caption_spec)
        clip = self.decode(source)
        found = self.verify_frames(clip.frames[None], [sentence], clip.seconds[None])[0]

        def rescore(frames: np.ndarray) -> list[float]:
            others = self.verify_frames(frames, [sentence] * len(frames))
            return [float(other.score or 0) for other in others]  # its words are known

        name = "" if isinstance(source, bytes | np.ndarray) else str(source)
        return dataclasses.replace(found, source=name, rescore=rescore)
