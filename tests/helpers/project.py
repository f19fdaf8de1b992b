"""Where the repository's parts lie, and its address."""

from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest brings the same under its old name
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [
    "00_quickstart",
    "01_download_data",
    "02_gifs_to_tensors",
    "03_train_captioner",
    "04_inspect_attention",
    "05_score_captions",
    "06_caption_anything",
]
#: The one place where the repository's address stands; badges and set-up cells have to follow it.
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"][
    "Repository"
]
SLUG = REPOSITORY.removeprefix("https://github.com/")
