"""Chromium, and Notebook 6 and JupyterLab 4 to run cells in."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from helpers.project import ROOT

FRONT_ENDS = {
    "notebook6": ["-m", "notebook", "--NotebookApp.token="],
    "lab": ["-m", "jupyterlab", "--IdentityProvider.token=", "--expose-app-in-browser"],
}


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or pytest.fail("expected Chromium on the path; install it")
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Opens a page; no page may have an error at the end of the test."""
    contexts, errors = [], []

    def opened(url, **options):
        contexts.append(chromium.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def _served(name, folder):
    """A running server of a front end, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = {key: str(folder / key) for key in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")}
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    # One environment a front end, made beside the one that runs the tests.
    python = Path(sys.prefix) / name / "bin" / "python"
    command = [python, *FRONT_ENDS[name], "--allow-root", "--no-browser", f"--port={port}"]
    with open(folder / "server.log", "w") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=os.environ | home | paths
        )
    for _ in range(300):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=5).close()
            break
        except OSError:
            assert server.poll() is None, (folder / "server.log").read_text()
            time.sleep(0.1)
    return server, f"http://127.0.0.1:{port}"


@pytest.fixture(params=FRONT_ENDS)
def notebook(request, tmp_path, visit):
    """A front end's name, and its page with a notebook of the module's `CELLS`, which run."""
    blank = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cells = [blank | {"id": f"c{n}", "source": s} for n, s in enumerate(request.module.CELLS)]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": cells}
    (tmp_path / "cells.ipynb").write_text(json.dumps(book))
    name = request.param
    server, url = _served(name, tmp_path)
    path = "notebooks" if name == "notebook6" else "lab/tree"
    page = visit(f"{url}/{path}/cells.ipynb", viewport={"width": 1200, "height": 3000})
    page.set_default_timeout(120_000)
    if name == "notebook6":
        page.wait_for_function("() => window.Jupyter?.notebook?.kernel?.is_connected()")
        page.wait_for_timeout(1000)
        page.evaluate("() => void Jupyter.notebook.execute_all_cells()")
    else:
        page.wait_for_selector(".jp-Notebook .jp-CodeCell")
        page.get_by_text("| Idle").wait_for()
        page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    yield name, page
    if "V2T_SCREENSHOTS" in os.environ:
        picture = f"{request.module.__name__}-{name}.png"
        page.screenshot(path=Path(os.environ["V2T_SCREENSHOTS"]) / picture)
    server.terminate()
    server.wait(20)
