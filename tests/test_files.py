import contextlib
import csv
import errno
import io
import os
import subprocess
import sys
import threading
from subprocess import PIPE

import pytest
from helpers.project import ROOT

from v2t_lib.errors import DataError
from v2t_lib.files import locked, replacing, write_table


def test_a_file_takes_its_name_when_it_is_whole_and_stays_after_an_error(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "whole" and [path] == list(path.parent.iterdir())


def test_two_writers_of_one_file_each_write_it_whole(tmp_path):
    path = tmp_path / "file.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and [path] == list(tmp_path.iterdir())
    left = tmp_path / "file.txt.tmp"
    left.write_text("what a killed writer left")
    os.utime(left, (0, 0))
    with replacing(path) as temporary:
        temporary.write_text("third")
    assert path.read_text() == "third" and [path] == list(tmp_path.iterdir())


def test_only_a_regular_file_is_written_or_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("mine")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "new").symlink_to("none")
    for name, said in {
        "folder": "Is a directory; name another file",
        "pipe": "a device or a pipe",
        "loop": "symbolic links; name another file",
        "file/a.csv": "a file is in the folder's place",
        "file/b/a.csv": "a file is in the folder's place",
    }.items():
        with pytest.raises(DataError, match=said), replacing(tmp_path / name):
            pass
    with pytest.raises(DataError, match="a device or a pipe"), replacing("/dev/null"):
        pass
    with replacing(tmp_path / "new") as temporary:
        temporary.write_text("whole")
    with (
        pytest.raises(DataError, match="a file is in the folder's place"),
        locked(tmp_path / "file"),
    ):
        pass
    names = {"folder", "file", "pipe", "loop", "new"}
    assert names == {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "file").read_text() == "mine"


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


def test_a_table_runs_nothing_in_a_spreadsheet_and_has_excels_mark(tmp_path):
    texts = ["=1+1", "+1.gif", "-4wsu.avi", "@SUM(1)", "\tx", "\rx", "＝1", "a=b", "é, ü", "\udcff"]
    write_table(tmp_path / "t.csv", {"text": texts, "score": [-0.123456, None, 1, *[0.5] * 7]})
    data = (tmp_path / "t.csv").read_bytes()
    assert data.startswith(
        b"\xef\xbb\xbftext,score\r\n'=1+1,-0.1235\r\n'+1.gif,\r\n'-4wsu.avi,1\r\n"
    )
    cells = [row[0] for row in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))][1:]
    assert cells == [*(f"'{text}" for text in texts[:7]), "a=b", "é, ü", "\\udcff"]


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
