"""Stand-ins for MSVD and MSR-VTT: releases in the same form, of a few drawn videos."""

import contextlib
import io
import json
import tarfile
import zipfile

from helpers import scripted_server as scripted
from helpers.video_corpus import video
from v2t_lib.datasets.releases import MSRVTT, MSVD

SIZES = {"train": 3, "val": 1, "test": 2}
#: In the archive's order; the usual split is by character code, so `-` first and `z` last.
MSVD_CLIPS = ["zzit5b_-ukg_5_20", "aaaaaaaaaaa_1_2", "-4wsuPCjDBc_5_15", "ZZZZZZZZZZZ_0_4",
              "_hbPLsZvvo0_18_25", "aaaaaaaaaaa_10_12"]  # fmt: skip
MSRVTT_CLIPS = [f"video{number}" for number in (10, 2, 0, 9, 1, 3)]


def msvd_files(clips=MSVD_CLIPS, extra=()) -> dict[str, bytes]:
    """The two files of MSVD; `extra` are further `(name, bytes)` of the tar."""
    avi = video("avi-mpeg4", frames=6, size=(32, 32))
    members = [(f"YouTubeClips/{clip}.avi", avi) for clip in clips]
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, data in [*members, ("YouTubeClips/._x.avi", b"-"), *extra]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    lines = ["# Of the corpus's English descriptions", "#", ""]
    for clip in clips:
        lines += [f"{clip} a square is moving", f"{clip} a square is moving", f"{clip} it  moves\r"]
    text = "\n".join(lines) + "\n"
    return {"YouTubeClips.tar": tar.getvalue(), "AllVideoDescriptions.txt": text.encode()}


def msrvtt_files(clips=MSRVTT_CLIPS, annotations=None) -> dict[str, bytes]:
    """MSR-VTT's zip; `annotations` replaces the captions."""
    mp4 = video("mp4-h264", frames=6, size=(32, 32))
    if annotations is None:
        captions = ("a square moves", "a square\nmoves\tright ", " ")
        annotations = {
            "images": [{"id": clip} for clip in clips],
            "annotations": [{"image_id": c, "caption": text} for c in clips for text in captions],
        }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for clip in clips:
            archive.writestr(f"MSRVTT/videos/all/{clip}.mp4", mp4)
        archive.writestr("MSRVTT/annotation/MSR_VTT.json", json.dumps(annotations))
        archive.writestr("MSRVTT/high-quality/structured-symlinks/train_list_full.txt", "video0\n")
    return {"MSRVTT.zip": file.getvalue()}


@contextlib.contextmanager
def released(monkeypatch):
    """A server that has both releases in `/r/`; the data sets expect these sizes, from there."""
    with scripted.serving() as server:
        for kind, files in ((MSVD, msvd_files()), (MSRVTT, msrvtt_files())):
            monkeypatch.setattr(kind, "base", server.url("/r/"))
            monkeypatch.setattr(kind, "sizes", SIZES)
            for name, data in files.items():
                server.script(f"/r/{name}", scripted.ranged(data))
        yield server
