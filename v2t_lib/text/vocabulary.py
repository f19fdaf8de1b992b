"""Captions as words, words as tokens."""

import dataclasses
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from v2t_lib.errors import ModelError

PAD, START, END, UNK = range(4)
SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


class _Plain(dict):
    """A `str.translate` table: letters, marks and digits stay, all else parts words."""

    def __missing__(self, code: int) -> str:
        kind = unicodedata.category(chr(code))
        # Format characters, a soft hyphen for one, are invisible: they part nothing.
        self[code] = chr(code) if kind[0] in "LMN" else "" if kind == "Cf" else " "
        return self[code]


_QUOTES = str.maketrans("’‘ʼ`‐‑", "''''--")
_PLAIN = _Plain({ord("'"): "'", ord("-"): "-", ord("&"): " and "})
# A word may hold apostrophes and hyphens inside (don't, t-shirt), never at its ends.
_WORD = re.compile(r"[^\s'-]+(?:['-][^\s'-]+)*")
# Captions, and the references of score suites, also come as "dog 's" and "does n't".
_PARTED = re.compile(r"(?<=\w)\s+(?=(?:'(?:s|re|ve|ll|d|m)|n't)(?![\w']))")


def tokenise(text: str) -> list[str]:
    """The words of a caption: lower case, straight apostrophes, no punctuation.

    Apostrophes and hyphens inside a word stay ("it's" is not "its", "t-shirt" is one word), a
    parted ending rejoins its word ("dog 's" is "dog's"), "&" reads "and", digits are words. Typos
    are kept as typed: the vocabulary's minimum count deals with them.
    """
    # The compatibility form of an acute accent is a blank and a mark: no apostrophe any more.
    text = unicodedata.normalize("NFKC", text.replace("´", "'")).lower().translate(_QUOTES)
    return _WORD.findall(_PARTED.sub("", text).translate(_PLAIN))


def normalise(text: str) -> str:
    """A caption as the model would write it: its words, one space between.

    This is all that tokens can give back: for a vocabulary that knows the words and a length with
    room for them, `" ".join(v.unpack(v.pack(text, length))) == normalise(text)`. Normalising twice
    changes nothing.
    """
    return " ".join(tokenise(text))


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words a model knows; token `i` is `words[i]`, the first four are `SPECIALS`.

    `list(vocabulary.words)` is all there is to save; `Vocabulary(words)` checks and restores it.

    Raises:
        ModelError: Words that aren't distinct, or don't begin with `SPECIALS`.

    Example:
        >>> vocabulary = Vocabulary.from_captions(["A cat sits.", "a cat jumps"])
        >>> vocabulary.words[4:]
        ('a', 'cat', 'jumps', 'sits')
        >>> vocabulary.pack("A cat runs!", length=5)
        array([1, 4, 5, 3, 2, 0], dtype=int32)
    """

    words: tuple[str, ...]

    def __post_init__(self):
        words = tuple(self.words)
        whole = all(isinstance(word, str) and word for word in words)
        if words[:4] != SPECIALS or not whole or len(set(words)) < len(words):
            raise ModelError(
                f"expected a vocabulary of distinct words that begins with {SPECIALS}. "
                f"Received: {len(words)} words beginning with {words[:4]}"
            )
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "_tokens", {word: i for i, word in enumerate(words)})

    @classmethod
    def from_captions(cls, captions: Iterable[str], min_count: int = 1) -> "Vocabulary":
        """The words that occur at least `min_count` times: most frequent first, then by letter."""
        counts = Counter(word for caption in captions for word in tokenise(caption))
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return cls(SPECIALS + tuple(word for word, count in ranked if count >= min_count))

    def __len__(self) -> int:
        return len(self.words)

    def pack(self, text: str, length: int) -> np.ndarray:
        """START, the words, END, then PAD: int32 `(length + 1,)`.

        `[:-1]` are the decoder's inputs, `[1:]` its targets, `(length,)` each. Words that find no
        room before END are left out; words the vocabulary lacks become UNK.

        Raises:
            ValueError: `length` has no room for END.
        """
        if length < 1:
            raise ValueError(f"expected a length of at least 1. Received: length={length}")
        known = [self._tokens.get(word, UNK) for word in tokenise(text)[: length - 1]]
        packed = np.full(length + 1, PAD, np.int32)
        packed[: len(known) + 2] = [START, *known, END]
        return packed

    def unpack(self, tokens: Sequence[int]) -> list[str]:
        """The words up to END, without START and PAD; UNK stays visible as `<unk>`."""
        words = []
        for token in tokens:
            if token == END:
                break
            if token not in (PAD, START):
                words.append(self.words[token])
        return words

    def coverage(self, captions: Iterable[str]) -> tuple[float, Counter[str]]:
        """How much of the captions the vocabulary can say.

        Returns:
            The share of words it has, each occurrence counted, and how often each other occurs.
        """
        words = Counter(word for caption in captions for word in tokenise(caption))
        unknown = Counter({word: n for word, n in words.items() if word not in self._tokens})
        return 1 - unknown.total() / max(1, words.total()), unknown
