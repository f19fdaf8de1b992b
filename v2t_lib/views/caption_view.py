"""A widget for one caption: its clip under a word's heat map, and a button for every word."""

import html
import io

import ipywidgets as widgets
from PIL import Image

from v2t_lib.models.caption import Caption
from v2t_lib.views.claim_marks import UNLIKE
from v2t_lib.views.heatmap import enlarge, heat_maps, overlay
from v2t_lib.views.lettering import right_to_left

_WIDTH = 320


def _jpegs(caption: Caption, word: int) -> list[bytes]:
    """Each frame under word `word`'s heat map, plain for -1, as the bytes of a JPEG."""
    frames = enlarge(caption.frames, _WIDTH)
    if word >= 0:
        heat = heat_maps(caption.attention[word], frames.shape[:3], caption.cell_shift)
        frames = overlay(frames, heat)
    encoded = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=85)
        encoded.append(file.getvalue())
    return encoded


class CaptionView(widgets.VBox):
    """One caption: its clip under the selected word's heat map, and a button for every word.

    A word's pictures are drawn when it is first selected, and kept.

    Args:
        caption: The caption to show.
        title: A line above it.
    """

    def __init__(self, caption: Caption, title: str):
        self.caption, self.word, self.position = caption, -1, 0.0
        self._pictures: dict[int, list[bytes]] = {}
        self.image = widgets.Image(format="jpeg", width=_WIDTH)
        self.buttons = [
            widgets.Button(
                description=word,
                tooltip=f"probability {prob:.0%}",
                layout=widgets.Layout(width="auto", margin="1px"),
            )
            for word, prob in zip(caption.words, caption.probs, strict=True)
        ]
        for number, button in enumerate(self.buttons):
            button.on_click(lambda _, number=number: self.choose(number))
        self.facts = widgets.HTML()
        row = "row-reverse" if right_to_left(caption.words) else "row"
        words = widgets.HBox(self.buttons, layout=widgets.Layout(flex_flow=f"{row} wrap"))
        self.heading = widgets.HTML(f"<b>{html.escape(title)}</b>")
        if caption.unlike_training:
            self.heading.value += f"<br>⚠ {UNLIKE}"
        super().__init__(
            [self.heading, self.image, words, self.facts],
            layout=widgets.Layout(width=f"{_WIDTH + 20}px"),
        )
        self.choose(self._first_word())

    def _first_word(self) -> int:
        """The word that is selected at first."""
        return self.caption.sharpest_word() if self.caption.words else -1

    def choose(self, word: int) -> None:
        """Selects a word and shows its heat map; deselects it if it is selected already."""
        self.word = -1 if word == self.word else word
        for number, button in enumerate(self.buttons):
            button.button_style = "warning" if number == self.word else ""
        self.facts.value = html.escape(self._facts())
        self.seek(self.position)

    def _facts(self) -> str:
        caption, word = self.caption, self.word
        if word < 0:
            return "No word selected." if caption.words else "The caption has no words."
        facts = f"“{caption.words[word]}” {caption.probs[word]:.0%}"
        if caption.runners_up:
            others = (f"{other} {prob:.0%}" for other, prob in caption.runners_up[word][:3])
            facts += "; alternatives: " + ", ".join(others)
        seconds = round(float(caption.seconds[caption.frame_of(word)]), 3)
        facts += f". Attention peaks at {seconds:g} s."
        if caption.looked_nowhere(word):
            facts += " ⚠ Attention is close to uniform for this word: its heat map says little."
        return facts

    def seek(self, position: float) -> None:
        """Shows the frame at `position`, from 0 to 1 of the clip."""
        self.position = position
        if self.word not in self._pictures:
            self._pictures[self.word] = _jpegs(self.caption, self.word)
        shown = self._pictures[self.word]
        self.image.value = shown[min(int(position * len(shown)), len(shown) - 1)]
