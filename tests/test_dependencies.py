"""What importing costs, and that what is imported is declared.

That imports run downwards is held by import-linter, in `make lint`.
"""

import ast
import importlib
import re
import sys

import pytest
from helpers.processes import loaded_by
from helpers.project import ROOT, tomllib

import v2t_lib

PACKAGE = ROOT / "v2t_lib"

#: Import names that differ from the distribution's.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "tensorflow_io": "tensorflow-io"}

#: What Colab's runtime alone has: no index has it, so nothing can declare it.
COLABS_OWN = {"v2t_lib.workspace": {"google"}}

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.stem not in ("__init__", "__main__")
}
#: What decoding processes and `v2t --help` start with: nothing here may load Keras or TensorFlow.
LIGHT = ("options", "progress", "cli", "training.recipe", "specs", "errors", "files",
         "captions_file", "text", "clips", "shards.example", "shards.format", "shards.slices",
         "shards.plan", "shards.pack", "shards.workers", "fetching", "datasets",
         "metrics.tables")  # fmt: skip


def packages_of(source: str) -> set[str]:
    """The packages from elsewhere that the source imports, in functions too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module)
    return {name.split(".")[0] for name in names} - {"v2t_lib"} - set(sys.stdlib_module_names)


def distribution(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement).group().lower().replace("_", "-")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_what_is_imported_is_declared():
    extras = project()["optional-dependencies"]
    names = ("notebook", "remote", "hub", "spark", "jax")
    wanted = [*project()["dependencies"], *(r for name in names for r in extras[name]), "py4j"]
    declared = {distribution(requirement) for requirement in wanted}
    for module, path in MODULES.items():
        packages = packages_of(path.read_text(encoding="utf-8"))
        used = {DISTRIBUTIONS.get(p, p).lower().replace("_", "-") for p in packages}
        used -= COLABS_OWN.get(module, set())
        assert used <= declared, f"{module} imports what pyproject.toml does not declare"


def test_requirements_txt_says_what_pyproject_says():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line.replace('"', "'") for line in lines if line and not line.startswith("#")}
    extras = project()["optional-dependencies"]
    assert listed == {*project()["dependencies"], *extras["notebook"], *extras["remote"]}


def test_importing_the_library_and_the_data_side_loads_neither_tensorflow_nor_keras():
    light = ", ".join(m for m in MODULES if m.removeprefix("v2t_lib.").startswith(LIGHT))
    code = f"import v2t_lib; dir(v2t_lib); v2t_lib.__version__\nimport {light}"
    assert loaded_by(code) == "heavy: []\n"


def test_the_lazy_names_exist():
    assert {*v2t_lib._HOMES, *v2t_lib._MODULES, "__version__"} == set(v2t_lib.__all__)
    for name in v2t_lib.__all__:
        assert getattr(v2t_lib, name) is not None
    for name, home in v2t_lib._HOMES.items():
        found = getattr(importlib.import_module(f"v2t_lib.{home}"), name)
        assert getattr(v2t_lib, name) is found
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = v2t_lib.nothing


def test_type_checkers_read_the_same_names_from_the_same_places():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and not node.orelse
                and isinstance(node.test, ast.Name))  # fmt: skip
    read = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in block.body
        for alias in node.names
    }
    homes = {name: (f"v2t_lib.{home}", name) for name, home in v2t_lib._HOMES.items()}
    modules = {
        name: tuple(f"v2t_lib.{home}".rsplit(".", 1)) for name, home in v2t_lib._MODULES.items()
    }
    assert read == homes | modules
