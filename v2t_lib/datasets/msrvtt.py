"""MSR-VTT (Xu et al., CVPR 2016): YouTube clips of 10 to 30 seconds, 20 English captions each."""

import json
import re
from pathlib import Path
from typing import ClassVar

from v2t_lib.datasets.archive_release import ArchiveRelease
from v2t_lib.datasets.registry import register_dataset

_CLIP = re.compile(r"(?:^|/)videos/all/(video\d+\.mp4)$", re.ASCII)
ANNOTATION = "MSR_VTT.json"


@register_dataset("msrvtt")
class MSRVTT(ArchiveRelease):
    """YouTube clips of 20 topics: 10,000 clips, 20 captions each, one zip to download.

    The official split is by number: `video0` to `video6512` train, the next 497 validate, and
    `video7010` to `video9999` test.
    """

    licence = (
        "MSR-VTT (Xu et al., CVPR 2016; the archive is that of Bain et al., "
        "https://github.com/m-bain/frozen-in-time) was released for research; its clips belong to "
        "those who uploaded them to YouTube"
    )
    recipe = "msrvtt"
    usual_clips = 10_000
    base = "https://www.robots.ox.ac.uk/~maxbain/frozen-in-time/data/"
    archive = "MSRVTT.zip"
    sizes: ClassVar = {"train": 6513, "val": 497, "test": 2990}

    def place(self, member: str) -> str | None:
        if member.endswith(f"annotation/{ANNOTATION}"):
            return ANNOTATION
        found = _CLIP.search(member)
        return f"clips/{found[1]}" if found else None

    def order(self, clip: str) -> int:
        return int(Path(clip).stem.removeprefix("video"))

    def rows(self, folder: Path) -> list[tuple[str, str]]:
        try:
            annotations = json.loads((folder / ANNOTATION).read_text("utf-8"))["annotations"]
            return [(f"clips/{row['image_id']}.mp4", str(row["caption"])) for row in annotations]
        except (OSError, ValueError, KeyError, TypeError) as error:
            expected = f"annotation/{ANNOTATION} with `annotations` of `image_id` and `caption`"
            raise self.refuse(folder, expected, f"{type(error).__name__}: {error}") from None
