"""The panel: choose a clip and a model, caption it, compare two captions, check a claim."""

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import numpy as np

from v2t_lib.models.captioner import Captioner
from v2t_lib.models.saving import load
from v2t_lib.views.inspector import cards, in_frame

NOTHING, TRUTH = "nothing", "the reference (teacher forcing)"


def uploaded(value: Any) -> tuple[str, bytes]:
    """Name and bytes of the newest file in a `FileUpload`, of ipywidgets 7 or 8."""
    if isinstance(value, Mapping):
        name, entry = list(value.items())[-1]
        return name, bytes(entry["content"])
    return value[-1]["name"], bytes(value[-1]["content"])


class Panel(widgets.VBox):
    """The widget that `panel` makes; `view` shows the inspector of what was made last."""

    def __init__(self, models: Captioner | Mapping, samples: Mapping, truths: Mapping[str, str]):
        self.models = dict(models) if isinstance(models, Mapping) else {"model": models}
        self.samples, self.truths = dict(samples), dict(truths)
        self.source: tuple[str, Any] | None = None  # the chosen clip's name, and where it is
        self._make_fields()
        self.status, self.view = widgets.HTML("Choose a clip."), widgets.HTML()
        self.sample.observe(self._on_sample, "value")
        self.path.observe(self._on_path, "value")
        self.upload.observe(self._on_upload, "value")
        self.go.on_click(lambda _: self._show(self._captioned))
        self.check.on_click(lambda _: self._show(self._verified))
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
                self.view,
            ]
        )

    def _make_fields(self) -> None:
        wide = {"layout": widgets.Layout(width="26rem", max_width="95%")}

        def text(name: str, hint: str, **options: Any) -> widgets.Text:
            return widgets.Text(description=name, placeholder=hint, **wide, **options)

        self.sample = widgets.Dropdown(options=["", *self.samples], description="sample", **wide)
        self.path = text("or path", "a path or URL", continuous_update=False)
        self.upload = widgets.FileUpload(accept="image/*,video/*", multiple=False)
        self.model = widgets.Dropdown(options=list(self.models), description="model", **wide)
        self.beam = widgets.IntSlider(value=1, min=1, max=8, description="beams", **wide)
        self.compare = widgets.Dropdown(
            options=[NOTHING, TRUTH, *self.models], description="compare to", **wide
        )
        self.truth = text("reference", "a sentence to score")
        self.claim = text("claim", "a sentence: does the clip support it?")
        self.check = widgets.Button(description="Check claim", icon="check")
        self.go = widgets.Button(description="Caption", button_style="primary", icon="play")

    def _say(self, text: str) -> None:
        self.status.value = html.escape(text)

    def _take(self, name: str, source: Any) -> None:
        self.source = (name, source)
        self._say(f"Clip: {name}")

    def _on_sample(self, change: Mapping) -> None:
        if change["new"]:
            self.truth.value = self.truths.get(change["new"], "")
            self._take(change["new"], self.samples[change["new"]])

    def _on_path(self, change: Mapping) -> None:
        if change["new"].strip():
            self._take(change["new"].strip(), change["new"].strip())

    def _on_upload(self, change: Mapping) -> None:
        if change["new"]:
            self._take(*uploaded(change["new"]))

    def _captioner(self, name: str) -> Captioner:
        """The model of that name, loaded when it is first chosen."""
        if not isinstance(self.models[name], Captioner):
            self._say(f"Loading {name} …")
            self.models[name] = load(self.models[name])
        self._say("Looking at the clip …")
        return self.models[name]

    def _show(self, cards_of: Callable[[Any], list[dict]]) -> None:
        """Shows the cards that `cards_of` makes of the clip's source."""
        if self.source is None:
            self._say("Choose a clip first: a sample, a path or URL, or an upload.")
            return
        self.go.disabled = self.check.disabled = True
        try:
            name, source = self.source
            self.view.value = in_frame(cards_of(source))
            self._say(f"Clip: {name}")
        except Exception as error:
            # Front ends don't show what a callback raises.
            self._say(f"⚠ {type(error).__name__}: {error}")
        finally:
            self.go.disabled = self.check.disabled = False

    def _captioned(self, source: Any) -> list[dict]:
        model, other, beam = self.model.value, self.compare.value, self.beam.value
        captions = [self._captioner(model).caption(source, beam=beam)]
        names = [f"caption by {model}"]
        if other == TRUTH:
            captions.append(self._captioner(model).explain(source, _given(self.truth)))
            names.append(f"reference scored by {model}")
        elif other != NOTHING:
            captions.append(self._captioner(other).caption(source, beam=beam))
            names.append(f"caption by {other}")
        return cards(captions, names)

    def _verified(self, source: Any) -> list[dict]:
        claim, model = _given(self.claim), self.model.value
        captioner = self._captioner(model)
        found = captioner.verify(source, claim)
        calibration = captioner.verifier.calibration
        return cards([found], [f"claim checked by {model}"], calibration=calibration)


def _given(field: widgets.Text) -> str:
    """What was written in a field."""
    if not field.value.strip():
        raise ValueError(f"expected a sentence in the field “{field.description}”. Received: none")
    return field.value


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
        truths: Reference captions of samples, by name, to score by teacher forcing.

    Returns:
        The widget; the last line of a cell shows it.
    """
    return Panel(models, samples or {}, truths or {})
