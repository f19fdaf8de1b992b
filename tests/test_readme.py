"""What README says to type works as printed, on less data."""

import re
import shlex
from pathlib import Path

import pytest
from helpers.project import NAMES, REPOSITORY, ROOT, SLUG

from v2t_lib.cli.main import main

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language, section):
    text = README.split(f"## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


@pytest.mark.notebook
def test_every_line_works(tmp_path, monkeypatch, no_java):
    """Those of "`v2t` in ten lines" on less data, then those of "From Python" on their results."""
    monkeypatch.chdir(tmp_path)
    lines = blocks("sh", "`v2t` in ten lines")[0].splitlines()
    assert len(lines) < 11
    for line in lines:
        less = line.replace("--clips 2000", "--clips 60").replace("--epochs 5", "--epochs 1")
        program, *arguments = shlex.split(less, comments=True)
        assert program == "v2t" and main(arguments) == 0, line
    assert Path("page.html").stat().st_size > 10_000
    assert len(Path("predictions.tsv").read_text().splitlines()) == 5
    (code,) = blocks("python", "From Python")
    code = code.replace("runs/demo", "runs/first").replace("my.gif", "data/test-00000.gif")
    names = {}
    exec(code, names)
    caption = names["caption"]
    assert caption.attention.shape[0] == len(caption.words)
    assert Path("heat.gif").read_bytes()[:4] == b"GIF8"


def test_the_notebooks_table_is_whole():
    rows = re.findall(r"^\| \[(\w+)\]\(notebooks/(\w+)\.ipynb\) .*github/(\S+)/blob", README, re.M)
    assert rows == [(name, name, SLUG) for name in NAMES]
    assert REPOSITORY.endswith(SLUG)


def test_links_and_pictures_are_there():
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(((?!http)[^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), (page.name, link)


def test_readme_is_short_and_names_every_page():
    assert len(README.splitlines()) < 200
    for page in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{page.name})" in README


def test_make_targets_are_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.M):
        assert re.search(rf"^{target}:", makefile, re.M), target
