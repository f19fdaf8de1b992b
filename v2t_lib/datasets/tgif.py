"""The TGIF release: its captions file and split lists, downloaded from where they are published."""

import os
from pathlib import Path

from v2t_lib.datasets.registry import DataSet, register_dataset
from v2t_lib.errors import DataError, writing
from v2t_lib.fetching.large_file import download_file

#: The commit of raingo/TGIF-Release that published the data; no file below has changed since.
COMMIT = "cd8c4bf2c053c8ea77e36c86d76ce7f9ce56e318"
RELEASE = f"https://raw.githubusercontent.com/raingo/TGIF-Release/{COMMIT}/"
FOLDER = "tgif"
CAPTIONS = "data/tgif-v1.0.tsv"
#: The number of rows in each file: 125,782 captions of 102,068 clips.
ROWS = {
    CAPTIONS: 125_782,
    "data/splits/train.txt": 80_000,
    "data/splits/val.txt": 10_708,
    "data/splits/test.txt": 11_360,
}
LICENCE = (
    "TGIF (Li et al., CVPR 2016, https://github.com/raingo/TGIF-Release) is for approved "
    "non-commercial research; its clips are not to be redistributed"
)


def get_release(out: str | Path, base: str = RELEASE) -> tuple[Path, dict[str, Path]]:
    """Downloads the release's files into `out/tgif`, except those that are already there.

    Args:
        out: The data set's directory.
        base: The URL that the files' names are appended to.

    Returns:
        The captions file, and each split's list by its name.

    Raises:
        DataError: A file can't be downloaded, or has another number of rows.
    """
    folder = Path(out) / FOLDER
    files = {name: folder / Path(name).name for name in ROWS}
    for name, path in files.items():
        if not path.exists():
            unchecked = path.with_name(f"{path.name}.unchecked")
            download_file(base + name, unchecked)
            _check_rows(unchecked, ROWS[name], base + name)
            with writing(path):
                os.replace(unchecked, path)
    splits = {path.stem: path for name, path in files.items() if name != CAPTIONS}
    return files[CAPTIONS], splits


def _check_rows(path: Path, expected: int, url: str) -> None:
    rows = sum(1 for line in path.read_bytes().split(b"\n") if line.strip())
    if rows != expected:
        path.unlink()
        raise DataError(
            f"expected {expected:,} rows in {url}. Received: {rows:,}; the release is not the "
            "one that this version knows: look at what changed, or run `v2t fetch` on a captions "
            "file of your own"
        )


@register_dataset("tgif")
class TGIF(DataSet):
    """Animated GIFs from Tumblr, a sentence each: 102,068 clips, about 123 GB to download."""

    licence = LICENCE
    recipe = "tgif"
    usual_clips = 5000
    fetchable = True
    remote = True

    def captions(self, home: Path) -> Path:
        return get_release(home, self.mirror or RELEASE)[0]
