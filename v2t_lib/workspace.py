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
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training.train import BLIND_FILE, MODEL_FILE, TrainingOptions, train

#: How a folder of clips without split lists of its own is cut, by clip.
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How much data, what the model sees of it, and how it is built and trained.

    Attributes:
        clips: How many clips are drawn, or fetched at most; 0 for all there are.
        clip: What clips are decoded to.
        caption: How long captions get.
        training: How to train.
        encoder: A name in `encoders.ENCODERS`.
        encoder_options: Keyword arguments of the encoder.
        decoder_options: Keyword arguments of `AttentionDecoder`.
    """

    clips: int
    clip: ClipSpec
    caption: CaptionSpec
    training: TrainingOptions
    encoder: str = "conv3d"
    encoder_options: dict = dataclasses.field(default_factory=dict)
    decoder_options: dict = dataclasses.field(default_factory=dict)


_DRAWN = Recipe(
    clips=8000,
    clip=ClipSpec(frames=8, height=48, width=48),
    caption=CaptionSpec(length=14),
    training=TrainingOptions(epochs=8, batch_size=32, learning_rate=3e-3),
    encoder_options={
        "widths": (32, 48, 96),
        "strides": ((2, 2, 2), (1, 2, 2), (1, 2, 2)),
        "residual_from": 1,
    },
    decoder_options={"units": 160, "embedding_size": 64, "attention_units": 64},
)
_REAL = Recipe(
    clips=0,
    clip=ClipSpec(frames=16, height=112, width=112),
    caption=CaptionSpec(length=20, min_count=3),
    training=TrainingOptions(epochs=10, batch_size=32),
)
#: What each data set of the notebooks is made with.
RECIPES = {"shapes": _DRAWN, "tgif": dataclasses.replace(_REAL, clips=5000), "my_folder": _REAL}
#: What `v2t demo --full` takes an hour for: more clips, a wider model, averaged weights.
FULL = dataclasses.replace(
    _DRAWN,
    clips=24_000,
    training=TrainingOptions(epochs=12, batch_size=32, learning_rate=3e-3, ema=0.998),
    decoder_options={"units": 256, "embedding_size": 96, "attention_units": 96, "dropout": 0.1},
)
#: Enough to show something in minutes.
QUICK = dataclasses.replace(_DRAWN, clips=5000)
#: Enough for every line to run, and no more.
SMOKE = dataclasses.replace(
    _DRAWN,
    clips=150,
    clip=ClipSpec(frames=4, height=24, width=24),
    training=TrainingOptions(epochs=2, batch_size=16, learning_rate=3e-3),
)


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
        recipe: Sizes; those of `RECIPES` when left out, `SMOKE` where `V2T_SMOKE=1`.
        quick: Whether drawn clips are only as many as show something in minutes.
        out: Where the model goes; into `root` when left out.
        copy_to: A second directory, on a mounted drive say, that gets a copy of the run as it
            grows, and from which a run comes back that `root` lacks.
        seed: Of the drawn data and of training.
    """

    dataset: str = "shapes"
    root: str | Path = "v2t-work"
    folder: str | Path = ""
    recipe: Recipe | None = None
    quick: bool = False
    out: str | Path = ""
    copy_to: str | Path = ""
    seed: int = 0

    def __post_init__(self):
        if self.dataset not in RECIPES:
            raise DataError(
                f"expected a data set among {', '.join(RECIPES)}. Received: {self.dataset!r}"
            )
        if self.dataset == "my_folder" and not (Path(self.folder) / "captions.tsv").is_file():
            raise DataError(
                "expected `folder` to hold captions.tsv, one `source<TAB>caption` a row. "
                f"Received: {str(self.folder)!r}"
            )
        usual = QUICK if self.quick and self.dataset == "shapes" else RECIPES[self.dataset]
        recipe = self.recipe or (SMOKE if smoke() else usual)
        object.__setattr__(self, "recipe", recipe)

    @property
    def home(self) -> Path:
        """This data set's part of `root`; another size or seed is another data set."""
        spec = self.recipe.clip
        name = f"{self.dataset}-{self.recipe.clips or 'all'}-{spec.frames}x{spec.height}"
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
        return path if path.exists() else write_shapes(path.parent, self.recipe.clips, self.seed)

    def records(self) -> dict[str, list[Record]]:
        """Every split's clips; the drawn data has a split "unseen" too."""
        captions = self.captions()
        records = read_captions(captions)
        lists = {path.stem: path for path in sorted(captions.parent.glob("*.txt"))}
        if not lists.keys() >= SHARES.keys():
            split = split_records(records, SHARES, self.seed)
            return {name: [r for r in split if r.split == name] for name in SHARES}
        # For a share of a real data set, the same share of every split.
        share = min(1.0, self.recipe.clips / len(records)) if self.dataset == "tgif" else 1.0
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
        shards, recipe = self.shards(), self.recipe
        train(
            shards["train"],
            self.run,
            val=shards["val"],
            encoder=recipe.encoder,
            encoder_options=recipe.encoder_options,
            decoder_options=recipe.decoder_options,
            caption_spec=recipe.caption,
            options=dataclasses.replace(recipe.training, seed=self.seed),
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
