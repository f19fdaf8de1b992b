"""The TGIF release: its captions file and split lists, downloaded from where they are published."""

import os
from pathlib import Path

from v2t_lib.captions_file import without_password
from v2t_lib.datasets.registry import DataSet, register_dataset
from v2t_lib.errors import DataError, writing

#: The commit of raingo/TGIF-Release that published the data; no file below has changed since.
COMMIT = "cd8c4bf2c053c8ea77e36c86d76ce7f9ce56e318"
RELEASE = f"https://raw.githubusercontent.com/raingo/TGIF-Release/{COMMIT}/"
CAPTIONS = "data/tgif-v1.0.tsv"
#: The number of rows in each file: 125,782 captions of 102,068 clips.
ROWS = {
    CAPTIONS: 125_782,
    "data/splits/train.txt": 80_000,
    "data/splits/val.txt": 10_708,
    "data/splits/test.txt": 11_360,
}


@register_dataset("tgif")
class TGIF(DataSet):
    """Animated GIFs from Tumblr, a sentence each: 102,068 clips, about 123 GB to download."""

    licence = (
        "TGIF (Li et al., CVPR 2016, https://github.com/raingo/TGIF-Release) is for approved "
        "non-commercial research; its clips are not to be redistributed"
    )
    recipe = "tgif"
    usual_clips = 5000
    fetchable = True
    remote = True

    def captions(self, home: Path) -> Path:
        folder = home / "tgif"
        for name, rows in ROWS.items():
            path, url = folder / Path(name).name, (self.mirror or RELEASE) + name
            if not path.exists():
                unchecked = path.with_name(f"{path.name}.unchecked")
                self.get(RELEASE, name, unchecked)
                _check_rows(unchecked, rows, url)
                with writing(path):
                    os.replace(unchecked, path)
        return folder / Path(CAPTIONS).name


def _check_rows(path: Path, expected: int, url: str) -> None:
    rows = sum(1 for line in path.read_bytes().split(b"\n") if line.strip())
    if rows != expected:
        path.unlink()
        raise DataError(
            f"expected {expected:,} rows in {without_password(url)}. Received: {rows:,}; the "
            "release is not the one that this version knows: look at what changed, or run `v2t "
            "fetch` on a captions file of your own"
        )
