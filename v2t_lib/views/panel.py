"""The panel: choose a clip and a model, caption, compare, click words; for what needs a kernel."""

import html
import io
from collections.abc import Mapping
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from PIL import Image

from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import Captioner, load
from v2t_lib.views import heatmap as pictures

NOTHING, TRUTH = "nothing", "the truth (teacher forcing)"
_WIDTH = 320


def _jpegs(caption: Caption, word: int) -> list[bytes]:
    """Each frame under the word's heat, plain for word -1, as the bytes of a JPEG."""
    frames = pictures.enlarge(caption.frames, _WIDTH)
    if word >= 0:
        heat = pictures.heat_maps(caption.attention[word], frames.shape[:3])
        frames = pictures.overlay(frames, heat)
    encoded = []
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, "JPEG", quality=85)
        encoded.append(file.getvalue())
    return encoded


def uploaded(value) -> tuple[str, bytes]:
    """Name and bytes of the newest file in a `FileUpload`, of ipywidgets 7 or 8."""
    if isinstance(value, Mapping):
        name, entry = list(value.items())[-1]
        return name, bytes(entry["content"])
    return value[-1]["name"], bytes(value[-1]["content"])


class CaptionView(widgets.VBox):
    """One caption: its clip under the heat of the word clicked last, and a button a word.

    Pictures are made when a word is first clicked and kept.

    Args:
        caption: What to show.
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
        words = widgets.HBox(self.buttons, layout=widgets.Layout(flex_flow="row wrap"))
        super().__init__(
            [widgets.HTML(f"<b>{html.escape(title)}</b>"), self.image, words, self.facts],
            layout=widgets.Layout(width=f"{_WIDTH + 20}px"),
        )
        self.choose(caption.sharpest_word() if caption.words else -1)

    def choose(self, word: int) -> None:
        """Shows the heat of one word; of none when it is clicked again."""
        self.word = -1 if word == self.word else word
        for number, button in enumerate(self.buttons):
            button.button_style = "warning" if number == self.word else ""
        self.facts.value = self._facts()
        self.seek(self.position)

    def _facts(self) -> str:
        caption, word = self.caption, self.word
        if word < 0:
            return "No word chosen." if caption.words else "The caption has no words."
        others = ", ".join(f"{other} {share:.0%}" for other, share in caption.runners_up[word][:3])
        seconds = caption.seconds[caption.frame_of(word)]
        facts = f"“{caption.words[word]}” {caption.probs[word]:.0%}; next: {others}."
        facts += f" Most at {seconds:.1f} s."
        nowhere = " ⚠ The model did not look anywhere in particular for this word."
        return html.escape(facts + (nowhere if caption.looked_nowhere(word) else ""))

    def seek(self, position: float) -> None:
        """Shows the frame at `position`, 0 to 1 of the clip."""
        self.position = position
        if self.word not in self._pictures:
            self._pictures[self.word] = _jpegs(self.caption, self.word)
        shown = self._pictures[self.word]
        self.image.value = shown[min(int(position * len(shown)), len(shown) - 1)]


class Panel(widgets.VBox):
    """What `panel` shows; see there."""

    def __init__(self, models: Captioner | Mapping, samples: Mapping, truths: Mapping[str, str]):
        self.models = dict(models) if isinstance(models, Mapping) else {"model": models}
        self.samples, self.truths, self.source = dict(samples), dict(truths), None
        wide = widgets.Layout(width="26rem", max_width="95%")
        self.sample = widgets.Dropdown(
            options=["", *self.samples], description="sample", layout=wide
        )
        self.path = widgets.Text(
            description="or path", placeholder="a path or URL", continuous_update=False, layout=wide
        )
        self.upload = widgets.FileUpload(accept="image/*,video/*", multiple=False)
        self.model = widgets.Dropdown(options=list(self.models), description="model", layout=wide)
        self.beam = widgets.IntSlider(value=1, min=1, max=8, description="beams", layout=wide)
        self.compare = widgets.Dropdown(
            options=[NOTHING, TRUTH, *self.models], description="beside it", layout=wide
        )
        self.truth = widgets.Text(
            description="truth", placeholder="a sentence to score", layout=wide
        )
        self.go = widgets.Button(description="Caption", button_style="primary", icon="play")
        self.status = widgets.HTML("Choose a clip.")
        # A thousand places, whatever the number of frames: two models may sample differently.
        self.frame = widgets.IntSlider(max=999, description="time", readout=False, layout=wide)
        self.play = widgets.Play(max=999, step=25, interval=120)
        widgets.link((self.play, "value"), (self.frame, "value"))
        self.views = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap"))
        self.sample.observe(self._on_sample, "value")
        self.path.observe(self._on_path, "value")
        self.upload.observe(self._on_upload, "value")
        self.frame.observe(self._on_frame, "value")
        self.go.on_click(lambda _: self.run())
        super().__init__(
            [
                self.sample,
                self.path,
                widgets.HBox([widgets.Label("or upload"), self.upload]),
                self.model,
                self.beam,
                self.compare,
                self.truth,
                widgets.HBox([self.go, self.status]),
                self.views,
                widgets.HBox([self.play, self.frame]),
            ]
        )

    def _take(self, name: str, source) -> None:
        self.source = (name, source)
        self.status.value = f"Clip: {html.escape(name)}"

    def _on_sample(self, change) -> None:
        if change["new"]:
            self.truth.value = self.truths.get(change["new"], "")
            self._take(change["new"], self.samples[change["new"]])

    def _on_path(self, change) -> None:
        if change["new"].strip():
            self._take(change["new"].strip(), change["new"].strip())

    def _on_upload(self, change) -> None:
        if change["new"]:
            self._take(*uploaded(change["new"]))

    def _on_frame(self, change) -> None:
        for view in self.views.children:
            view.seek(change["new"] / 1000)

    def captioner(self, name: str) -> Captioner:
        """The model of that name, loaded when it is first wanted."""
        if not isinstance(self.models[name], Captioner):
            self.status.value = f"Loading {html.escape(name)} …"
            self.models[name] = load(self.models[name])
        return self.models[name]

    def run(self) -> None:
        """Captions the chosen clip and shows it; what goes wrong stands in the status line."""
        if self.source is None:
            self.status.value = "Choose a clip first: a sample, a path or URL, or an upload."
            return
        self.go.disabled = True
        try:
            name, source = self.source
            pairs = [self._written(self.model.value, source)]
            if self.compare.value == TRUTH:
                pairs.append(self._scored(self.model.value, source))
            elif self.compare.value != NOTHING:
                pairs.append(self._written(self.compare.value, source))
            self.views.children = [CaptionView(*pair) for pair in pairs]
            self._on_frame({"new": self.frame.value})
            self.status.value = f"Clip: {html.escape(name)}"
        except Exception as error:
            # A front end drops what a callback raises; here it has to be seen.
            reason = html.escape(f"{type(error).__name__}: {error}")
            self.status.value = f"<span style='color: #c62828'>{reason}</span>"
        finally:
            self.go.disabled = False

    def _written(self, model: str, source) -> tuple[Caption, str]:
        captioner = self.captioner(model)
        self.status.value = "Captioning …"
        return captioner.caption(source, beam=self.beam.value), f"{model} wrote"

    def _scored(self, model: str, source) -> tuple[Caption, str]:
        if not self.truth.value.strip():
            raise ValueError("expected a sentence in the field “truth”. Received: none; write one")
        self.status.value = "Scoring the truth …"
        caption = self.captioner(model).explain(source, self.truth.value)
        return caption, f"{model} on the truth"


def panel(
    models: Captioner | Mapping[str, Captioner | str | Path],
    samples: Mapping[str, str | Path | bytes | np.ndarray] | None = None,
    truths: Mapping[str, str] | None = None,
) -> Panel:
    """A panel of widgets: choose a clip, a model and a search, caption, and compare two captions.

    Args:
        models: A captioner, or several by name; paths are loaded when they are first chosen.
        samples: Clips to choose from, by name: a path, URL, bytes or uint8 frames each.
        truths: A sentence for samples that have one, to score beside what the model writes.

    Returns:
        The widget; the last line of a cell shows it.
    """
    return Panel(models, samples or {}, truths or {})
