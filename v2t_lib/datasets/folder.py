"""A folder of your own clips as a data set."""

import dataclasses
import hashlib
import os
from pathlib import Path

from v2t_lib.captions_file import read_captions
from v2t_lib.datasets.registry import DataSet, register_dataset
from v2t_lib.errors import DataError


@register_dataset("my_folder")
@dataclasses.dataclass(frozen=True)
class MyFolder(DataSet):
    """Your clips: `captions.tsv`, and `train.txt`, `val.txt`, `test.txt` if the split is yours."""

    licence = "Your own clips, under whatever terms you have them"
    recipe = "folder"

    def __post_init__(self):
        if not (Path(self.folder) / "captions.tsv").is_file():
            raise DataError(
                "expected `folder` to hold captions.tsv, one `source<TAB>caption` a row. "
                f"Received: {str(self.folder)!r}"
            )

    def captions(self, home: Path) -> Path:
        return Path(self.folder) / "captions.tsv"

    def key(self) -> str:
        """Eight hexadecimal digits, of the captions, the split lists and the clips' sizes."""
        captions, digest = self.captions(Path()), hashlib.sha256()
        for path in (captions, *self.split_lists(captions).values()):
            digest.update(path.read_bytes() + b"\0")
        for record in read_captions(captions, keep_repeats=True):
            clip = record.path(captions)
            size = os.path.getsize(clip) if os.path.isfile(clip) else -1
            digest.update(f"{record.source}\t{size}\n".encode())
        return digest.hexdigest()[:8]
