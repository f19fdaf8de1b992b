"""Filling in the HTML files of this package."""

import base64
import re
from importlib import resources


def filled(name: str, **parts: str) -> str:
    """The file `name` with each `$PART` replaced; parts are not escaped.

    A `$PART` within a part, in a user's sentence say, stays as it is.
    """
    text = resources.files("v2t_lib.views").joinpath(name).read_text(encoding="utf-8")
    return re.sub(r"\$([A-Z]+)\b", lambda found: parts.get(found[1], found[0]), text)


def data_url(picture: bytes, kind: str = "jpeg") -> str:
    """A picture as the URL that holds it, so that a page needs no other file."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
