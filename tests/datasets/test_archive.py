"""Archives are unpacked selectively, each file whole, and never outside the folder."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from v2t_lib.datasets.archive import unpack
from v2t_lib.errors import DataError

FILES = {"top/a.avi": b"a" * 700, "top/b.avi": b"b" * 900, "top/read.me": b"-"}


def place(name):
    return f"clips/{name.rpartition('/')[2]}" if name.endswith(".avi") else None


def tar(path, files, *special):
    """A tar of files, and of members of other kinds, as `(name, type, link)`."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, kind, link in special:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            archive.addfile(info)
    return path


def zipped(path, files, *links):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
        for name, link in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, link)
    return path


def lying(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name, make", [("x.tar", tar), ("x.zip", zipped)])
def test_only_what_has_a_place_is_unpacked_and_once(name, make, tmp_path):
    archive = make(tmp_path / name, FILES)
    assert unpack(archive, tmp_path / "out", place) == ["clips/a.avi", "clips/b.avi"]
    whole = {"clips/a.avi": FILES["top/a.avi"], "clips/b.avi": FILES["top/b.avi"]}
    assert lying(tmp_path / "out") == whole
    clips = tmp_path / "out" / "clips"
    (clips / "a.avi").write_bytes(b"half")
    os.utime(clips / "b.avi", (1, 1))
    unpack(archive, tmp_path / "out", place)
    assert lying(tmp_path / "out") == whole and (clips / "b.avi").stat().st_mtime == 1
    assert archive.exists()


def test_links_and_devices_are_left_out(tmp_path):
    special = [
        ("top/link.avi", tarfile.SYMTYPE, "/etc/passwd"),
        ("top/hard.avi", tarfile.LNKTYPE, "top/a.avi"),
        ("top/pipe.avi", tarfile.FIFOTYPE, ""),
        ("top/disk.avi", tarfile.BLKTYPE, ""),
        ("top/folder.avi", tarfile.DIRTYPE, ""),
    ]
    archive = tar(tmp_path / "x.tar", FILES, *special)
    assert unpack(archive, tmp_path / "out", place) == ["clips/a.avi", "clips/b.avi"]
    archive = zipped(tmp_path / "x.zip", FILES, ("top/link.avi", "/etc/passwd"))
    assert unpack(archive, tmp_path / "zip", place) == ["clips/a.avi", "clips/b.avi"]
    assert len(lying(tmp_path / "out")) == len(lying(tmp_path / "zip")) == 2


@pytest.mark.parametrize(
    "climbing", ["../../c.avi", "/c.avi", "top/../../c.avi", "..\\c.avi", "C:\\c.avi"]
)
@pytest.mark.parametrize("name, make", [("x.tar", tar), ("x.zip", zipped)])
def test_of_an_archive_whose_paths_climb_nothing_is_unpacked(name, make, climbing, tmp_path):
    archive = make(tmp_path / name, FILES | {climbing: b"c"})
    with pytest.raises(
        DataError, match=r"paths within the archive's folder\. Received: '.*c\.avi'; the ar"
    ):
        unpack(archive, tmp_path / "out", lambda name: name)
    assert not lying(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 512 + 300, 1800])
def test_an_archive_that_is_cut_off_is_refused_and_deleted(keep, tmp_path):
    archive = tar(tmp_path / "x.tar", FILES)
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"expected a whole archive\. Received: ReadError: .*anew"):
        unpack(archive, tmp_path / "out", place)
    assert not archive.exists()
    archive = zipped(tmp_path / "x.zip", FILES)
    archive.write_bytes(archive.read_bytes()[: keep // 2])
    with pytest.raises(DataError, match=r"expected a whole archive\. Received: BadZipFile"):
        unpack(archive, tmp_path / "out", place)
    assert not archive.exists()


def test_bytes_that_changed_in_a_zip_are_noticed(tmp_path):
    archive = zipped(tmp_path / "x.zip", FILES)
    archive.write_bytes(archive.read_bytes().replace(b"b" * 900, b"b" * 899 + b"c"))
    with pytest.raises(DataError, match=r"Received: BadZipFile: Bad CRC-32.*b\.avi"):
        unpack(archive, tmp_path / "out", place)
    assert "clips/b.avi" not in lying(tmp_path / "out") and not archive.exists()


def test_a_full_disk_is_told_and_the_archive_stays(tmp_path, disk_of):
    archive = tar(tmp_path / "x.tar", FILES)
    with disk_of(800), pytest.raises(DataError, match=r"expected to write .*b\.avi.*make room"):
        unpack(archive, tmp_path / "out", place)
    assert archive.exists() and "clips/a.avi" in lying(tmp_path / "out")
