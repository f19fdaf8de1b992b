"""The workspace: one folder in which each step finds what earlier steps made, or makes it."""

import dataclasses
import itertools
import os
from pathlib import Path
from typing import Any

import pandas as pd

from v2t_lib.captions_file import Record, check_apart, read_captions, select, split_records
from v2t_lib.datasets.registry import DATASETS, DataSet
from v2t_lib.errors import DataError
from v2t_lib.files import replacing
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.devices import gpus
from v2t_lib.models.saving import load
from v2t_lib.progress import log
from v2t_lib.shards.example import Example
from v2t_lib.shards.format import digest_of, is_finished
from v2t_lib.shards.pack import fetch, pack, warn_of_newer
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.training.recipe import Recipe
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.training.run_folder import BLIND_FILE, MODEL_FILE, Mirror
from v2t_lib.training.train import train

#: How clips without split lists of their own are split.
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}
#: A file of a run that says which of the workspace's data sets it was trained on.
DATA_FILE = "trained-on.txt"
QUICK_CLIPS, SMOKE_CLIPS = 5000, 150


def device() -> str:
    """What training will run on, in words; without a GPU also what that means."""
    found = gpus()
    if found:
        return f"{len(found)} GPU{'s' if len(found) > 1 else ''} ({', '.join(found)})"
    return (
        "No GPU: drawn clips train in minutes all the same; real clips need one. "
        "In Colab: Runtime > Change runtime type > T4 GPU."
    )


def drive_copies(wanted: bool) -> str:
    """Google Drive's folder for copies of runs, which Colab mounts here; "" unless `wanted`."""
    if not wanted:
        return ""
    try:
        from google.colab import drive
    except ImportError:
        raise ValueError(
            "expected Colab, which alone can mount Google Drive. Received: another machine; give "
            "`Workspace` a folder as `copy_to` instead"
        ) from None
    drive.mount("/content/drive")
    return "/content/drive/MyDrive/v2t-runs"


@dataclasses.dataclass(frozen=True)
class Workspace:
    """A folder for one data set: its clips, shards and trained model, made when first asked for.

    Args:
        dataset: A registered data set: "shapes", drawn here; "msvd", "msrvtt" or "tgif",
            downloaded; or "my_folder".
        root: Where everything goes.
        folder: For "my_folder": a folder with `captions.tsv`, and `train.txt`, `val.txt` and
            `test.txt` where the split is yours.
        recipe: How the model is built and trained; the data set's own when left out, "smoke" where
            `V2T_SMOKE=1`.
        clips: How many clips are drawn, or taken at most, 0 for all there are; the data set's
            usual number when left out. Another number is another folder in `root` and `copy_to`.
        quick: Take at most as many clips as show something in minutes.
        out: Where the model goes; into `root` when left out.
        copy_to: A second directory, on a mounted drive say, that gets a copy of the run as it
            grows, and from which a run that `root` lacks is restored.
        seed: Of the drawn data and of training.
    """

    dataset: str = "shapes"
    root: str | Path = "v2t-work"
    folder: str | Path = ""
    # None until `__post_init__` puts the data set's own in its place.
    recipe: Recipe = None  # type: ignore[assignment]
    clips: int = None  # type: ignore[assignment]
    quick: bool = False
    out: str | Path = ""
    copy_to: str | Path = ""
    seed: int = 0

    def __post_init__(self):
        kind, smoke = DATASETS[self.dataset], os.environ.get("V2T_SMOKE") == "1"
        kind(self.folder)  # refuses a folder without its captions file, before anything is made
        if self.recipe is None:
            recipe = recipes.get("smoke" if smoke else kind.recipe)
            object.__setattr__(self, "recipe", recipe)
        if self.clips is None:
            usual = min(kind.usual_clips, QUICK_CLIPS) if self.quick else kind.usual_clips
            object.__setattr__(self, "clips", usual)
        if smoke:
            object.__setattr__(self, "clips", min(self.clips or SMOKE_CLIPS, SMOKE_CLIPS))

    @property
    def source(self) -> DataSet:
        """The data set, as this workspace asks for it."""
        return DATASETS[self.dataset](folder=self.folder, clips=self.clips, seed=self.seed)

    @property
    def home(self) -> Path:
        """This data set's part of `root`; another size, seed or content is another data set."""
        spec, key = self.recipe.clip, self.source.key()
        name = f"{self.dataset}-{self.clips or 'all'}-{spec.frames}x{spec.height}"
        name += f"x{spec.width}" if spec.width != spec.height else ""
        name += f"-{key}" if key else ""
        return Path(self.root) / (f"{name}-seed{self.seed}" if self.seed else name)

    @property
    def data_home(self) -> Path:
        """Where the data set's own files go; a release that comes whole serves all clip sizes."""
        whole = self.source.fetchable and not self.source.remote
        return Path(self.root) / self.dataset if whole else self.home

    @property
    def trained_recipe(self) -> Recipe:
        """The recipe with this workspace's seed."""
        training = dataclasses.replace(self.recipe.training, seed=self.seed)
        return dataclasses.replace(self.recipe, training=training)

    @property
    def _recipe_key(self) -> str:
        """Eight hexadecimal digits of all that decides the model, beside its data."""
        recipe = self.trained_recipe.to_dict()
        for name in ("checkpoint_steps", "keep_checkpoints"):
            del recipe["training"][name]
        return digest_of(dict(sorted(recipe.items())))[:8]

    @property
    def run(self) -> Path:
        """Where the trained model lies; another recipe has another place."""
        return Path(self.out) if self.out else self.home / f"run-{self._recipe_key}"

    @property
    def copy(self) -> Path | None:
        """Where the copy of the run lies, one for every recipe, size and seed; None without."""
        name = f"{self.home.name}-{self._recipe_key}"
        return Path(self.copy_to) / name if self.copy_to else None

    def captions(self) -> Path:
        """The captions file; draws the clips, or downloads the release, where there is none yet."""
        source = self.source
        if source.fetchable:
            log.info(source.licence)
        return source.captions(self.data_home)

    def records(self) -> dict[str, list[Record]]:
        """Every split's clips; drawn data has a split "unseen" too."""
        captions = self.captions()
        records, lists = read_captions(captions), self.source.split_lists(captions)
        splits = {name: select(records, path) for name, path in lists.items()}
        check_apart(splits)
        if not splits:
            drawn = split_records(records, SHARES, self.seed)
            splits = {name: [r for r in drawn if r.split == name] for name in SHARES}
        # Of some of the clips, the same share of every split.
        share = min(1.0, self.clips / len(records)) if self.clips else 1.0
        return {name: of[: max(1, round(share * len(of)))] for name, of in splits.items()}

    def references(self, split: str = "test") -> dict[str, tuple[str, ...]]:
        """Every caption of a split's clips, repeated ones included, as scoring protocols count."""
        clips = {record.source for record in self.records()[split]}
        records = read_captions(self.captions(), keep_repeats=True)
        return {record.source: record.captions for record in records if record.source in clips}

    def shards(self, *names: str) -> dict[str, Path]:
        """The shards of these splits, of all if none is named; packs, or fetches, what is missing.

        Clips on this disk are packed from where they lie; fetched ones are kept in shards alone.
        """
        records, captions, folder = self.records(), self.captions(), self.home / "shards"
        splits = {name: records[name] for name in names or records}
        if self.source.remote:
            wanted = [record for split in splits.values() for record in split]
            fetch(wanted, captions, folder, spec=self.recipe.clip)
        else:
            ready = [split for split in splits if is_finished(folder / split)]
            if ready and self.source.key():
                log.info("%s: packed before from the same captions and clips", folder)
            for split in splits:
                if split not in ready:
                    pack(splits[split], captions, folder / split, self.recipe.clip)
                elif self.source.key():
                    warn_of_newer(folder / split, splits[split], captions)
        return {split: folder / split for split in splits}

    def examples(self, split: str = "test", count: int = 8) -> list[Example]:
        """The first clips of a split, as the model sees them."""
        examples = ShardDataset.open(self.shards(split)[split]).examples()
        return list(itertools.islice(examples, count))

    def train(self, callbacks=(), resume: bool = False, overwrite: bool = False) -> Captioner:
        """Trains a captioner and its blind twin into `run`, and loads the best weights.

        `resume` continues the run that is there, `overwrite` deletes it.
        """
        shards = self.shards()
        self._check_run(overwrite)
        recipe = self.trained_recipe
        stages: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "copy_to": self.copy}
        train(shards["train"], self.run, recipe, val=shards["val"], callbacks=callbacks, **stages)
        return load(self.run / MODEL_FILE)

    def _check_run(self, overwrite: bool = False) -> None:
        """Notes in the run what it is trained on and how, or refuses one of other data or another
        recipe."""
        note, now = self.run / DATA_FILE, f"{self.home.name}, recipe {self._recipe_key}"
        old = [self.home / "run", *([Path(self.copy_to) / self.home.name] if self.copy_to else [])]
        for path in filter(Path.exists, old):
            log.warning(
                "%s: a run of an earlier version, which doesn't say its recipe; it isn't used: "
                "v2t.load takes its model",
                path,
            )
        if note.exists() and not overwrite:
            before = note.read_text(encoding="utf-8").strip()
            if before == self.home.name:
                log.warning("%s: of an earlier version: its recipe is taken for this one", self.run)
            elif before != now:
                raise DataError(
                    f"{self.run}: expected a run trained on {now}. Received: one "
                    f"trained on {before}; name another `out` (--out), or train with overwrite=True"
                )
            return
        with replacing(note) as temporary:
            temporary.write_text(f"{now}\n", encoding="utf-8")

    def captioner(self, callbacks=()) -> Captioner:
        """The trained captioner, from `copy_to` where `run` lacks it; else trained, or trained on.

        Clips are needed only for training, with `callbacks`.
        """
        Mirror(self.run, self.copy).fetch()
        history = self.run / "history.csv"
        epochs = len(pd.read_csv(history)) if history.exists() and history.stat().st_size else 0
        if epochs >= self.recipe.training.epochs:
            self._check_run()
            return load(self.run / MODEL_FILE)
        return self.train(callbacks, resume=True)

    def blind(self) -> Captioner:
        """The blind twin of `captioner`."""
        self.captioner()
        return load(self.run / BLIND_FILE)
