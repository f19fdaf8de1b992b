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
        (NFD, NFC, r"no such file; there is one whose accents are written otherwise \(NFD\)"),
        (NFC, NFD, r"there is one whose accents are written otherwise \(NFC\)"),
        ("ok.gif", "OK.GIF", "no such file; there is ok.gif"),
        ("ok.gif", '"ok.gif"', "no such file; there is ok.gif"),
        ("ok.gif", "ok", "no such file; there is ok.gif"),
        ("o k.gif", "o%20k.gif", "no such file; there is o k.gif"),
        ("ok.gif", "clips\\ok.gif", "a backslash is part of a name"),
        (
            "ok.gif",
            "www.example.com/a.gif",
            "no such file, nor its folder; a URL has http:// in front",
        ),
        ("ok.gif", "example.org/a.gif", "a URL has http:// in front"),
        ("ok.gif", "file:///tmp/ok.gif", "file: URLs are not read; write the path alone"),
        ("ok.gif", "~/ok.gif", "~ is not expanded in a file; write the whole path"),
        ("ok.gif", "none.gif", "no such file$"),
        ("ok.gif", "", "Is a directory$"),
        ("ok.gif", "none/a.gif", "no such file, nor its folder$"),
    ],
)
def test_what_lies_near_is_named(there, asked, said, tmp_path):
    (tmp_path / there).touch()
    with pytest.raises(ClipError, match=said):
        read_clip(f"{tmp_path}/{asked}")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("ftp://example.org/a.gif", "URLs of this kind are not read; download it"),
        ("S3://bucket/a.gif", "URLs of this kind are not read"),
        ("http:/example.org/a.gif", "two slashes after its colon"),
        (" https://example.org/a.gif", "a URL has no space in front"),
    ],
)
def test_a_url_that_is_not_read_is_told_why(source, said):
    with pytest.raises(ClipError, match=f"unreachable: .*{said}"):
        read_clip(source)


@pytest.mark.parametrize("size", [10, 100_000])
def test_a_data_url_is_told_and_not_repeated_whole(size):
    with pytest.raises(ClipError, match="data: URLs are not read; save it to a file") as error:
        read_clip("data:image/gif;base64," + "R" * size)
    assert len(str(error.value)) < 300


def test_a_pipe_is_read_and_one_without_a_writer_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.gif")
    with pytest.raises(ClipError, match=r"unreachable: .* a pipe that nobody writes to"):
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
