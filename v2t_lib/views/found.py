"""The page of a search: the clips found, best first, with what speaks for and against each."""

import html
from collections.abc import Sequence
from pathlib import Path

from v2t_lib.clips.decode import Clip
from v2t_lib.models.verification import WordSupport
from v2t_lib.search.query import Match
from v2t_lib.views.claim_marks import Mark, marks
from v2t_lib.views.gallery import picture, save_gallery


def save_found(
    path: str | Path, sentence: str, matches: Sequence[Match], clips: Sequence[Clip]
) -> None:
    """Writes the page; it works offline and holds all it shows.

    Args:
        path: The file to write.
        sentence: What was looked for.
        matches: What was found, best first.
        clips: Each match's clip.
    """
    about = (
        "<p>Best first. The number after a word is its lift: how much more probable the word "
        "becomes by seeing the clip, in nats. The clip supports green words; those "
        "underlined in red speak against it. The still picture is the frame with the most "
        "evidence.</p>"
    )
    pairs = zip(matches, clips, strict=True)
    cards = [_card(number, *pair) for number, pair in enumerate(pairs, start=1)]
    save_gallery(path, f"Clips for “{sentence}”", about, cards)


def _card(number: int, match: Match, clip: Clip) -> str:
    found = match.verification
    facts = [f"lift {match.score:+.2f} nats a word", f"evidence at {found.seconds:.2f} s"]
    if found.probability is not None:
        facts.append(f"{found.verdict}, probability {found.probability:.2f}")
    mark = '<p><span class="mark">unlike the training data</span></p>'
    others = "".join(f"<li><bdi>{html.escape(file)}</bdi></li>" for file in match.near_duplicates)
    alike = f"<p>Nearly the same:</p><ul>{others}</ul>" if others else ""
    return (
        f"<article>{picture(clip.frames, clip.seconds, found.frame, match.file)}"
        f"<h2>{number}. <bdi>{html.escape(match.file)}</bdi></h2>"
        f'<p class="words" dir="auto">{" ".join(map(_word, found.words, marks(found)))}</p>'
        f"<p>{'; '.join(facts)}</p>{mark if found.unlike_training else ''}{alike}</article>"
    )


def _word(support: WordSupport, mark: Mark) -> str:
    lift = "?" if support.lift is None else f"{support.lift:+.1f}"
    side = f' class="{mark.side}"' if mark.side and mark.sign else ""
    note, word = html.escape(mark.note), html.escape(mark.word)
    return f'<span title="{note}"><span{side}>{word}</span><sub> {lift}</sub></span>'
