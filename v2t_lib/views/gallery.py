"""Pages of clips, a card each; the page of what a search found."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from v2t_lib.clips.decode import Clip
from v2t_lib.search import Match, mean_lift
from v2t_lib.views.animation import animated, frame_durations
from v2t_lib.views.claim_marks import mark
from v2t_lib.views.heatmap import enlarge
from v2t_lib.views.pages import data_url, encoded, write_page

#: Most pixels across a clip on a page; of a hundred clips it has 2 to 3 MB.
_WIDTH = 192


def clip_picture(frames: np.ndarray, seconds: np.ndarray, still: int) -> dict[str, Any]:
    """A card's clip, from frames uint8 `(T, H, W, 3)` and their times `(T,)`: one `still` frame,
    by its number, and the moving clip that the page's script shows in its place."""
    if frames.shape[2] > _WIDTH:
        size = _WIDTH, max(1, round(frames.shape[1] * _WIDTH / frames.shape[2]))
        images = [Image.fromarray(f).resize(size, Image.Resampling.BICUBIC) for f in frames]
        frames = np.stack([np.asarray(image) for image in images])
    shown = enlarge(frames, _WIDTH)
    milliseconds = np.round(1000 * frame_durations(seconds)).astype(int)
    # AVIF takes a third to a half of WebP's bytes; Pillow has it from 11.3, if built with it.
    has_avif = ".avif" in Image.registered_extensions()
    kind, options = ("avif", {"quality": 45, "speed": 9}) if has_avif else ("webp", {"quality": 55})
    return {
        "still": data_url(encoded(shown[still], "webp", quality=55), "webp"),
        "moving": data_url(animated(shown, milliseconds, kind, **options), kind),
        "width": shown.shape[2],
        "height": shown.shape[1],
    }


def save_found(
    path: str | Path, sentence: str, matches: Sequence[Match], clips: Sequence[Clip]
) -> None:
    """Writes the page of a search: what was found, best first, and each match's clip."""
    found = [_found_card(*pair) for pair in zip(matches, clips, strict=True)]
    write_page(path, "found.html", title=f"Clips for “{sentence}”", cards=found)


def _found_card(match: Match, clip: Clip) -> dict[str, Any]:
    found, words, facts = match.verification, [], []
    if match.cosine is not None:
        facts = [f"cosine {match.cosine:.3f}, best at {match.seconds:.2f} s"]
    if found:
        lifts = ["?" if word.lift is None else f"{word.lift:+.1f}" for word in found.words]
        words = list(zip(map(mark, found.words), lifts, strict=True))
        facts += [f"lift {mean_lift(found):+.2f} nats a word", f"evidence at {found.seconds:.2f} s"]
        if found.probability is not None:
            facts.append(f"{found.verdict}, probability {found.probability:.2f}")
    return {
        "file": match.file,
        "picture": clip_picture(clip.frames, clip.seconds, match.frame),
        "words": words,
        "facts": facts,
        "unlike": found and found.unlike_training,
        "near_duplicates": match.near_duplicates,
    }
