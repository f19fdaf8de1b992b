"""A run's folder has one owner, and what it holds is neither mixed nor overwritten by mistake."""

import errno
import subprocess
import sys
import time

import pytest
from helpers.project import ROOT

from v2t_lib.errors import TrainingError
from v2t_lib.training import run_folder
from v2t_lib.training.run_folder import LOCK_FILE, RUN_FILES, SCST_FILES, owned

HOLD = """
import sys, time
from pathlib import Path
from v2t_lib.training.run_folder import RUN_FILES, owned
with owned([Path(sys.argv[1])], RUN_FILES, False, False):
    print("in", flush=True)
    time.sleep(60)
"""


def claim(*folders, files=RUN_FILES, resume=False, overwrite=False):
    with owned(folders, files, resume, overwrite):
        return [path.name for path in folders[0].iterdir()]


@pytest.fixture
def another(tmp_path):
    """A process that trains into `run`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout.readline() == "in\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(params=["locks", "no locks"])
def drive(request, monkeypatch):
    """The drive of a process that comes second: some have no locks."""
    if request.param == "no locks":

        def flock(file, flags):
            raise OSError(errno.ENOTSUP, "Operation not supported")

        monkeypatch.setattr(run_folder.fcntl, "flock", flock)


@pytest.mark.usefixtures("drive")
@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_a_second_process_is_refused_while_the_first_lives(another, tmp_path, options):
    with pytest.raises(TrainingError, match=rf"in use by process {another.pid} on \S+; wait"):
        claim(tmp_path / "run", **options)
    with pytest.raises(TrainingError, match="in use"):
        claim(tmp_path / "other", tmp_path / "run")  # as the copy
    claim(tmp_path / "other")
    another.kill()
    another.wait()
    assert claim(tmp_path / "run") == [LOCK_FILE]
    assert not list((tmp_path / "run").iterdir())


def test_another_machines_leftover_is_no_owner_where_there_are_no_locks(tmp_path, monkeypatch):
    monkeypatch.setattr(run_folder, "fcntl", None)
    (tmp_path / LOCK_FILE).write_text("1 a-machine-that-is-gone\n")
    claim(tmp_path)
    (tmp_path / LOCK_FILE).write_text("")
    claim(tmp_path)


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_folder_with_a_run_is_refused_and_stays_as_it_was(tmp_path, name):
    run, copy = tmp_path / "run", tmp_path / "copy"
    for place in (run, copy):
        place.mkdir(exist_ok=True)
        (place / name).write_text("mine")
        with pytest.raises(TrainingError, match=rf"a run. Received.*{name}; .*--resume.*--overwr"):
            claim(run, copy)
        assert (place / name).read_text() == "mine"
        claim(run, copy, resume=True)
        assert (place / name).read_text() == "mine"
        claim(run, copy, overwrite=True)
        assert not (place / name).exists()


def test_only_the_runs_own_files_are_overwritten(tmp_path):
    (tmp_path / ".captioner-checkpoints").mkdir()
    for name in ("notes.txt", "history.csv", "scst.keras", ".captioner-checkpoints/1.npz"):
        (tmp_path / name).write_text("mine")
    claim(tmp_path, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "scst.keras"}
    with pytest.raises(TrainingError, match=r"Received: one with scst.keras"):
        claim(tmp_path, files=SCST_FILES)


def test_resuming_and_overwriting_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match="Received: both"):
        claim(tmp_path, resume=True, overwrite=True)


def test_the_lock_goes_when_training_fails(tmp_path):
    started = time.monotonic()
    with pytest.raises(KeyError), owned([tmp_path], RUN_FILES, False, False):
        raise KeyError
    assert not list(tmp_path.iterdir()) and time.monotonic() - started < 5


def test_a_copy_into_the_run_itself_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"--copy-to.* beside the run's. Received: .*run"):
        claim(tmp_path / "run", tmp_path / "elsewhere" / ".." / "run")
    assert not any(tmp_path.iterdir())
