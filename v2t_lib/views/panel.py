"""The panel: choose a clip and a model, caption it, compare two captions, check a claim."""

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from v2t_lib.models.caption import Caption
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import load
from v2t_lib.views.caption_view import CaptionView
from v2t_lib.views.claim_marks import caption_of
from v2t_lib.views.claim_view import ClaimView

NOTHING, TRUTH = "nothing", "the reference (teacher forcing)"


def uploaded(value) -> tuple[str, bytes]:
    """Name and bytes of the newest file in a `FileUpload`, of ipywidgets 7 or 8."""
    if isinstance(value, Mapping):
        name, entry = list(value.items())[-1]
        return name, bytes(entry["content"])
    return value[-1]["name"], bytes(value[-1]["content"])


class Panel(widgets.VBox):
    """The widget that `panel` makes."""

    def __init__(self, models: Captioner | Mapping, samples: Mapping, truths: Mapping[str, str]):
        self.models = dict(models) if isinstance(models, Mapping) else {"model": models}
        self.samples, self.truths = dict(samples), dict(truths)
        self.source: tuple[str, Any] | None = None  # the chosen clip's name, and where it is
        self._make_fields()
        self.status = widgets.HTML("Choose a clip.")
        self.views = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap"))
        self.sample.observe(self._on_sample, "value")
        self.path.observe(self._on_path, "value")
        self.upload.observe(self._on_upload, "value")
        self.frame.observe(self._on_frame, "value")
        self.go.on_click(lambda _: self.run())
        self.check.on_click(lambda _: self.verify())
        super().__init__(
            [
                self.sample,
                self.path,
                widgets.HBox([widgets.Label("or upload"), self.upload]),
                self.model,
                self.beam,
                self.compare,
                self.truth,
                self.claim,
                widgets.HBox([self.go, self.check, self.status]),
                self.views,
                widgets.HBox([self.play, self.frame]),
            ]
        )

    def _make_fields(self) -> None:
        wide = {"layout": widgets.Layout(width="26rem", max_width="95%")}
        self.sample = widgets.Dropdown(options=["", *self.samples], description="sample", **wide)
        self.path = widgets.Text(
            description="or path", placeholder="a path or URL", continuous_update=False, **wide
        )
        self.upload = widgets.FileUpload(accept="image/*,video/*", multiple=False)
        self.model = widgets.Dropdown(options=list(self.models), description="model", **wide)
        self.beam = widgets.IntSlider(value=1, min=1, max=8, description="beams", **wide)
        self.compare = widgets.Dropdown(
            options=[NOTHING, TRUTH, *self.models], description="compare to", **wide
        )
        self.truth = widgets.Text(
            description="reference", placeholder="a sentence to score", **wide
        )
        self.claim = widgets.Text(
            description="claim", placeholder="a sentence: does the clip support it?", **wide
        )
        self.check = widgets.Button(description="Check claim", icon="check")
        self.go = widgets.Button(description="Caption", button_style="primary", icon="play")
        # Time in thousandths of the clip, not in frames: two models may sample different numbers.
        self.frame = widgets.IntSlider(max=999, description="time", readout=False, **wide)
        self.play = widgets.Play(max=999, step=25, interval=120)
        widgets.link((self.play, "value"), (self.frame, "value"))

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
        """The model of that name, loaded when it is first chosen."""
        if not isinstance(self.models[name], Captioner):
            self.status.value = f"Loading {html.escape(name)} …"
            self.models[name] = load(self.models[name])
        return self.models[name]

    def run(self) -> None:
        """Captions the chosen clip and shows the result; errors appear in the status line."""
        self._show(self._captioned)

    def verify(self) -> None:
        """Shows whether the chosen clip supports the claim; errors appear in the status line."""
        self._show(self._verified)

    def _show(self, views_of: Callable) -> None:
        """Shows what `views_of` makes of the clip's source."""
        if self.source is None:
            self.status.value = "Choose a clip first: a sample, a path or URL, or an upload."
            return
        self.go.disabled = self.check.disabled = True
        try:
            name, source = self.source
            self.views.children = views_of(source)
            self._on_frame({"new": self.frame.value})
            self.status.value = f"Clip: {html.escape(name)}"
        except Exception as error:
            # Front ends don't show what a callback raises.
            reason = html.escape(f"{type(error).__name__}: {error}")
            self.status.value = f"<span style='color: #c62828'>{reason}</span>"
        finally:
            self.go.disabled = self.check.disabled = False

    def _captioned(self, source) -> list[CaptionView]:
        pairs = [self._generated(self.model.value, source)]
        if self.compare.value == TRUTH:
            pairs.append(self._scored(self.model.value, source))
        elif self.compare.value != NOTHING:
            pairs.append(self._generated(self.compare.value, source))
        return [CaptionView(*pair) for pair in pairs]

    def _verified(self, source) -> list[CaptionView]:
        if not self.claim.value.strip():
            raise ValueError("expected a sentence in the field “claim”. Received: none")
        captioner = self.captioner(self.model.value)
        self.status.value = "Checking the claim …"
        found = captioner.verify(source, self.claim.value)
        title = f"claim checked by {self.model.value}"
        self.frame.value = int(1000 * (found.frame + 0.5) / len(caption_of(found).frames))
        return [ClaimView(found, title, captioner.verifier.calibration)]

    def _generated(self, model: str, source) -> tuple[Caption, str]:
        captioner = self.captioner(model)
        self.status.value = "Captioning …"
        return captioner.caption(source, beam=self.beam.value), f"caption by {model}"

    def _scored(self, model: str, source) -> tuple[Caption, str]:
        if not self.truth.value.strip():
            raise ValueError("expected a sentence in the field “reference”. Received: none")
        self.status.value = "Scoring the reference …"
        caption = self.captioner(model).explain(source, self.truth.value)
        return caption, f"reference scored by {model}"


def panel(
    models: Captioner | Mapping[str, Captioner | str | Path],
    samples: Mapping[str, str | Path | bytes | np.ndarray] | None = None,
    truths: Mapping[str, str] | None = None,
) -> Panel:
    """A panel of widgets: choose a clip and a model, caption it, compare captions, check a claim.

    A claim is a sentence of yours: words that the clip supports turn green, those it contradicts
    red, and the verdict stands above. `v2t calibrate` prepares an older model for it.

    Args:
        models: A captioner, or several by name; paths are loaded when they are first chosen.
        samples: Clips to choose from, by name: a path, URL, bytes or uint8 frames each.
        truths: Reference captions of samples, by name, to score by teacher forcing and compare with
            the model's own caption.

    Returns:
        The widget; the last line of a cell shows it.
    """
    return Panel(models, samples or {}, truths or {})
