"""The data set registry: where captioned clips come from, by the name that notebooks take."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import ClassVar
from urllib.request import url2pathname

from v2t_lib.captions_file import is_url
from v2t_lib.errors import DataError
from v2t_lib.fetching.large_file import download_file
from v2t_lib.files import replacing
from v2t_lib.options import Registry

DATASETS = Registry("a data set", "v2t_lib.datasets", DataError)
register_dataset = DATASETS.register


@dataclasses.dataclass(frozen=True)
class DataSet:
    """Captioned clips of one origin, as asked for. A subclass with `captions` is a data set."""

    folder: str | Path = ""  # yours, for a data set that is one
    clips: int = 0  # how many to draw, for a data set that is drawn
    seed: int = 0  # of what is drawn
    #: A folder, or URL ending in a slash, to take a release's files from instead.
    mirror: str = dataclasses.field(default="", repr=False)

    #: What may be done with the clips, in a sentence.
    licence: ClassVar[str] = ""
    #: The name of the recipe that suits it.
    recipe: ClassVar[str] = "default"
    #: How many clips a workspace takes unless told otherwise; 0 for all.
    usual_clips: ClassVar[int] = 0
    #: The split lists that may lie beside the captions file, each NAME.txt.
    splits: ClassVar[tuple[str, ...]] = ("train", "val", "test")
    #: Whether `v2t fetch NAME` gets it: a published release.
    fetchable: ClassVar[bool] = False
    #: Whether captions name URLs; else the clips lie beside the captions file.
    remote: ClassVar[bool] = False

    def captions(self, home: Path) -> Path:
        """The captions file, written or downloaded into `home` where it isn't there yet, with its
        split lists beside it; `DataError` where it can't be had."""
        raise NotImplementedError

    def get(self, base: str, name: str, path: Path) -> None:
        """Downloads a release's file, or copies it from the mirror if that is a folder, to `path`;
        does nothing if it is there."""
        folder = Path(url2pathname(re.sub("^file:(//)?", "", self.mirror)))
        if self.mirror and not is_url(self.mirror) and not path.exists():
            if not (folder / name).is_file():
                raise DataError(f"expected {name} in the mirror {folder}. Received: no such file")
            with replacing(path) as temporary:
                shutil.copyfile(folder / name, temporary)
        download_file((self.mirror or base) + name, path)

    def key(self) -> str:
        """Short text that changes with the clips and captions; "" where clips, seed and size, which
        a workspace's folder is named after, decide them."""
        return ""

    def split_lists(self, captions: Path) -> dict[str, Path]:
        """The split lists beside a captions file, by split, all or none."""
        lists = {name: captions.with_name(f"{name}.txt") for name in self.splits}
        found = {name: path for name, path in lists.items() if path.exists()}
        if found and found != lists:
            raise DataError(
                f"expected all of {', '.join(p.name for p in lists.values())} in {captions.parent},"
                f" or none. Received: {', '.join(p.name for p in found.values())}"
            )
        return found
