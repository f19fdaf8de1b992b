"""The wheel, installed where this checkout is out of sight: it imports, trains and captions."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest
from helpers.project import ROOT, tomllib


def run(*command, cwd, **environment) -> str:
    """A command's stdout, without what the tests' own environment says of Python."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=inherited | environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built from the source distribution, in which nothing of older builds lies about."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def new_environment(folder: Path, python: str = sys.executable) -> Path:
    """Makes a virtual environment; returns its folder of programs."""
    run(python, "-m", "venv", folder, cwd=folder.parent)
    return folder / "bin"


def try_out(programs: Path, folder: Path) -> None:
    """What a newcomer does first, on few clips: import, `v2t demo`, `v2t caption`."""
    python, v2t, quick = programs / "python", programs / "v2t", {"V2T_SMOKE": "1"}
    code = "import v2t_lib; print(v2t_lib.__file__)"
    assert programs.parent in Path(run(python, "-c", code, cwd=folder).strip()).parents
    scores = json.loads(run(v2t, "demo", "--out", "demo", "--json", cwd=folder, **quick))
    assert scores["clips"] > 0 and scores["loss"] > 0
    assert (folder / "demo" / "report.html").stat().st_size > 10_000
    gif, model = min(folder.rglob("data/test-?????.gif")), folder / "demo" / "captioner.keras"
    caption = json.loads(run(v2t, "caption", gif, "--model", model, "--json", cwd=folder))
    assert caption["file"] == str(gif) and len(caption["words"]) == len(caption["caption"].split())


@pytest.mark.wheel
def test_the_wheel_is_whole(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    kinds, library = ("*.py", "*.html", "py.typed"), ROOT / "v2t_lib"
    files = {path.relative_to(ROOT).as_posix() for kind in kinds for path in library.rglob(kind)}
    assert "v2t_lib/py.typed" in files and files <= names
    assert not any(name.startswith(("tests", "benchmarks", "build")) for name in names)


@pytest.mark.wheel
def test_it_works_beside_the_packages_of_this_environment(wheel, tmp_path):
    programs = new_environment(tmp_path / "env")
    run(programs / "python", "-m", "pip", "install", "--no-deps", wheel, cwd=tmp_path)
    code = "import site; print(site.getsitepackages()[0])"
    theirs = Path(run(programs / "python", "-c", code, cwd=tmp_path).strip())
    # A path file's folder is searched for packages alone: this checkout, a path file there, isn't.
    (theirs / "packages.pth").write_text(str(Path(numpy.__file__).parents[1]))
    try_out(programs, tmp_path)


@pytest.mark.oldest
def test_it_works_with_the_oldest_packages_allowed(wheel, tmp_path):
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    lowest = [re.match(r"[\w-]+>=[\d.]+", need) for need in needs]
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(low[0].replace(">=", "==") for low in lowest if low))
    programs = new_environment(tmp_path / "env")
    run(programs / "python", "-m", "pip", "install", "-c", constraints, wheel, cwd=tmp_path)
    run(programs / "python", "-m", "pip", "check", cwd=tmp_path)
    try_out(programs, tmp_path)


@pytest.mark.versions
@pytest.mark.parametrize(
    ("python", "tensorflow"),
    [("3.10", "2.17"), ("3.11", "2.18"), ("3.12", "2.19"), ("3.13", "2.20"), ("3.13", "2.21")],
)
def test_it_works_on_every_python_and_tensorflow(python, tensorflow, wheel, tmp_path):
    programs = new_environment(tmp_path / "env", f"python{python}")
    packages = [wheel, f"tensorflow=={tensorflow}.*"]
    run(programs / "python", "-m", "pip", "install", *packages, cwd=tmp_path)
    run(programs / "python", "-m", "pip", "check", cwd=tmp_path)
    try_out(programs, tmp_path)
