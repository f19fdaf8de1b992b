"""Pages from the Jinja2 templates beside this file, and the pictures that stand in them."""

import base64
import functools
import html
import io
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from v2t_lib.files import replacing
from v2t_lib.views.heatmap import HEAT_OPACITY


@functools.cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("v2t_lib", "views"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["opacity"] = HEAT_OPACITY
    made.policies["json.dumps_kwargs"] = {}  # keys in the order given
    return made


def rendered(template: str, **values: Any) -> str:
    """A template's HTML; all values are escaped."""
    return _templates().get_template(template).render(values)


def write_page(path: str | Path, template: str, **values: Any) -> None:
    """Writes a template's HTML as a file that works offline and holds all it shows."""
    with replacing(path) as temporary:
        page = _templates().get_template(template).stream(values)
        page.enable_buffering(50)
        page.dump(str(temporary), "utf-8", "replace")


def framed(template: str, **values: Any) -> str:
    """A page in a frame of its own, for the output of a notebook's cell or a widget: its scripts
    run in every front end, its styles and keys stay inside, and it sets the frame's height."""
    page = html.escape(rendered(template, **values))
    style = "display: block; width: 100%; height: 30rem; border: 0"
    return f'<iframe srcdoc="{page}" style="{style}"></iframe>'


def encoded(picture: np.ndarray | Image.Image, kind: str, **options: Any) -> bytes:
    """A picture, uint8 `(H, W, 3)` or Pillow's, as a file's bytes; `options` are Pillow's."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def data_url(data: bytes, kind: str) -> str:
    """The bytes of a picture as the URL that holds them."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
