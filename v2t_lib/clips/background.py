"""What transparent pixels show: white, as on a web page."""

from PIL import Image

#: Red, green and blue.
BACKGROUND = (255, 255, 255)


def flatten(picture: Image.Image) -> Image.Image:
    """An RGBA picture over `BACKGROUND`, as RGB."""
    alpha = picture.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return picture.convert("RGB")
    shown = Image.new("RGB", picture.size, BACKGROUND)
    shown.paste(picture, mask=alpha)
    return shown
