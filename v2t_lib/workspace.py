"""The workspace: one folder in which a step finds what the steps before it made, or makes it."""

import dataclasses
import itertools
import os
import sys
from pathlib import Path

import keras
import pandas as pd

from v2t_lib.captions_file import Record, read_captions, select, split_records
from v2t_lib.datasets.shapes import write_shapes
from v2t_lib.datasets.tgif import LICENCE, get_release
from v2t_lib.errors import DataError
from v2t_lib.fetching.fetch import fetch
from v2t_lib.models.captioner import Captioner, load
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import Example, iter_examples
from v2t_lib.training.recipe import RECIPES, Recipe
from v2t_lib.training.train import BLIND_FILE, MODEL_FILE, train

#: How a folder of clips without split lists of its own is cut, by clip.
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


#: The recipe of each data set.
RECIPE_OF = {"shapes": "shapes", "tgif": "tgif", "my_folder": "folder"}
#: How many clips are drawn, or fetched at most; 0 for all there are.
CLIPS = {"shapes": 8000, "tgif": 5000, "my_folder": 0}
QUICK_CLIPS, SMOKE_CLIPS = 5000, 150


def smoke() -> bool:
    """Whether notebooks only have to show that they run: `V2T_SMOKE=1`."""
    return os.environ.get("V2T_SMOKE") == "1"


def device() -> str:
    """What training will run on, in words; without a GPU also what that means."""
    gpus = keras.distribution.list_devices("gpu")
    if gpus:
        return f"{len(gpus)} GPU{'s' if len(gpus) > 1 else ''} ({', '.join(map(str, gpus))})"
    return (
        "No GPU: the embedded data trains in minutes all the same; real clips want one. "
        "In Colab: Runtime > Change runtime type > T4 GPU."
    )


@dataclasses.dataclass(frozen=True)
class Workspace:
    """A folder for one data set: its clips, shards and trained model, made when first asked for.

    Args:
        dataset: "shapes", drawn here; "tgif", fetched; or "my_folder", clips that you have.
        root: Where everything goes.
        folder: For "my_folder": a folder with `captions.tsv`, and `train.txt`, `val.txt` and
            `test.txt` where the split is yours.
        recipe: How the model is built and trained; the data set's own when left out, "smoke" where
            `V2T_SMOKE=1`.
        clips: How many clips are drawn, or fetched at most, 0 for all there are; the data set's
            usual number when left out.
        quick: Draw only as many clips as show something in minutes.
        out: Where the model goes; into `root` when left out.
        copy_to: A second directory, on a mounted drive say, that gets a copy of the run as it
            grows, and from which a run comes back that `root` lacks.
        seed: Of the drawn data and of training.
    """

    dataset: str = "shapes"
    root: str | Path = "v2t-work"
    folder: str | Path = ""
    recipe: Recipe | None = None
    clips: int | None = None
    quick: bool = False
    out: str | Path = ""
    copy_to: str | Path = ""
    seed: int = 0

    def __post_init__(self):
        if self.dataset not in RECIPE_OF:
            raise DataError(
                f"expected a data set among {', '.join(RECIPE_OF)}. Received: {self.dataset!r}"
            )
        if self.dataset == "my_folder" and not (Path(self.folder) / "captions.tsv").is_file():
            raise DataError(
                "expected `folder` to hold captions.tsv, one `source<TAB>caption` a row. "
                f"Received: {str(self.folder)!r}"
            )
        if self.recipe is None:
            name = "smoke" if smoke() else RECIPE_OF[self.dataset]
            object.__setattr__(self, "recipe", RECIPES[name])
        if self.clips is None:
            usual = QUICK_CLIPS if self.quick and self.dataset == "shapes" else CLIPS[self.dataset]
            object.__setattr__(self, "clips", SMOKE_CLIPS if smoke() else usual)

    @property
    def home(self) -> Path:
        """This data set's part of `root`; another size or seed is another data set."""
        spec = self.recipe.clip
        name = f"{self.dataset}-{self.clips or 'all'}-{spec.frames}x{spec.height}"
        return Path(self.root) / (f"{name}-seed{self.seed}" if self.seed else name)

    @property
    def run(self) -> Path:
        """Where the trained model lies."""
        return Path(self.out) if self.out else self.home / "run"

    def captions(self) -> Path:
        """The captions file; draws the clips, or gets TGIF's release, where there is none yet."""
        if self.dataset == "my_folder":
            return Path(self.folder) / "captions.tsv"
        if self.dataset == "tgif":
            print(LICENCE, file=sys.stderr)
            return get_release(self.home)[0]
        path = self.home / "data" / "captions.tsv"
        return path if path.exists() else write_shapes(path.parent, self.clips, self.seed)

    def records(self) -> dict[str, list[Record]]:
        """Every split's clips; the drawn data has a split "unseen" too."""
        captions = self.captions()
        records = read_captions(captions)
        lists = {path.stem: path for path in sorted(captions.parent.glob("*.txt"))}
        if not lists.keys() >= SHARES.keys():
            split = split_records(records, SHARES, self.seed)
            return {name: [r for r in split if r.split == name] for name in SHARES}
        # For a share of a real data set, the same share of every split.
        share = min(1.0, self.clips / len(records)) if self.dataset == "tgif" else 1.0
        chosen = {name: select(records, path) for name, path in lists.items()}
        return {
            name: of_split[: max(1, round(share * len(of_split)))]
            for name, of_split in chosen.items()
        }

    def shards(self) -> dict[str, Path]:
        """Every split's shards; packs, or fetches and packs, what isn't there yet.

        Drawn clips and yours are packed from where they lie; TGIF's are not kept.
        """
        folder = self.home / "shards"
        if self.dataset == "tgif":
            records = [record for split in self.records().values() for record in split]
            fetch(records, self.captions(), folder, spec=self.recipe.clip)
            return {split: folder / split for split in SHARES}
        shards = {}
        for split, records in self.records().items():
            shards[split] = folder / split
            if not (folder / split / "dataset.json").exists():
                pack(records, self.captions(), folder / split, self.recipe.clip)
        return shards

    def examples(self, split: str = "test", count: int = 8) -> list[Example]:
        """The first clips of a split, as the model sees them."""
        return list(itertools.islice(iter_examples(self.shards()[split]), count))

    def train(self, callbacks=(), resume: bool = False) -> Captioner:
        """Trains a captioner and its blind twin into `run`, and loads the best weights."""
        shards = self.shards()
        options = dataclasses.replace(self.recipe.training, seed=self.seed)
        train(
            shards["train"],
            self.run,
            dataclasses.replace(self.recipe, training=options),
            val=shards["val"],
            resume=resume,
            copy_to=Path(self.copy_to) / self.home.name if self.copy_to else None,
            callbacks=callbacks,
        )
        return load(self.run / MODEL_FILE)

    def captioner(self, callbacks=()) -> Captioner:
        """The trained captioner; trains it first, with `callbacks`, where there is none."""
        history = self.run / "history.csv"
        epochs = len(pd.read_csv(history)) if history.exists() and history.stat().st_size else 0
        if epochs >= self.recipe.training.epochs:
            return load(self.run / MODEL_FILE)
        return self.train(callbacks, resume=True)

    def blind(self) -> Captioner:
        """The blind twin of `captioner`."""
        self.captioner()
        return load(self.run / BLIND_FILE)
