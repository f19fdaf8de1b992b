"""Clips in folders and lists; reading one; a clip that isn't there, and what lies near."""

import os
import threading
import unicodedata

import pytest
from helpers.clips import corpus
from helpers.video_corpus import video
from PIL import Image

from v2t_lib.clips.files import clips_in, folder_clips, read_clip
from v2t_lib.errors import ClipError, DataError

CLIPS = corpus()
NFC, NFD = (unicodedata.normalize(form, "café.gif") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (NFD, NFC, r"no such file; there is 'cafe\\u0301.gif'"),
        ("ok.gif", "OK.GIF", "no such file; there is 'ok.gif'"),
        ("o k.gif", "o%20k.gif", "no such file; there is 'o k.gif'"),
        ("ok.gif", "none.gif", "no such file$"),
        ("ok.gif", "", "a folder$"),
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


def test_files_folders_and_lists_become_clips_in_order(tmp_path, capsys):
    for name in ("b/2.GIF", "b/a/1.mp4", "b/.hidden/3.gif", "b/.4.gif", "b/notes.txt", "b/5.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.tsv").write_text("x.gif\tnoted\nhttps://example.org/y.gif\n/z.gif\n")
    (tmp_path / "clip.txt").write_bytes(CLIPS["apng-one-frame"].replace(b"IHDR", b"IHDRacTL"))
    found = list(clips_in("5.png", tmp_path / "b", tmp_path / "list.tsv", "https://a.org/b.txt"))
    inside, listed = [f"{tmp_path}/b/2.GIF", f"{tmp_path}/b/a/1.mp4"], f"{tmp_path}/x.gif"
    urls = ["https://example.org/y.gif", "/z.gif", "https://a.org/b.txt"]
    assert found == ["5.png", *inside, listed, *urls]
    assert folder_clips(tmp_path / "b") == ["2.GIF", "a/1.mp4"]
    said = capsys.readouterr().err
    assert said.count("looked past 4") == 1
    assert all(counted in said for counted in ("2 hidden", "1 .txt", "1 .png"))
    assert list(clips_in(tmp_path / "clip.txt")) == [str(tmp_path / "clip.txt")]


def test_files_in_a_folder_are_clips_by_their_bytes(tmp_path):
    stills = {}
    for form in ("PNG", "JPEG", "BMP"):
        Image.new("RGB", (9, 9)).save(tmp_path / form, form)
        stills[form] = (tmp_path / form).read_bytes()
    moving = {"e3b0c442": CLIPS["one-frame"], "sticker.png": CLIPS["apng-one-frame"]}
    moving["quicktime.qt"] = video("mov-mjpeg")
    moving["motion.jpg"] = stills["JPEG"] + b'<x GCamera:MotionPhoto="1"/>'
    others = {**stills, "a.pdf": b"%PDF-1.4", "w.mts": b"G@\0\x10" + bytes(400), "e.dat": b""}
    others |= {"song": b"\0\0\0\x18ftypM4A \0\0\2\0", "piece.m4s": b"\0\0\0\x18stypmsdh"}
    others |= {"begun.crdownload": CLIPS["one-frame"], "photo.heic": b"\0\0\0\x18ftypheic"}
    for name, data in (moving | others).items():
        (tmp_path / name).write_bytes(data)
    assert folder_clips(tmp_path) == sorted(moving)


def test_whatever_else_a_folder_holds_stops_nothing(tmp_path, capsys):
    (tmp_path / "folder.gif").mkdir()
    (tmp_path / os.fsdecode(b"\xff.gif")).touch()
    for name, target in {"loop.gif": "loop.gif", "gone.gif": "none", "round": "."}.items():
        (tmp_path / name).symlink_to(target)
    (tmp_path / "zero.gif").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.gif")
    assert folder_clips(tmp_path) == ["gone.gif", "loop.gif", "\udcff.gif"]
    assert "2 pipes or devices, 1 linked folders" in capsys.readouterr().err
    for name, said in {"gone.gif": "no such file", "loop.gif": "Too many levels"}.items():
        with pytest.raises(ClipError, match=said):
            read_clip(tmp_path / name)


def test_a_folder_that_cannot_be_read_is_an_entry_that_fails(tmp_path, monkeypatch):
    closed, walk = tmp_path / "lost+found", os.scandir
    closed.mkdir()
    (tmp_path / "a.gif").touch()

    def scandir(path):
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return walk(path)

    monkeypatch.setattr("os.scandir", scandir)
    assert folder_clips(tmp_path) == ["a.gif", "lost+found"]
    with pytest.raises(DataError, match=r"to read the folder .*: Permission denied; make it"):
        folder_clips(closed)


def test_a_folder_without_clips_is_refused_and_stops_no_other(tmp_path, capsys):
    (tmp_path / "clip.mts").touch()
    for path, said in {
        tmp_path: r"Received: none; looked past 1 file: 1 \.mts$",
        tmp_path / "none.txt": "No such file",
    }.items():
        with pytest.raises(DataError, match=said):
            list(clips_in(path))
    assert list(clips_in(tmp_path, "a.gif")) == [str(tmp_path), "a.gif"]
    assert "1 .mts" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"a folder of clips at .*Received: nothing of that name"):
        folder_clips(tmp_path / "none")


def test_a_large_file_of_no_known_kind_is_refused(tmp_path):
    with open(tmp_path / "large.mp4", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(ClipError, match="nothing but zeros"):
        read_clip(tmp_path / "large.mp4")
