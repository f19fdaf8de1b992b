"""MSVD (Chen and Dolan, ACL 2011): short YouTube clips, 41 English captions each on average."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from v2t_lib.datasets.archive_release import ArchiveRelease
from v2t_lib.datasets.registry import register_dataset

_CLIP = re.compile(r"(?:^|/)([\w-]{11}_\d+_\d+\.avi)$", re.ASCII)
CAPTIONS = "AllVideoDescriptions.txt"


@register_dataset("msvd")
class MSVD(ArchiveRelease):
    """YouTube clips of some ten seconds: 1,970 clips, 80,827 captions, 1.7 GB to download.

    The usual split is the order of the clips' names, by character code: the first 1,200 train, the
    next 100 validate, the last 670 test.
    """

    licence = (
        "MSVD (Chen and Dolan, ACL 2011, https://www.cs.utexas.edu/users/ml/clamp/videoDescription)"
        " was released for research; its clips belong to those who uploaded them to YouTube"
    )
    recipe = "msvd"
    usual_clips = 1970
    base = "https://www.cs.utexas.edu/users/ml/clamp/videoDescription/"
    archive = "YouTubeClips.tar"
    others = (CAPTIONS,)
    sizes: ClassVar = {"train": 1200, "val": 100, "test": 670}

    def place(self, member: str) -> str | None:
        found = _CLIP.search(member)
        return f"clips/{found[1]}" if found else None

    def rows(self, folder: Path) -> Iterator[tuple[str, str]]:
        # `-4wsuPCjDBc_5_15 a squirrel is eating a peanut`; comments begin with a hash.
        for line in (folder / CAPTIONS).read_text("utf-8", errors="replace").split("\n"):
            clip, _, caption = line.strip().partition(" ")
            if clip and not clip.startswith("#"):
                yield f"clips/{clip}.avi", caption
