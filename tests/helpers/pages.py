"""What a page holds: its elements, text, scripts and pictures."""

import base64
import io
from html.parser import HTMLParser

from PIL import Image


class Parsed(HTMLParser):
    """The elements of a page as `(tag, attributes)`, its text, and the text of its scripts."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text, self.scripts, self._inside = [], "", [], None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        else:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def opened(url):
    """The picture that a data URL holds."""
    return Image.open(io.BytesIO(base64.b64decode(url.split("base64,")[1])))


def in_the_frame(frame):
    """The page in a frame."""
    ((tag, attributes),) = Parsed(frame).elements
    assert tag == "iframe"
    return attributes["srcdoc"]
