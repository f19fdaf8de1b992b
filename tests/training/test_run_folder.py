"""A run's folder: one training at a time, nothing overwritten by mistake, and a copy that grows."""

import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.project import ROOT

from v2t_lib.errors import DataError, TrainingError
from v2t_lib.files import LOCK_FILE
from v2t_lib.training import run_folder
from v2t_lib.training.checkpoints import Checkpoints
from v2t_lib.training.run_folder import SELF_CRITICAL, TRAINING, Mirror, locked_run

HOLD = """
import sys, time
from pathlib import Path
from v2t_lib.training.run_folder import TRAINING, locked_run
with locked_run(Path(sys.argv[1]), None, TRAINING, {}, False, False):
    print("in", flush=True)
    time.sleep(60)
"""


def claim(folder, copy=None, stage=TRAINING, resume=False, overwrite=False):
    with locked_run(folder, copy, stage, {}, resume, overwrite):
        pass


def test_a_second_process_is_refused_while_the_first_lives(tmp_path):
    with pytest.raises(KeyError), locked_run(tmp_path / "run", None, TRAINING, {}, False, False):
        raise KeyError  # gives the lock back
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    another = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert another.stdout.readline() == "in\n"
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(DataError, match=r"run for this process alone. Received: another one"):
            claim(tmp_path / "run", **options)
    with pytest.raises(DataError, match="another one"):
        claim(tmp_path / "other", tmp_path / "run")  # as the copy
    claim(tmp_path / "other")
    another.kill()
    another.communicate()
    claim(tmp_path / "run")


@pytest.mark.parametrize(
    "name",
    ["captioner.keras", "history.csv", ".captioner-checkpoints", "blind.keras", "blind.csv",
     ".blind-checkpoints", "scst.keras", "scst.csv", ".scst-checkpoints"],
)  # fmt: skip
def test_a_folder_with_a_run_is_refused_and_stays_as_it_was(tmp_path, name):
    run, copy = tmp_path / "run", tmp_path / "copy"
    for folder in (run, copy):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text("mine")
        with pytest.raises(TrainingError, match=rf"a run. Received.*{name}; .*--resume.*--overwr"):
            claim(run, copy)
        claim(run, copy, resume=True)
        assert (folder / name).read_text() == "mine"
        claim(run, copy, overwrite=True)
        assert not (folder / name).exists()


def test_only_the_stages_own_files_are_overwritten(tmp_path):
    (tmp_path / ".captioner-checkpoints").mkdir()
    for name in ("notes.txt", "history.csv", "scst.keras", ".captioner-checkpoints/1.npz"):
        (tmp_path / name).write_text("mine")
    left = {"notes.txt", LOCK_FILE, SELF_CRITICAL.data, TRAINING.data}
    claim(tmp_path, stage=SELF_CRITICAL, overwrite=True)
    assert (tmp_path / "history.csv").exists() and not (tmp_path / "scst.keras").exists()
    claim(tmp_path, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == left


def test_what_makes_no_sense_together_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Received: both"):
        claim(tmp_path, resume=True, overwrite=True)
    with pytest.raises(ValueError, match=r"--copy-to.* beside the run's. Received: .*run"):
        claim(tmp_path / "run", tmp_path / "elsewhere" / ".." / "run")
    assert not any(tmp_path.iterdir())


class Run:
    """A run in `run`, whose files say which epoch they are of, and its copy on `drive`."""

    def __init__(self, folder: Path):
        self.folder, self.drive = folder / "run", folder / "drive"
        self.mirror = Mirror(self.folder, self.drive)
        self.states = Checkpoints(self.folder / "captioner.keras", 2, {})

    def epoch(self, number: int):
        (self.folder / "captioner.keras").parent.mkdir(exist_ok=True)
        (self.folder / "captioner.keras").write_text(f"epoch {number}")
        (self.folder / "history.csv").write_text(f"epoch\n{number}\n")
        self.states.save([keras.Variable(np.full(3, number, "float32"))], number, {})
        self.mirror.put()

    def held(self) -> list[dict[str, bytes]]:
        return [
            {str(p.relative_to(at)): p.read_bytes() for p in at.rglob("*") if p.is_file()}
            for at in (self.folder, self.drive)
        ]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_the_copy_holds_what_the_run_holds_and_gives_only_that_back(run, tmp_path):
    """It may lie among others' files: on the top of a drive, say."""
    for number in (1, 2, 3):
        run.epoch(number)
    run.mirror.close()
    ours, copies = run.held()
    assert ours == copies and len(copies) == 4
    for name in ("photos/holiday.jpg", ".captioner-checkpoints/notes.npz", "thesis.docx",
                 ".captioner-checkpoints/000000009.npz.tmp"):  # fmt: skip
        (run.drive / name).parent.mkdir(exist_ok=True)
        (run.drive / name).write_bytes(b"mine")
    Mirror(tmp_path / "new", run.drive).fetch()
    found = {path.name for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert found == {"captioner.keras", "history.csv", "000000002.npz", "000000003.npz"}


def test_a_copy_that_is_further_replaces_the_model_too(run, tmp_path):
    """A machine whose run stood still while another one went on from the copy."""
    run.epoch(1)
    other = Run(tmp_path / "other")
    other.drive = run.drive
    other.mirror = Mirror(other.folder, run.drive)
    other.folder.mkdir(parents=True)
    other.epoch(5)
    other.mirror.close()
    run.mirror.fetch()
    assert (run.folder / "captioner.keras").read_text() == "epoch 5"


@pytest.mark.parametrize("copies", range(9))
def test_a_kill_between_copies_never_leaves_a_checkpoint_whose_model_is_older(
    run, copies, monkeypatch
):
    """Also where the run goes on while a copy is made."""
    whole, done = run_folder.shutil.copyfile, []

    def killed(source, target):
        if len(done) == 1:  # the model's: meanwhile the next epoch ends
            run.epoch(2)
        if len(done) == copies:
            raise SystemExit  # ends the thread that copies
        done.append(source)
        whole(source, target)

    monkeypatch.setattr(run_folder.shutil, "copyfile", killed)
    run.epoch(1)
    run.mirror.close()
    kept = sorted((run.drive / ".captioner-checkpoints").glob("[0-9]*.npz"))
    if kept:
        model = int((run.drive / "captioner.keras").read_text().split()[1])
        assert model >= int(kept[-1].stem)


def test_a_slow_drive_holds_up_no_step_and_gets_only_the_newest_once(run, monkeypatch):
    whole, names = run_folder.shutil.copyfile, []
    begun, go = threading.Event(), threading.Event()

    def slow(source, target):
        begun.set()
        assert go.wait(30)
        names.append(Path(source).name)
        whole(source, target)

    monkeypatch.setattr(run_folder.shutil, "copyfile", slow)
    run.epoch(1)
    assert begun.wait(30)
    for number in (2, 3, 4):
        run.epoch(number)
    assert not run.drive.exists() or not list(run.drive.rglob("*.npz"))
    go.set()
    run.mirror.close()
    ours, copies = run.held()
    assert ours == copies and "000000002.npz" not in names
    assert all(names.count(f"00000000{number}.npz") == 1 for number in (3, 4))


def test_a_drive_that_is_away_is_told_and_gets_all_once_it_is_back(run, capsys):
    run.drive.write_text("not a folder")
    run.epoch(1)
    while not run.mirror._requested.done():
        pass
    assert "could not copy the run to" in capsys.readouterr().err
    run.drive.unlink()
    run.epoch(2)
    run.mirror.close()
    ours, copies = run.held()
    assert ours == copies
