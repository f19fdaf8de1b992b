"""Unpacks what a data set needs of a tar or zip archive, and nothing beside its folder."""

import contextlib
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing
from v2t_lib.progress import Progress

_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError)


class _Member(NamedTuple):
    name: str
    size: int  # bytes, unpacked
    regular: bool  # no folder, link or device
    open: Callable[[], IO[bytes]]


@contextlib.contextmanager
def _members(path: Path) -> Iterator[list[_Member]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            yield [
                _Member(
                    info.filename,
                    info.file_size,
                    not info.is_dir()
                    and stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG),
                    lambda info=info: archive.open(info),
                )
                for info in archive.infolist()
            ]
    else:
        with tarfile.open(path, "r:") as archive:
            members = archive.getmembers()
            archive.fileobj.seek(archive.offset)
            # Where a header is cut off or damaged, tarfile takes the members before it for all.
            if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("no end-of-archive block")
            yield [
                _Member(
                    info.name,
                    info.size,
                    info.isreg(),
                    lambda info=info: archive.extractfile(info),
                )
                for info in members
            ]


def _climbs(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(re.match("[A-Za-z]:", name))


def refuse(archive: Path, expected: str, received: str) -> DataError:
    """Deletes an archive that can't be used; the error that says why."""
    archive.unlink(missing_ok=True)
    return DataError(
        f"{archive}: expected {expected}. Received: {received}; the archive has been deleted: run "
        "the same command again to download it anew"
    )


def unpack(archive: Path, folder: Path, place: Callable[[str], str | None]) -> list[str]:
    """Unpacks regular files of an archive, each whole or not at all; keeps those already unpacked.

    Args:
        archive: A `.zip` file, or an uncompressed tar.
        folder: Where files go.
        place: From a member's name to its path in `folder`; None leaves it out. Links, folders and
            devices are left out in any case.

    Returns:
        The paths in `folder` of what the archive holds, in its order.

    Raises:
        DataError: The archive is damaged, or names a path outside its folder; then nothing is
            unpacked, and the archive is deleted. Or the disk is full.
    """
    unpacked: dict[str, None] = {}
    try:
        with _members(archive) as members:
            if climbing := [member.name for member in members if _climbs(member.name)]:
                raise refuse(archive, "paths within the archive's folder", repr(climbing[0]))
            for member in Progress(members, unit="file", desc="unpack"):
                path = place(member.name) if member.regular else None
                if path is None or path in unpacked:
                    continue
                _write(member, folder / path)
                unpacked[path] = None
    except _DAMAGE as error:
        raise refuse(archive, "a whole archive", f"{type(error).__name__}: {error}") from None
    return list(unpacked)


def _write(member: _Member, target: Path) -> None:
    if target.is_file() and target.stat().st_size == member.size:
        return
    with (
        writing(target),
        replacing(target) as temporary,
        open(temporary, "wb") as file,
        member.open() as source,
    ):
        shutil.copyfileobj(source, file, 2**20)
