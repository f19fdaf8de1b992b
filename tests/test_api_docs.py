"""What `make docs` makes from docstrings: every page is there, and no warning is given."""

import os
import subprocess
import sys

import pytest
from helpers.project import ROOT

import v2t_lib

ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT) + os.pathsep + os.environ.get("PYTHONPATH", "")}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder with the pages, made by the command of `make docs`."""
    folder = tmp_path_factory.mktemp("api")
    command = [sys.executable, ROOT / "docs" / "api_pages.py", folder]
    made = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert made.returncode == 0, made.stderr
    return folder


def test_every_public_name_is_documented(pages):
    front = (pages / "v2t_lib.html").read_text(encoding="utf-8")
    for name in v2t_lib._HOMES:
        assert f'<section id="{name}">' in front, name
        assert (getattr(v2t_lib, name).__doc__ or "").strip(), name
    for home in (*v2t_lib._HOMES.values(), *v2t_lib._MODULES.values()):
        page = pages / "v2t_lib" / f"{home.replace('.', '/')}.html"
        assert page.stat().st_size > 2000, page
