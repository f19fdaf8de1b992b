"""MSVD and MSR-VTT, whose clips come in one archive: downloaded, unpacked, put into our form."""

import functools
import json
import re
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from v2t_lib.datasets.registry import DataSet, register_dataset
from v2t_lib.errors import DataError, writing
from v2t_lib.files import replacing
from v2t_lib.progress import Progress, log
from v2t_lib.signatures import HEAD, what_is

#: The folder of a release's files: captions file, split lists and, in `clips`, the clips.
FOLDER = "data"


def unpack(archive: Path, folder: Path, place: Callable[[str], str | None]) -> list[str]:
    """Unpacks regular files of a zip or tar, except those that are there in their full size.

    `place` goes from a member's name to its path in `folder`; None leaves it out. Returns the paths
    of what the archive holds, in its order.

    Raises:
        DataError: The archive is damaged, or the disk is full.
    """
    unpacked: dict[str, None] = {}
    try:
        for name, size, opened in _members(archive):
            path = place(name)
            if path is None or path in unpacked:
                continue
            target = folder / path
            if not target.resolve().is_relative_to(folder.resolve()):
                raise _refused(archive, "paths within it", name)
            if not (target.is_file() and target.stat().st_size == size):
                with (
                    writing(target),
                    replacing(target) as temporary,
                    opened() as member,
                    open(temporary, "wb") as file,
                ):
                    shutil.copyfileobj(member, file)
            unpacked[path] = None
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        with open(archive, "rb") as file:
            what = what_is(file.read(HEAD))
        what = "" if "archive" in what else what
        received = what or f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise _refused(archive, "a whole archive", received) from None
    return list(unpacked)


def _refused(path: Path, expected: str, received: str) -> DataError:
    """The error of a file that is not as it was published."""
    what = f"{path}: expected {expected}. Received: {received}"
    return DataError(f"{what}; move it away to have it downloaded by the same command")


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], Any]]]:
    """Yields the name and size of each file, and a function that opens it."""
    if zipfile.is_zipfile(archive) or archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            for info in Progress(zipped.infolist(), unit="file", desc="unpack"):
                if not info.is_dir():
                    yield info.filename, info.file_size, functools.partial(zipped.open, info)
    else:
        with tarfile.open(archive) as tar:
            for member in Progress(tar, unit="file", desc="unpack"):
                if member.isreg():
                    yield member.name, member.size, functools.partial(tar.extractfile, member)


class ArchiveRelease(DataSet):
    """A published data set of one archive; a subclass says what is in it."""

    #: The URL, ending in a slash, that the files' names are appended to.
    base: ClassVar[str] = ""
    archive: ClassVar[str] = ""
    #: The name of the file of captions beside the archive; "" where that has them.
    captions_name: ClassVar[str] = ""
    #: The number of clips of each split; the splits follow one another in `order`.
    sizes: ClassVar[dict[str, int]] = {}
    fetchable = True

    def place(self, member: str) -> str | None:
        """Where a member of the archive goes, `clips/NAME` for a clip; None leaves it out."""
        raise NotImplementedError

    def rows(self, folder: Path) -> Iterable[tuple[str, str]]:
        """Clips, as `place` gives them, and captions, from the release's files in `folder`."""
        raise NotImplementedError

    def order(self, clip: str) -> str | int:
        """The key by which clips are sorted before the splits are cut."""
        return clip

    def captions(self, home: Path) -> Path:
        """The captions file; see `DataSet`. An archive that was there before is never deleted."""
        folder = Path(home) / FOLDER
        captions_file = folder / "captions.tsv"
        if captions_file.exists():
            return captions_file
        archive = folder / self.archive
        brought = archive.exists()
        for name in filter(None, (self.captions_name, self.archive)):
            self.get(self.base, name, folder / name)
        clips = [p for p in unpack(archive, folder, self.place) if p.startswith("clips")]
        expected = f"{sum(self.sizes.values()):,} clips"
        if len(clips) < sum(self.sizes.values()):
            raise _refused(archive, f"{expected}, as published", f"{len(clips):,}")
        captions = self._captions(folder, clips)
        if len(captions) != sum(self.sizes.values()):
            path = folder / (self.captions_name or self.archive)
            raise _refused(path, f"{expected} with captions, as published", f"{len(captions):,}")
        self._write(captions_file, captions)
        if not brought:
            archive.unlink()
        return captions_file

    def _captions(self, folder: Path, clips: list[str]) -> dict[str, list[str]]:
        """The captions of every clip, in `order`."""
        captions: dict[str, list[str]] = {clip: [] for clip in sorted(clips, key=self.order)}
        for clip, caption in self.rows(folder):
            if clip in captions and caption.split():
                captions[clip].append(" ".join(caption.split()))
        if silent := [clip for clip, texts in captions.items() if not texts]:
            log.warning(
                f"{folder}: {len(silent)} clips without captions are left out, {silent[0]} for one"
            )
        return {clip: texts for clip, texts in captions.items() if texts}

    def _write(self, captions_file: Path, captions: dict[str, list[str]]) -> None:
        """Writes split lists, and then the captions file: with it the release is complete."""
        clips = iter(captions)
        files = {
            f"{split}.txt": "".join(f"{next(clips)}\n" for _ in range(size))
            for split, size in self.sizes.items()
        }
        files[captions_file.name] = "".join(
            f"{clip}\t{text}\n" for clip, texts in captions.items() for text in texts
        )
        for name, text in files.items():
            path = captions_file.with_name(name)
            with writing(path), replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


@register_dataset("msvd")
class MSVD(ArchiveRelease):
    """YouTube clips of some ten seconds: 1,970 clips, 80,827 captions, 1.7 GB to download.

    The usual split is the order of the clips' names, by character code: the first 1,200 train, the
    next 100 validate, the last 670 test.
    """

    licence = (
        "MSVD (Chen and Dolan, ACL 2011, https://www.cs.utexas.edu/users/ml/clamp/videoDescription)"
        " was released for research; its clips belong to those who uploaded them to YouTube"
    )
    recipe = "msvd"
    usual_clips = 1970
    base = "https://www.cs.utexas.edu/users/ml/clamp/videoDescription/"
    archive = "YouTubeClips.tar"
    captions_name = "AllVideoDescriptions.txt"
    sizes: ClassVar = {"train": 1200, "val": 100, "test": 670}

    def place(self, member: str) -> str | None:
        name = re.search(r"(?:^|/)([\w-]{11}_\d+_\d+\.avi)$", member, re.ASCII)
        return f"clips/{name[1]}" if name else None

    def rows(self, folder: Path) -> Iterator[tuple[str, str]]:
        # `-4wsuPCjDBc_5_15 a squirrel is eating a peanut`; comments begin with a hash.
        text = (folder / self.captions_name).read_text("utf-8", errors="replace")
        for line in text.split("\n"):
            clip, _, caption = line.strip().partition(" ")
            if clip and not clip.startswith("#"):
                yield f"clips/{clip}.avi", caption


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
        if member.endswith("annotation/MSR_VTT.json"):
            return "MSR_VTT.json"
        name = re.search(r"(?:^|/)videos/all/(video\d+\.mp4)$", member, re.ASCII)
        return f"clips/{name[1]}" if name else None

    def order(self, clip: str) -> int:
        return int(Path(clip).stem.removeprefix("video"))

    def rows(self, folder: Path) -> list[tuple[str, str]]:
        try:
            annotations = json.loads((folder / "MSR_VTT.json").read_text("utf-8"))["annotations"]
            return [(f"clips/{row['image_id']}.mp4", str(row["caption"])) for row in annotations]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _refused(
                folder / self.archive,
                "annotation/MSR_VTT.json with `annotations` of `image_id` and `caption`",
                f"{type(error).__name__}: {error}",
            ) from None
