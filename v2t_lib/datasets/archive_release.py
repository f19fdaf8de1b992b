"""Releases whose clips come in one archive: what they share, and what each says of itself."""

from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

from v2t_lib.datasets.archive import refuse, unpack
from v2t_lib.datasets.registry import DataSet
from v2t_lib.errors import DataError, writing
from v2t_lib.fetching.large_file import download_file
from v2t_lib.files import replacing
from v2t_lib.progress import log

#: The folder of a release's files: captions file, split lists and, in `clips`, the clips.
FOLDER = "data"


class ArchiveRelease(DataSet):
    """A published data set of one archive: downloaded, unpacked, put into our form.

    A subclass says where the files are, which members of the archive are clips, what their captions
    are, and in which order the usual split cuts the clips.

    Attributes:
        base: The URL, ending in a slash, that the files' names are appended to.
        archive: The archive's name.
        others: Names of further files beside it.
        sha256: The files' SHA-256 by name, where it is known for certain.
        sizes: The number of clips of each split; the splits follow one another in `order`.
    """

    base: ClassVar[str] = ""
    archive: ClassVar[str] = ""
    others: ClassVar[tuple[str, ...]] = ()
    sha256: ClassVar[dict[str, str]] = {}
    sizes: ClassVar[dict[str, int]] = {}
    fetchable = True

    def place(self, member: str) -> str | None:
        """Where a member of the archive goes, `clips/NAME` for a clip; None leaves it out."""
        raise NotImplementedError

    def rows(self, folder: Path) -> Iterable[tuple[str, str]]:
        """Clips, as `place` gives them, and captions, from the release's files in `folder`."""
        raise NotImplementedError

    def order(self, clip: str):
        """The key by which clips are sorted before the splits are cut."""
        return clip

    def refuse(self, folder: Path, expected: str, received: str) -> DataError:
        """Deletes what was downloaded, which is not as published; the error that says so."""
        for name in self.others:
            (folder / name).unlink(missing_ok=True)
        return refuse(folder / self.archive, expected, received)

    def captions(self, home: Path) -> Path:
        folder = Path(home) / FOLDER
        captions_file, archive = folder / "captions.tsv", folder / self.archive
        if not captions_file.exists():
            for name in (*self.others, self.archive):
                url = (self.mirror or self.base) + name
                download_file(url, folder / name, self.sha256.get(name, ""))
            unpacked = unpack(archive, folder, self.place)
            clips = [path for path in unpacked if path.startswith("clips/")]
            captions = self._captions(folder, clips)
            self._write(captions_file, captions)
        archive.unlink(missing_ok=True)
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
        captions = {clip: texts for clip, texts in captions.items() if texts}
        if len(captions) != sum(self.sizes.values()):
            expected = f"{sum(self.sizes.values()):,} clips with captions, as published"
            raise self.refuse(folder, expected, f"{len(captions):,}")
        return captions

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
