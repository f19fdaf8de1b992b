"""What the machine can't do is one sentence and exit code 1; a name never stops a batch."""

import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from subprocess import PIPE

import pytest
from helpers.clips import write_gif
from helpers.project import ROOT

from v2t_lib.cli import caption as caption_command
from v2t_lib.cli.main import main
from v2t_lib.errors import ClipError


@pytest.fixture
def failing(monkeypatch):
    """Makes `v2t caption` fail with an error."""

    def fail(error):
        def run(args):
            raise error

        monkeypatch.setattr(caption_command, "run_caption", run)

    return fail


SYSTEM = (
    (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device; what is fini"),
    (OSError(errno.EROFS, os.strerror(errno.EROFS), "/ro/x.tmp"), "write /ro/x. .*name a folder"),
    (IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), "a", None, "b"), "write b. "),
    (ModuleNotFoundError("No module named 'torch'", name="torch"), "KERAS_BACKEND, which is torch"),
    (MemoryError(), "enough memory. Received: less"),
    (ValueError("Unable to import backend : cntk"), "jax, torch. .*cntk; set KERAS_"),
    (RuntimeError("CUDA out of memory. Tried to allocate"), "smaller batches, fewer beams"),
)


@pytest.mark.parametrize(("error", "said"), SYSTEM)
def test_an_error_is_one_sentence_unless_debugging(error, said, failing, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    failing(error)
    assert main(["caption", "x.gif", "--model", "m.keras"]) == 1
    printed = capsys.readouterr().err
    assert re.search(said, printed) and printed.count("\n") == 1
    with pytest.raises(type(error)):
        main(["caption", "x.gif", "--model", "m.keras", "--debug"])


def replaced(*lines: str) -> str:
    """A program that is `v2t recipes` with another body."""
    body = "".join(f"    {line}\n" for line in lines)
    return (
        f"import sys; from v2t_lib.cli import listings, main\ndef run(args):\n    'Ends.'\n{body}"
        "listings.run_recipes = run\nsys.exit(main.main(['recipes']))"
    )


def test_a_reader_that_has_read_enough_ends_it_quietly():
    code = replaced("return [print('x' * 1000) for _ in range(10_000)] and 0")
    script = f'{sys.executable} -c "$1" | head -1 > /dev/null; exit ${{PIPESTATUS[0]}}'
    run = subprocess.run(
        ["bash", "-c", script, "-", code], capture_output=True, text=True, cwd=ROOT
    )
    assert (run.stderr, run.returncode) == ("", 128 + signal.SIGPIPE)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("ignored", [False, True])
def test_a_program_that_is_interrupted_ends_as_one(number, ignored, tmp_path):
    code = replaced(
        "import time",
        f"try: print('begun', flush=True); time.sleep({1 if ignored else 60})",
        f"finally: open({str(tmp_path / 'closed')!r}, 'w').write('closed')",
        "return 0",
    ).replace("main.main(['recipes'])", "main.main()")
    first = [f"trap '' {number.name}"] if ignored else []
    command = ["bash", "-c", "; ".join([*first, 'exec "$0" -c "$1" recipes']), sys.executable, code]
    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "begun\n"
        process.send_signal(number)
        said = process.stderr.read()
    assert (tmp_path / "closed").exists()
    assert (process.returncode, said) == (
        (0, "") if ignored else (-number, "v2t recipes: stopped\n")
    )


@pytest.mark.parametrize("arguments", [["--version"], ["recipes"], ["recipes", "--help"]])
def test_python_without_docstrings_runs_every_module(arguments):
    run = subprocess.run(
        [sys.executable, "-OO", "-m", "v2t_lib", *arguments], capture_output=True, cwd=ROOT
    )
    assert run.returncode == 0 and run.stdout and not run.stderr


def test_home_folders_and_standard_input_are_named_as_in_a_shell(monkeypatch, tmp_path, capsys):
    given = []

    def run(args):
        given.append(args)
        return 0

    monkeypatch.setattr(caption_command, "run_caption", run)
    monkeypatch.setenv("HOME", str(tmp_path))
    command = ["caption", "-", "~/a.gif", "~", "--model=~/m.keras", "--hedge", "~", "--html=~/p"]
    assert main(command) == 0
    (args,) = given
    assert args.files == ["/dev/stdin", f"{tmp_path}/a.gif", "~"] and args.hedge == "~"
    assert (args.model, args.html) == (tmp_path / "m.keras", tmp_path / "p")
    with pytest.raises(SystemExit):
        main(["caption", "a.gif", "--model", "m.keras", "--table", "-"])
    assert "expected a path for --table. Received: -" in capsys.readouterr().err


@pytest.mark.parametrize("flags", ["caption a --html", "caption a --table", "inspect a --out"])
def test_output_that_cannot_be_written_is_refused_before_any_work(flags, tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        main([*flags.split(), str(tmp_path), "--model", "none.keras"])
    assert error.value.code == 2 and "Is a directory; name another file" in capsys.readouterr().err


@pytest.mark.usefixtures("no_java")
def test_figures_come_before_a_table_that_cannot_be_written(tmp_path, capsys):
    rows = "a.gif\ta red star\nb.gif\ta blue cross\n"
    (tmp_path / "c.tsv").write_text(rows)
    (tmp_path / "out.csv").mkdir()
    files = [str(tmp_path / "c.tsv")] * 2
    assert main(["score", *files, "--json", "--per-clip", str(tmp_path / "out.csv")]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["clips"] == 2
    assert printed.err.strip().splitlines()[-1].startswith("v2t score: ")


@pytest.mark.parametrize("damage", ["flip", "gone"])
def test_a_damaged_shard_is_named(damage, drawn_shards, tmp_path, capsys):
    shutil.copytree(drawn_shards / "train", tmp_path / "bad")
    (path,) = (tmp_path / "bad").glob("*.tfrecord")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    if damage == "gone":
        path.unlink()
    options = ["--out", str(tmp_path / "run"), "--epochs", "1", "--batch", "8"]
    assert main(["train", str(tmp_path / "bad"), *options]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "00000.tfrecord" in said and "pack again" in said and "{{" not in said


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_name_stops_a_batch(encoding, model, tmp_path, monkeypatch):
    names = ["a.gif", "caf\udce9.gif", "猫.gif", "a\tb\n.gif", "-dash.gif", "--json.gif", "z.gif"]
    for name in names:
        write_gif(tmp_path / "one.gif", 1)
        (tmp_path / "one.gif").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["caption", "--model", str(model), *names]) == 0
    out.seek(0)
    lines = out.read().splitlines()
    assert len(lines) == len(names) and all(line.count("\t") == 1 for line in lines)
    assert lines[1].startswith("caf\\udce9.gif\t") and lines[3].startswith("a\\tb\\n.gif\t")
    page = tmp_path / "page.html"
    assert main(["inspect", "--out", str(page), "--model", str(model), *names]) == 0
    assert page.stat().st_size > 1000


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_password_is_used_and_never_printed(flags, model, tmp_path, monkeypatch, capsys):
    write_gif(tmp_path / "a.gif", 1)
    asked = []

    def read_source(source):
        asked.append(source)
        if source.endswith("b.gif"):
            raise ClipError("gone", "expected a clip. Received: HTTP 404")
        return (tmp_path / "a.gif").read_bytes()

    for module in ("fetching.download", "cli.inspect"):
        monkeypatch.setattr(f"v2t_lib.{module}.read_source", read_source)
    urls = [f"http://me:secret@host/{name}.gif" for name in "ab"]
    assert main(["caption", "--model", str(model), *flags, *urls]) == 1
    page = str(tmp_path / "page.html")
    assert main(["inspect", "--model", str(model), "--out", page, *urls]) == 1
    printed = capsys.readouterr()
    assert asked == 2 * urls and "http://host/a.gif" in printed.out
    assert "secret" not in printed.out + printed.err + (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_streams_that_the_shell_closed_change_nothing_else(closed, tmp_path):
    code = replaced(
        "print('a result'); print('a note', file=sys.stderr)",
        "with open('written', 'w') as file: file.write('whole')",
        "return 0",
    )
    closing = " ".join(f"{number}>&-" for number in closed)
    command = ["sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, code]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment)
    assert (run.returncode, (tmp_path / "written").read_text()) == (0, "whole")
    assert run.stdout.strip() == (b"" if 1 in closed else b"a result")
    assert run.stderr.strip() == (b"" if 2 in closed else b"a note")
