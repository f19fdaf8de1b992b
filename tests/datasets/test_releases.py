"""MSVD and MSR-VTT from a local server, as stand-ins in the same form; and what archives may do."""

import contextlib
import gzip
import io
import json
import os
import tarfile
import zipfile

import pytest
from helpers import releases
from helpers import scripted_server as scripted

from v2t_lib.captions_file import read_captions, read_split
from v2t_lib.cli.main import main
from v2t_lib.datasets.releases import MSRVTT, MSVD, unpack
from v2t_lib.errors import DataError
from v2t_lib.fetching import large_file
from v2t_lib.shards.format import DatasetInfo

ARCHIVES = [(MSVD, "YouTubeClips.tar"), (MSRVTT, "MSRVTT.zip")]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(large_file, "ATTEMPTS", 2)
    monkeypatch.setattr(large_file, "PAUSE", 0.0)
    with releases.released(monkeypatch) as server:
        yield server


def test_the_figures_are_those_of_the_publications():
    assert list(MSVD.sizes.values()) == [1200, 100, 670] and sum(MSVD.sizes.values()) == 1970
    assert list(MSRVTT.sizes.values()) == [6513, 497, 2990]
    assert all("belong to those who uploaded" in kind.licence for kind in (MSVD, MSRVTT))
    assert all(kind.usual_clips == sum(kind.sizes.values()) for kind in (MSVD, MSRVTT))


def test_msvd_is_split_by_the_order_of_its_names(server, tmp_path):
    captions = MSVD().captions(tmp_path)
    lists = MSVD().split_lists(captions)
    assert {name: [s[6:-4] for s in read_split(path)] for name, path in lists.items()} == {
        "train": ["-4wsuPCjDBc_5_15", "ZZZZZZZZZZZ_0_4", "_hbPLsZvvo0_18_25"],
        "val": ["aaaaaaaaaaa_10_12"],
        "test": ["aaaaaaaaaaa_1_2", "zzit5b_-ukg_5_20"],
    }
    assert not (captions.parent / "YouTubeClips.tar").exists()
    records = read_captions(captions, keep_repeats=True)
    assert {record.captions for record in records} == {
        ("a square is moving", "a square is moving", "it moves")
    }
    assert all((captions.parent / record.source).is_file() for record in records)


def test_msrvtt_is_split_by_number(server, tmp_path):
    captions = MSRVTT().captions(tmp_path)
    lists = MSRVTT().split_lists(captions)
    assert {name: read_split(path) for name, path in lists.items()} == {
        "train": ["clips/video0.mp4", "clips/video1.mp4", "clips/video2.mp4"],
        "val": ["clips/video3.mp4"],
        "test": ["clips/video9.mp4", "clips/video10.mp4"],
    }
    (said,) = {record.captions for record in read_captions(captions)}
    assert said == ("a square moves", "a square moves right")


@pytest.mark.parametrize("kind, archive", ARCHIVES)
def test_unpacking_that_was_killed_goes_on(server, tmp_path, monkeypatch, kind, archive):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(kind, "_write", killed)
        kind().captions(tmp_path)
    clips = list((tmp_path / "data" / "clips").iterdir())
    times = {path: path.stat().st_mtime_ns for path in clips}
    asked = len(server.asked)
    captions = kind().captions(tmp_path)
    assert (captions.parent / archive).exists()  # as it was there before
    assert kind().captions(tmp_path) == captions and len(server.asked) == asked
    assert {path: path.stat().st_mtime_ns for path in clips} == times and len(clips) == 6


@pytest.mark.parametrize("kind, archive", ARCHIVES)
def test_an_archive_with_other_clips_is_refused_until_it_is_moved(server, tmp_path, kind, archive):
    make = {MSVD: releases.msvd_files, MSRVTT: releases.msrvtt_files}[kind]
    clips = {MSVD: releases.MSVD_CLIPS, MSRVTT: releases.MSRVTT_CLIPS}[kind]
    server.script(f"/r/{archive}", scripted.ranged(make(clips[:5])[archive]))
    with pytest.raises(DataError, match=rf"{archive}: expected 6 clips, as.*Received: 5; move it"):
        kind().captions(tmp_path)
    server.script(f"/r/{archive}", scripted.ranged(make()[archive]))
    (tmp_path / "data" / archive).unlink()
    assert len(read_captions(kind().captions(tmp_path))) == 6


def test_ones_own_archive_is_used_and_never_deleted(server, tmp_path):
    files, folder = releases.msvd_files(), tmp_path / "data"
    archive, texts = folder / "YouTubeClips.tar", folder / "AllVideoDescriptions.txt"
    folder.mkdir()
    archive.write_bytes(files[archive.name][:1500])
    texts.write_text("elsewhereee_0_1 a cat\n")
    for said in (r"whole archive\. Received: .*move it away", r"6 clips with.*Received: 0"):
        with pytest.raises(DataError, match=said):
            MSVD().captions(tmp_path)
        assert archive.exists() and texts.exists()
        archive.write_bytes(files[archive.name])
    texts.unlink()
    assert len(read_captions(MSVD().captions(tmp_path))) == 6
    assert archive.exists() and server.times(f"/r/{archive.name}") == 0


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}/"])
def test_a_folder_is_a_mirror_and_stays_as_it_is(server, tmp_path, form):
    have = tmp_path / "ha ve"
    have.mkdir()
    for name, data in releases.msvd_files().items():
        (have / name).write_bytes(gzip.compress(data) if name.endswith("tar") else data)
    before = lying(have)
    place = have.as_uri() + "/" if form.startswith("file") else form.format(have)
    captions = MSVD(mirror=place).captions(tmp_path / "out")
    assert len(read_captions(captions)) == 6 and lying(have) == before
    assert not (captions.parent / MSVD.archive).exists()
    (have / MSVD.archive).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match="Received: a Git LFS pointer"):
        MSVD(mirror=place).captions(tmp_path / "again")
    with pytest.raises(DataError, match=r"MSRVTT\.zip in the mirror .*no such file"):
        MSRVTT(mirror=place).captions(tmp_path / "other")
    assert server.times(f"/r/{MSVD.archive}") == 0


def test_clips_without_captions_are_named_and_left_out(server, tmp_path, capsys):
    files = releases.msvd_files([*releases.MSVD_CLIPS, "silentsilen_0_1"])
    files["AllVideoDescriptions.txt"] = releases.msvd_files()["AllVideoDescriptions.txt"]
    for name, data in files.items():
        server.script(f"/r/{name}", scripted.ranged(data))
    records = read_captions(MSVD().captions(tmp_path))
    assert len(records) == 6 and "silent" not in str(records)
    assert "left out, clips/silentsilen_0_1.avi" in capsys.readouterr().err


@pytest.mark.parametrize(
    "annotations", [[], {"annotations": [{"caption": "a cat"}]}, {"sentences": []}]
)
def test_annotations_of_another_form_are_refused(server, tmp_path, annotations):
    data = releases.msrvtt_files(annotations=annotations)["MSRVTT.zip"]
    server.script("/r/MSRVTT.zip", scripted.ranged(data))
    with pytest.raises(DataError, match=r"`image_id` and `caption`\. Received: \w+Error"):
        MSRVTT().captions(tmp_path)


@pytest.mark.parametrize("name, kind", [("msvd", MSVD), ("msrvtt", MSRVTT)])
def test_the_name_stands_for_it_all(server, tmp_path, monkeypatch, capsys, name, kind):
    monkeypatch.chdir(tmp_path)
    size = ["--shards", "--frames", "2", "--size", "16", "--workers", "1"]
    assert main(["fetch", name, *size, "--split", "test", "--json"]) == 0
    printed = capsys.readouterr()
    assert kind.licence in printed.err
    assert json.loads(printed.out)["splits"] == {"test": {"of": 2, "verdicts": {"ok": 2}}}
    asked = len(server.asked)
    assert main(["fetch", name, *size]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: you have 6 of 6\n")
    sizes = {split: DatasetInfo.load(tmp_path / name / split).clips for split in releases.SIZES}
    assert sizes == releases.SIZES and len(server.asked) == asked


def test_without_shards_clips_stay_where_they_were_unpacked(server, tmp_path):
    assert main(["fetch", "msvd", "--out", str(tmp_path), "--workers", "1"]) == 0
    train = read_captions(tmp_path / "clips" / "train.tsv")
    assert train[0].source == "../data/clips/-4wsuPCjDBc_5_15.avi"


@pytest.mark.shared
def test_msvds_captions_and_split_are_the_usual_ones(shared_data, tmp_path):
    """From `<id> sentence` lines to our form: every caption and every list of the shared data."""
    lines = (shared_data / "msvd" / "captions.tsv").read_text().splitlines()
    rows = [tuple(line.split("\t")) for line in lines]
    text = "".join(f"{clip} {caption}\n" for clip, caption in reversed(rows))
    (tmp_path / "AllVideoDescriptions.txt").write_text("# MSVD\n" + text)
    clips = [MSVD().place(f"YouTubeClips/{clip}.avi") for clip, _ in rows]
    captions = MSVD()._captions(tmp_path, list(dict.fromkeys(clips)))
    MSVD()._write(tmp_path / "captions.tsv", captions)
    written = read_captions(tmp_path / "captions.tsv", keep_repeats=True)
    assert len(written) == 1970 and sum(len(r.captions) for r in written) == 80_827
    assert sorted((r.source[6:-4], c) for r in written for c in r.captions) == sorted(rows)
    for split in MSVD.sizes:
        ids = [source[6:-4] for source in read_split(tmp_path / f"{split}.txt")]
        assert ids == read_split(shared_data / "msvd" / f"{split}.txt")


FILES = {"top/a.avi": b"a" * 700, "top/b.avi": b"b" * 900, "top/read.me": b"-"}


def place(name):
    return f"clips/{name.rpartition('/')[2]}" if name.endswith(".avi") else None


def tar(path, files):
    """A tar of files, and of members of other kinds, which nobody wants."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE):
            info = tarfile.TarInfo(f"top/{kind.decode()}.avi")
            info.type, info.linkname = kind, "top/a.avi"
            archive.addfile(info)
    return path


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
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


@pytest.mark.parametrize("climbing", ["../../c.avi", "/c.avi", "top/../../c.avi", "C:\\c.avi"])
@pytest.mark.parametrize("name, make", [("x.tar", tar), ("x.zip", zipped)])
def test_nothing_is_written_outside_the_folder(name, make, climbing, tmp_path):
    archive = make(tmp_path / name, {climbing: b"c"})
    out = tmp_path / "deep" / "er"
    with contextlib.suppress(DataError):
        unpack(archive, out, lambda name: name)
    assert all(path.is_relative_to(out) for path in tmp_path.rglob("*c.avi"))


@pytest.mark.parametrize("keep", [0, 100, 512 + 300, 1536 + 512 + 300])
def test_an_archive_that_is_cut_off_is_refused(keep, tmp_path):
    archive = tar(tmp_path / "x.tar", FILES)
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"a whole archive\. Received: (ReadError: |an empty)"):
        unpack(archive, tmp_path / "out", place)
    archive = zipped(tmp_path / "x.zip", FILES)
    archive.write_bytes(archive.read_bytes()[: keep // 2])
    with pytest.raises(DataError, match=r"a whole archive\. Received: (BadZipFile|an empty)"):
        unpack(archive, tmp_path / "out", place)


def test_bytes_that_changed_in_a_zip_are_noticed(tmp_path):
    archive = zipped(tmp_path / "x.zip", FILES)
    archive.write_bytes(archive.read_bytes().replace(b"b" * 900, b"b" * 899 + b"c"))
    with pytest.raises(DataError, match=r"Received: BadZipFile: Bad CRC-32"):
        unpack(archive, tmp_path / "out", place)
    assert "clips/b.avi" not in lying(tmp_path / "out")


def test_a_full_disk_is_told_and_half_a_file_removed(tmp_path, disk_of):
    archive = tar(tmp_path / "x.tar", FILES)
    with disk_of(800), pytest.raises(DataError, match=r"expected to write .*b\.avi.*make room"):
        unpack(archive, tmp_path / "out", place)
    assert lying(tmp_path / "out").keys() == {"clips/a.avi"}
