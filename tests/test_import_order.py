"""The library is a pipeline: a module imports only modules above it, and only what is declared."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import v2t_lib

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings the same under its old name
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "v2t_lib"

#: The pipeline, top to bottom. A new module gets its place here and in CONTRIBUTING.md.
ORDER = [
    "specs",
    "catalogue",
    "errors",
    "whole",
    "records",
    "things",
    "shapes",
    "containers",
    "parts",
    "gifs",
    "pngs",
    "webps",
    "transfer",
    "downloads",
    "animations",
    "videos",
    "placeholders",
    "clips",
    "vocabulary",
    "diversity",
    "shards",
    "packing",
    "merging",
    "manifest",
    "shardlog",
    "judging",
    "fetched",
    "fetch",
    "coverage",
    "tgif",
    "pipeline",
    "devices",
    "conv_encoders",
    "frame_encoders",
    "encoders",
    "features",
    "attention",
    "decoder",
    "losses",
    "search",
    "pictures",
    "captions",
    "captioner",
    "warm_start",
    "checkpoints",
    "callbacks",
    "training",
    "ptb",
    "metrics",
    "meteor",
    "scoring",
    "published",
    "rewards",
    "self_critical",
    "faithfulness",
    "evaluation",
    "inspector",
    "panels",
    "curves",
    "workspace",
    "demo",
    "cli",
]

#: The modules that may touch TensorFlow: TFRecords and tf.data. All else is Keras or NumPy.
TENSORFLOW = {"shards", "pipeline"}

#: Down to here nothing loads Keras or TensorFlow on import: decoding processes start in no time.
LIGHT = ORDER[: ORDER.index("pipeline")]

#: Import names that differ from the distribution's.
DISTRIBUTIONS = {"PIL": "pillow", "tensorflow_io": "tensorflow-io"}

MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py")) if path.stem != "__init__"}


def imports_of(source: str) -> set[str]:
    """Every module that the source imports, in functions too, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, ["v2t_lib" if node.level else "", node.module]))
            if module == "v2t_lib":
                found |= {f"v2t_lib.{alias.name}" for alias in node.names}
            else:
                found.add(module)
    return found


def siblings_of(source: str) -> set[str]:
    """The modules of this library that the source imports."""
    names = [name.split(".") for name in imports_of(source) if name.split(".")[0] == "v2t_lib"]
    return {(parts + [""])[1] for parts in names} - {"__version__"}


def packages_of(source: str) -> set[str]:
    """The top-level packages from elsewhere that the source imports."""
    tops = {name.split(".")[0] for name in imports_of(source)}
    return tops - {"v2t_lib"} - set(sys.stdlib_module_names)


def distribution(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement).group().lower().replace("_", "-")


def test_the_reader_of_imports_sees_every_form():
    source = (
        "import os, keras.ops as k\n"
        "from v2t_lib import specs, __version__\n"
        "def f():\n    import v2t_lib.clips\n    from . import views\n"
        "    from .shards import pack\n    from v2t_lib.errors import V2TError\n"
        "class C:\n    def g(self):\n        from PIL import Image\n"
    )
    assert siblings_of(source) == {"specs", "clips", "views", "shards", "errors"}
    assert packages_of(source) == {"keras", "PIL"}
    assert siblings_of("import v2t_lib") == {""}


def test_every_module_has_its_place():
    assert len(set(ORDER)) == len(ORDER)
    assert set(MODULES) <= set(ORDER), "give new modules their place in ORDER"


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_modules_above_it(module):
    above = set(ORDER[: ORDER.index(module)])
    below = siblings_of(MODULES[module].read_text(encoding="utf-8")) - above
    assert not below, f"{module}.py imports {sorted(below)}, which are not above it in ORDER"


@pytest.mark.parametrize("module", MODULES)
def test_tensorflow_stays_where_tf_data_is(module):
    packages = packages_of(MODULES[module].read_text(encoding="utf-8"))
    if module not in TENSORFLOW:
        assert not packages & {"tensorflow", "tensorflow_io"}
    if module in LIGHT:
        assert "keras" not in packages


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_what_is_imported_is_declared():
    extras = project()["optional-dependencies"]
    wanted = [*project()["dependencies"], *extras["notebook"], *extras["remote"]]
    declared = {distribution(requirement) for requirement in wanted}
    for module, path in MODULES.items():
        packages = packages_of(path.read_text(encoding="utf-8"))
        used = {DISTRIBUTIONS.get(package, package).lower() for package in packages}
        assert used <= declared, f"{module}.py imports what pyproject.toml does not declare"


def test_requirements_txt_says_what_pyproject_says():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line.replace('"', "'") for line in lines if line and not line.startswith("#")}
    extras = project()["optional-dependencies"]
    assert listed == {*project()["dependencies"], *extras["notebook"], *extras["remote"]}


def loaded_by(code: str) -> str:
    """What a new process has loaded of the two heavy packages after running the code."""
    heavy = "print('heavy:', sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{heavy}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return run.stdout


def test_importing_the_library_loads_neither_tensorflow_nor_keras():
    assert loaded_by("import v2t_lib; dir(v2t_lib); v2t_lib.__version__") == "heavy: []\n"


def test_importing_the_data_side_loads_neither_tensorflow_nor_keras():
    light = ", ".join(f"v2t_lib.{module}" for module in LIGHT if module in MODULES)
    assert loaded_by(f"import {light}") == "heavy: []\n"


def test_help_loads_neither_tensorflow_nor_keras():
    code = """
import runpy
sys.argv = ["v2t", "--help"]
try:
    runpy.run_module("v2t_lib.cli", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    out = loaded_by(code)
    assert out.endswith("heavy: []\n")
    assert "caption" in out


def test_the_lazy_names_exist():
    for name in v2t_lib.__all__:
        assert getattr(v2t_lib, name) is not None
    for name, home in v2t_lib._HOMES.items():
        found = getattr(importlib.import_module(f"v2t_lib.{home}"), name)
        assert getattr(v2t_lib, name) is found
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = v2t_lib.nothing
