"""The TGIF release: its captions file and split lists, got from where they are published."""

import os
from pathlib import Path

from v2t_lib.errors import DataError, writing
from v2t_lib.fetching.downloader import DEFAULT_POLICY, Downloads, RetryPolicy, each
from v2t_lib.fetching.http import Body

RELEASE = "https://raw.githubusercontent.com/raingo/TGIF-Release/master/"
FOLDER = "tgif"
CAPTIONS = "data/tgif-v1.0.tsv"
#: Every file with its rows: 125,782 captions of 102,068 clips.
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


def get_release(
    out: str | Path,
    base: str = RELEASE,
    policy: RetryPolicy = DEFAULT_POLICY,
) -> tuple[Path, dict[str, Path]]:
    """Gets the release's files into `out/tgif`; what is there already isn't asked for again.

    Args:
        out: The data set's directory.
        base: The URL that the files lie under.
        policy: How the server is treated.

    Returns:
        The captions file, and each split's list by its name.

    Raises:
        DataError: A file that isn't there, or has not the rows that it had when this was written.
    """
    folder = Path(out) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / Path(name).name for name in ROWS}
    missing = [(name, base + name) for name, path in files.items() if not path.exists()]

    def body(name: str) -> Body:
        return Body(folder, Path(name).name)

    for download in each(Downloads(missing, body, policy)):
        if download.error is not None:
            raise DataError(
                f"expected TGIF's files at {base}. Received for {download.url}: {download.error}; "
                "try again later, or name a mirror of the repository's files"
            )
        _check(download.body.path, ROWS[download.source], download.url)
        with writing(files[download.source]):
            os.replace(download.body.path, files[download.source])
    splits = {path.stem: path for name, path in files.items() if name != CAPTIONS}
    return files[CAPTIONS], splits


def _check(path: Path, expected: int, url: str) -> None:
    rows = sum(1 for line in path.read_bytes().split(b"\n") if line.strip())
    if rows != expected:
        path.unlink()
        raise DataError(
            f"expected {expected:,} rows in {url}. Received: {rows:,}; the release is not the "
            "one that this version knows: look at what changed, then run `v2t fetch` on a "
            "captions file of your own"
        )
