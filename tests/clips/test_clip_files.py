"""Clips in folders and lists; reading one; a clip that isn't there, and what lies near."""

import os
import threading
import unicodedata

import pytest

from v2t_lib.clips.files import clips_in, folder_clips, read_clip
from v2t_lib.errors import ClipError, DataError

NFC, NFD = (unicodedata.normalize(form, "café.gif") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (NFD, NFC, r"no such file; there is 'cafe\\u0301.gif'"),
        ("ok.gif", "OK.GIF", "no such file; there is 'ok.gif'"),
        ("o k.gif", "o%20k.gif", "no such file; there is 'o k.gif'"),
        ("ok.gif", "none.gif", "no such file$"),
        ("ok.gif", "", "Is a directory$"),
        ("ok.gif", "none/a.gif", "no such file, nor its folder$"),
        ("ok.gif", "www.example.com/a.gif", "no such file, nor its folder; a URL begins with http"),
        ("ok.gif", "example.org/a.gif", "a URL begins with http"),
        ("ok.gif", "file:/tmp/ok.gif", "a URL begins with http"),
    ],
)
def test_what_lies_near_is_named(there, asked, said, tmp_path):
    (tmp_path / there).touch()
    with pytest.raises(ClipError, match=said):
        read_clip(f"{tmp_path}/{asked}")


@pytest.mark.parametrize(
    "source",
    ["S3://bucket/a.gif", "http:/example.org/a.gif", " https://example.org/a.gif"]
    + ["data:image/gif;base64," + "R" * size for size in (10, 100_000)],
)
def test_a_url_that_is_not_read_is_told_and_not_repeated_whole(source):
    with pytest.raises(ClipError, match=r"unreachable: .*; a URL begins with http:// or") as error:
        read_clip(source)
    assert len(str(error.value)) < 300


def test_a_pipe_is_read_and_one_without_a_writer_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.gif")
    with pytest.raises(ClipError, match="no bytes at all"):
        read_clip(tmp_path / "pipe.gif")
    reading, writing = os.pipe()
    writer = threading.Timer(0.1, lambda: (os.write(writing, b"GIF89a"), os.close(writing)))
    writer.start()
    assert read_clip(f"/dev/fd/{reading}") == b"GIF89a"
    writer.join()
    os.close(reading)


def test_files_folders_and_lists_become_clips_in_order(tmp_path):
    for name in ("b/2.GIF", "b/a/1.mp4", "b/.hidden/3.gif", "b/.4.gif", "b/notes.txt", "b/5.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.tsv").write_text("x.gif\tnoted\nhttps://example.org/y.gif\n/z.gif\n")
    found = list(clips_in("5.png", tmp_path / "b", tmp_path / "list.tsv", "https://a.org/b.txt"))
    inside, listed = [f"{tmp_path}/b/2.GIF", f"{tmp_path}/b/a/1.mp4"], f"{tmp_path}/x.gif"
    urls = ["https://example.org/y.gif", "/z.gif", "https://a.org/b.txt"]
    assert found == ["5.png", *inside, listed, *urls]
    assert folder_clips(tmp_path / "b") == ["2.GIF", "a/1.mp4"]


def test_a_folder_without_clips_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"names end in \.gif, .*Received: none"):
        list(clips_in(tmp_path))
    with pytest.raises(DataError, match=r"a folder of clips at .*Received: nothing of that name"):
        folder_clips(tmp_path / "none")
