"""The notebooks: in one form, as Colab wants them, and running from the first cell to the last."""

import json
import os
import re
import sys

import pytest
from helpers.notebook_form import canonical
from helpers.project import NAMES, PATHS, REPOSITORY, ROOT, SLUG

#: Switches that mean the same in every notebook; the last from 03 on, where models are.
SWITCHES = (
    'DATASET = "shapes"  # @param ["shapes", "msvd", "msrvtt", "tgif", "my_folder"]',
    'MY_FOLDER = ""  # @param {type:"string"}',
    'ROOT = "v2t-work"  # @param {type:"string"}',
    'TGIF_CLIPS = 5000  # @param {type:"integer"}',
    'ON_DRIVE = False  # @param {type:"boolean"}',
)


def cells_of(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def lines_of_code(path):
    return [
        line
        for cell in cells_of(path, "code")
        for line in source(cell).splitlines()
        if line.strip()
    ]


def test_notebooks_are_numbered_from_0():
    assert NAMES and [int(name[:2]) for name in NAMES] == list(range(len(NAMES)))


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
class TestNotebook:
    def test_form_and_size(self, path):
        text = path.read_text(encoding="utf-8")
        assert text == canonical(json.loads(text)), (
            f"run python tests/helpers/notebook_form.py {path}"
        )
        assert len(text.encode()) < 1_500_000
        assert len(lines_of_code(path)) <= 300

    def test_metadata(self, path):
        metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
        assert metadata["accelerator"] == "GPU" and "widgets" not in metadata
        assert metadata["colab"] == {"gpuType": "T4", "provenance": [], "toc_visible": True}
        assert metadata["kernelspec"]["name"] == "python3"

    def test_badge_and_times_stand_first(self, path):
        first = source(cells_of(path, "markdown")[0])
        url = f"https://colab.research.google.com/github/{SLUG}/blob/main/notebooks/{path.name}"
        assert first.startswith("# ") and f"({url})" in first
        assert re.search("minute", first)
        assert source(cells_of(path, "markdown")[-1]).startswith("**What you have now**")

    def test_one_setup_and_one_parameters_cell(self, path):
        code = cells_of(path, "code")
        assert source(code[0]) == source(cells_of(PATHS[0], "code")[0])
        assert source(code[0]).startswith(
            "# @title"
        ) and f'"v2t_lib[lite] @ git+{REPOSITORY}"' in source(code[0])
        assert code[0]["metadata"] == {"cellView": "form"}
        tagged = [cell for cell in code if "parameters" in cell["metadata"].get("tags", [])]
        assert tagged == code[1:2]
        assert all("# @param" in line for line in source(code[1]).splitlines())
        for line in SWITCHES[: len(SWITCHES) if path.name >= "03" else -1]:
            assert line in source(code[1]).splitlines()

    def test_every_workspace_gets_the_switches(self, path):
        """So that each notebook finds the shards and the run that another made."""
        code = "\n".join(lines_of_code(path))
        options = "clips=clips" + (", copy_to=copy_to" if path.name >= "03" else "")
        calls = re.findall(r"v2t\.Workspace\((.*?)\)", code)
        assert calls and all(f"DATASET, ROOT, MY_FOLDER, {options}" in call for call in calls)
        assert code.count('clips = TGIF_CLIPS if DATASET == "tgif" else None') == len(calls)
        assert ("copy_to = drive_copies(ON_DRIVE)" in code) == (path.name >= "03")

    def test_nothing_that_belongs_to_one_machine(self, path):
        for cell in cells_of(path, "code"):
            assert all(output["output_type"] != "error" for output in cell["outputs"])
            assert not re.search(r"""["' (](/home|/root|/tmp|/Users|[A-Z]:\\)""", json.dumps(cell))

    def test_links_lead_somewhere(self, path):
        for cell in cells_of(path, "markdown"):
            for link in re.findall(r"\]\(([\w./-]+)\)", source(cell)):
                assert (path.parent / link).exists(), link


def test_what_the_formulae_of_the_notebooks_say_is_asserted_in_them():
    code = "\n".join(lines_of_code(ROOT / "notebooks" / "03_train_captioner.ipynb"))
    assert "np.testing.assert_allclose(np.asarray(weights), alpha" in code
    assert "np.testing.assert_allclose(float(v2t.sequence_loss(targets, logits)), by_hand" in code


@pytest.mark.notebook
@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_runs_alone_from_the_first_cell_to_the_last(path, tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("V2T_SMOKE", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert list((tmp_path / "v2t-work").iterdir())
