import contextlib
import errno
import subprocess
import sys
import threading
from subprocess import PIPE

import pytest
from helpers.project import ROOT

from v2t_lib.errors import DataError
from v2t_lib.files import locked, replacing


def test_a_file_takes_its_name_when_it_is_whole_and_stays_after_an_error(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "whole" and [path] == list(path.parent.iterdir())


HOLD = """
import sys
from v2t_lib.files import locked

with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextlib.contextmanager
def _held_by_another(folder):
    run = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(run, stdin=PIPE, stdout=PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def test_a_folder_that_another_process_writes_is_refused_or_waited_for(tmp_path):
    with _held_by_another(tmp_path) as process:
        with pytest.raises(DataError, match="another one that"), locked(tmp_path, wait=False):
            pass
        threading.Timer(0.3, process.stdin.close).start()
        with locked(tmp_path):
            assert process.wait(timeout=10) == 0


def test_where_there_are_no_locks_work_goes_on(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", refuse)
    with locked(tmp_path):
        pass
    assert "no locks on this file system" in capsys.readouterr().err
