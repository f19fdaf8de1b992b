"""Storage: the output folder, a local or shared path or a URL that fsspec knows."""

import contextlib
import dataclasses
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from v2t_lib.errors import ClusterError, V2TError

#: Where unfinished files wait.
TEMPORARY = "_spark"
#: These have no folders, where making one would make a bucket; and a file appears whole or not.
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci")


@contextlib.contextmanager
def _naming(url: str) -> Iterator[None]:
    """Turns whatever a file system raises into a sentence that names the folder."""
    try:
        yield
    except V2TError:
        raise
    except ImportError as error:
        scheme = url.partition("://")[0]
        raise ClusterError(
            f"expected the Python package for {scheme}:// URLs. Received: {error}"
        ) from None
    except Exception as error:  # each file system has its own kinds
        what = " ".join(str(error).split()) or type(error).__name__
        raise ClusterError(
            f"expected to read and write {url}. Received: {what[:300]}; check that it exists, and "
            "that the driver and every worker may write to it"
        ) from None


@dataclasses.dataclass(frozen=True)
class Storage:
    """A folder that driver and workers share; names are relative to it, parted by "/".

    A file appears whole or not at all: it is written under a temporary name and then moved.

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

    def _at(self, name: str):
        """The file system, and a file's path in it."""
        try:
            import fsspec  # noqa: F401
        except ImportError as error:
            raise ClusterError(
                f"expected the package fsspec. Received: {error}; pip install 'v2t_lib[spark]'"
            ) from None
        from fsspec.core import url_to_fs

        # Listings that were kept would miss what other machines have written since.
        files, root = url_to_fs(self.url, use_listings_cache=False)
        return files, f"{root.rstrip('/')}/{name}" if name else root

    def _make_folder_of(self, name: str) -> None:
        if self.url.partition("://")[0] not in OBJECT_STORES:
            files, path = self._at(name)
            files.makedirs(files._parent(path), exist_ok=True)

    def probe(self) -> str:
        """Writes a small file, to find out whether that can be done; its name."""
        name = f"{TEMPORARY}/probe-{uuid.uuid4().hex}"
        with _naming(self.url):
            self._make_folder_of(name)
            files, path = self._at(name)
            files.pipe_file(path, b"v2t")
        return name

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        with _naming(self.url):
            files, path = self._at(name)
            return files.exists(path)

    def get(self, name: str, local: Path) -> None:
        """Copies a file to this machine."""
        local.parent.mkdir(parents=True, exist_ok=True)
        with _naming(self.url):
            files, path = self._at(name)
            files.get_file(path, str(local))

    def put(self, local: Path, name: str) -> None:
        """Copies a file of this machine into the folder, over one of that name."""
        with _naming(self.url):
            unfinished = f"{TEMPORARY}/{uuid.uuid4().hex}"
            for made in (unfinished, name):
                self._make_folder_of(made)
            (files, temporary), (_, path) = self._at(unfinished), self._at(name)
            files.put_file(str(local), temporary)
            files.mv(temporary, path)

    def sizes(self, name: str = "") -> dict[str, int]:
        """The bytes of every file in a folder, not of those in folders in it, by its own name."""
        with _naming(self.url):
            files, path = self._at(name)
            try:
                entries = files.ls(path, detail=True)
            except FileNotFoundError:
                return {}
        return {e["name"].rsplit("/", 1)[-1]: e["size"] for e in entries if e["type"] == "file"}

    def tidy(self) -> None:
        """Deletes what tasks that were killed have left unfinished, and a local folder if it is
        then empty."""
        with _naming(self.url), contextlib.suppress(FileNotFoundError):
            files, path = self._at(TEMPORARY)
            files.rm(path, recursive=True)
        if self.local:
            with contextlib.suppress(OSError):
                os.rmdir(self.local)
