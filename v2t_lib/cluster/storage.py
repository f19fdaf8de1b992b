"""Storage: the output folder, a local or shared path or a URL that fsspec knows."""

import contextlib
import dataclasses
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from v2t_lib.errors import ClusterError, V2TError

#: Files that aren't whole yet.
_TEMPORARY = re.compile(r"(.*/)?\.v2t-[0-9a-f]{32}")


def _temporary() -> str:
    return f".v2t-{uuid.uuid4().hex}"


@dataclasses.dataclass(frozen=True)
class Storage:
    """A folder that driver and workers share; names are relative to it, parted by "/".

    Args:
        url: A path, or a URL such as `s3://bucket/folder`.

    Raises:
        ClusterError: From every method: the folder can't be reached, or fsspec lacks the package
            for such URLs.
    """

    url: str

    @classmethod
    def of(cls, place: str | Path) -> "Storage":
        """The folder at a URL or path; a path is made absolute, as workers start elsewhere."""
        place = str(place)
        return cls(place if "://" in place else os.path.abspath(place))

    @property
    def local(self) -> Path | None:
        """The folder as a path, unless it is a URL."""
        return None if "://" in self.url else Path(self.url)

    @contextlib.contextmanager
    def _files(self) -> Iterator[tuple[Any, str]]:
        """The file system and the folder's path in it; what fails in the block becomes a sentence.

        Nothing makes folders but `put_file`, as that makes buckets on object stores.
        """
        try:
            from fsspec.core import url_to_fs

            options = {"auto_mkdir": True} if self.local else {}
            # Listings that were kept would miss what other machines have written since.
            files, root = url_to_fs(self.url, use_listings_cache=False, **options)
            yield files, root.rstrip("/")
        except V2TError:
            raise
        except ImportError as error:
            raise ClusterError(
                f"expected the Python packages for {self.url}. Received: {error}; pip install "
                "'v2t_lib[spark]', and what fsspec asks for"
            ) from None
        except Exception as error:  # each file system has its own kinds
            what = " ".join(str(error).split()) or type(error).__name__
            raise ClusterError(
                f"expected to read and write {self.url}. Received: {what[:300]}; check that it "
                "exists, and that the driver and every worker may write to it"
            ) from None

    def probe(self) -> str:
        """Writes a small file, to find out whether that can be done; its name."""
        name = _temporary()
        with self._files() as (files, root):
            files.pipe_file(f"{root}/{name}", b"v2t")
        return name

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        with self._files() as (files, root):
            return files.exists(f"{root}/{name}")

    def sizes(self) -> dict[str, int]:
        """The bytes of every file in the folder and the folders in it, not deeper."""
        with self._files() as (files, root):
            found = files.find(root, maxdepth=2, detail=True).items()
            return {path[len(root) + 1 :]: about["size"] for path, about in found}

    def get(self, names: Iterable[str], folder: Path) -> None:
        """Copies files into a folder of this machine, under the same names."""
        names = list(names)
        with self._files() as (files, root):
            files.get([f"{root}/{name}" for name in names], [str(folder / name) for name in names])

    def put(self, path: Path, name: str) -> None:
        """Copies a file of this machine into the folder, where it appears whole or not at all."""
        folder = name.rpartition("/")[0]
        with self._files() as (files, root):
            unfinished = f"{root}/{folder}/{_temporary()}" if folder else f"{root}/{_temporary()}"
            files.put_file(str(path), unfinished)
            files.mv(unfinished, f"{root}/{name}")

    def tidy(self) -> None:
        """Deletes what tasks that were killed have left unfinished, and a local folder if it is
        then empty."""
        unfinished = [name for name in self.sizes() if _TEMPORARY.fullmatch(name)]
        with self._files() as (files, root):
            if unfinished:
                files.rm([f"{root}/{name}" for name in unfinished])
        with contextlib.suppress(OSError):
            (self.local or Path(os.devnull)).rmdir()
