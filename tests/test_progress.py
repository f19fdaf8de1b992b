"""Quiet by default: bars on terminals only, messages through `logging`."""

import io
import logging
import subprocess
import sys
import textwrap

import pytest
from helpers.project import ROOT

from v2t_lib import progress
from v2t_lib.cli.main import main
from v2t_lib.progress import Progress, keras_verbosity, log


class Terminal(io.StringIO):
    def isatty(self):
        return True


def progressed(monkeypatch, stream, seconds=0.05):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "LOG_SECONDS", seconds)
    import time

    for _ in Progress(range(5), "work", unit="clip", file=stream):
        time.sleep(0.03)
    return stream.getvalue()


def test_a_bar_is_for_terminals_and_a_log_gets_a_line_now_and_then(monkeypatch):
    bar = progressed(monkeypatch, Terminal())
    assert bar.count("\r") > 2 and "work: 100%" in bar
    lines = progressed(monkeypatch, io.StringIO())
    assert "\r" not in lines and 1 <= lines.count("\n") <= 3 and lines.startswith("work: ")
    assert progressed(monkeypatch, io.StringIO(), seconds=30) == ""


class Logger:
    """What some programs put in the place of stderr."""

    def __init__(self):
        self.written = ""

    def write(self, text):
        self.written += text

    def flush(self):
        pass


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [None, Logger(), closed()])
def test_any_standard_error_will_do_or_none(stream, monkeypatch):
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)
    for name in ("stderr", "stdout"):
        monkeypatch.setattr(sys, name, stream)
    log.info("told")
    assert list(Progress(range(3), "work")) == [0, 1, 2]
    assert keras_verbosity() == (0 if stream is None else 2)
    if isinstance(stream, Logger):
        assert stream.written.startswith("told\n") and "work: " in stream.written


def test_a_bar_leaves_the_program_around_as_it_was():
    """Neither a thread, nor the way in which it starts processes."""
    code = """
        import multiprocessing, sys, threading
        from v2t_lib.progress import Progress
        list(Progress(range(3)))
        print(threading.active_count(), multiprocessing.get_start_method(allow_none=True))"""
    run = [sys.executable, "-c", textwrap.dedent(code)]
    printed = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    assert printed == "1 None\n"


def test_messages_go_through_logging(monkeypatch, capsys):
    log.info("told")
    assert capsys.readouterr().err == "told\n"
    log.setLevel(logging.WARNING)
    log.info("not told")
    assert capsys.readouterr().err == "" and keras_verbosity() == 0
    assert progressed(monkeypatch, Terminal()) == ""
    log.setLevel(logging.INFO)


@pytest.mark.usefixtures("eager")
def test_quiet_training_says_nothing_but_its_result(drawn_shards, tmp_path, capsys):
    command = ["train", str(drawn_shards / "train"), "--out", str(tmp_path / "run"), "--quiet"]
    command += ["--epochs", "1", "--batch", "48", "--encoder", "blind", "--length", "4"]
    command += ["--units", "24"]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert printed.err == "" and printed.out == f"{tmp_path / 'run' / 'captioner.keras'}\n"
    assert main([*command, "--quiet"]) == 1  # there is a run: what fails is said
    assert "expected a folder without a run" in capsys.readouterr().err
    assert log.level == logging.INFO
