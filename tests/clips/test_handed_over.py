"""What people have at hand is a clip, or is told in one sentence what would be one."""

import io
import tempfile

import numpy as np
import pytest
from helpers.clips import write_gif
from PIL import Image, ImageSequence

from v2t_lib.clips.decode import decode_clip, iter_frames
from v2t_lib.errors import ClipError
from v2t_lib.specs import ClipSpec

SPEC = ClipSpec(4, 12, 12)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "a.gif"
    write_gif(path, 3)
    return path


def read_to_the_end(path):
    file = open(path, "rb")  # noqa: SIM115
    file.read()
    return file


class Tensor:
    """What has an array's interface, as PyTorch's and TensorFlow's tensors."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array


def spooled(path):
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115  (what web frameworks hand over)
    file.write(path.read_bytes())
    return file


def pictures(path):
    with Image.open(path) as picture:
        return [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]


def frames(path):
    return np.stack(pictures(path))


FORMS = {
    "bytes": lambda path: path.read_bytes(),
    "a bytearray": lambda path: bytearray(path.read_bytes()),
    "a memoryview": lambda path: memoryview(path.read_bytes()),
    "BytesIO": lambda path: io.BytesIO(path.read_bytes()),
    "an open file": read_to_the_end,
    "an upload": spooled,
    "a picture": Image.open,
    "pictures": pictures,
    "frames": frames,
    "a list of frames": lambda path: list(frames(path)),
    "nested lists": lambda path: frames(path).tolist(),
    "floats": lambda path: frames(path) / 255,
    "half floats": lambda path: (frames(path) / 255).astype("float16"),
    "a tensor": lambda path: Tensor(frames(path).astype("int64")),
    "frames that aren't contiguous": lambda path: np.asfortranarray(frames(path)),
}


@pytest.mark.parametrize("form", FORMS)
def test_what_people_have_is_the_clip(form, path):
    source, expected = FORMS[form](path), decode_clip(path.read_bytes(), SPEC)
    clip = decode_clip(source, SPEC)
    if hasattr(source, "close"):
        source.close()
    apart = np.abs(clip.frames.astype(int) - expected.frames).max()
    assert apart <= (1 if form == "half floats" else 0)
    np.testing.assert_allclose(clip.seconds, expected.seconds)


def test_a_pictures_own_times_count_and_it_lies_over_white():
    clear, blue = (Image.new("RGBA", (4, 4), colour) for colour in ("#0000", "#00f"))
    file = io.BytesIO()
    clear.save(file, "PNG", save_all=True, append_images=[blue], duration=[300, 700])
    with Image.open(file) as picture:
        picture.seek(1)
        found = list(iter_frames(picture))
        assert picture.tell() == 1  # as it was
    assert [(frame[0, 0].tolist(), seconds) for frame, seconds in found] == [
        ([255, 255, 255], 0.3), ([0, 0, 255], 0.7),
    ]  # fmt: skip


ONE = np.zeros((2, 6, 6, 3), np.uint8)
WRONG = {
    "None": (None, "NoneType"),
    "a number": (3, "int, '3'"),
    "a dictionary": ({}, "dict"),
    "an empty list": ([], "list"),
    "text": (io.StringIO("GIF89a"), "a file that reads str"),
    "one frame": (ONE[0], r"uint8 \(6, 6, 3\)"),
    "a batch": (ONE[None], r"uint8 \(1, 2, 6, 6, 3\)"),
    "channels first": (ONE.transpose(0, 3, 1, 2), r"uint8 \(2, 3, 6, 6\)"),
    "no frame": (ONE[:0], r"uint8 \(0, 6, 6, 3\)"),
    "frames of two sizes": ([ONE[0], ONE[0, :3]], "inhomogeneous"),
    "floats to 255": (ONE + np.float32(254.5), "values from 254.5 to 254.5"),
    "floats below 0": (ONE - 1.0, "values from -1.0 to -1.0"),
    "what is no number": (ONE * np.nan, "values from nan to nan"),
    "numbers over 255": (ONE.astype(int) + 256, "values from 256 to 256"),
    "whether": (ONE == 0, "bool"),
    "words": (np.full(ONE.shape, "a"), "<U1"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_clip_is_told_what_would_be(what):
    source, received = WRONG[what]
    with pytest.raises(ClipError, match=rf"expected a clip: a path or URL.*Received: .*{received}"):
        decode_clip(source, SPEC)
