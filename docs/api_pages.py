"""Makes the pages on the library's modules, classes and functions from their docstrings.

python docs/api_pages.py FOLDER; a docstring or annotation that pdoc can't read is an error.
"""

import pkgutil
import sys
import warnings
from pathlib import Path

import pdoc

import v2t_lib


def make_pages(folder: Path) -> None:
    """Writes `index.html`, a page a module and a search index into `folder`."""
    # pdoc finds only names that are loaded.
    vars(v2t_lib).update({name: getattr(v2t_lib, name) for name in v2t_lib.__all__})
    pdoc.render.configure(docformat="google", show_source=False)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="pdoc")
        # A package whose public names are listed is documented by these alone.
        below = [module.name for module in pkgutil.iter_modules(v2t_lib.__path__, "v2t_lib.")]
        pdoc.pdoc("v2t_lib", *below, output_directory=folder)


if __name__ == "__main__":
    make_pages(Path(sys.argv[1]))
