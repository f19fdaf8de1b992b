"""What do the embedded data's figures rest on?

    python benchmarks/ablation.py [--root runs/demo] [--full] [--epochs N] [--seeds 1] [VARIANT ...]

Trains the demo's captioner as it is, and with one thing changed at a time, on the demo's own data,
or the full run's, and prints caption accuracy and pointing on held-out clips: a row a run, and with
several seeds a row of their means. Seeds are of the weights and of the data's order.
"""

import argparse
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path

import v2t_lib  # noqa: F401  (sets TensorFlow up)

# isort: split
import keras
from keras import ops

from v2t_lib.demo import FULL_CLIPS
from v2t_lib.evaluation import predict
from v2t_lib.metrics.attention_faithfulness import pointed_words, pointing
from v2t_lib.metrics.texts import exact_match
from v2t_lib.models import captioner as captioner_module
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.encoders.conv3d import Conv3DEncoder
from v2t_lib.models.saving import load
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.text.vocabulary import Vocabulary
from v2t_lib.training.fit import fit
from v2t_lib.training.recipe import Recipe
from v2t_lib.training.recipes import registry as recipes
from v2t_lib.workspace import Workspace

FULL = recipes.get("shapes_full")


class StateAlone(AttentionDecoder):
    """The query is h alone, as in arXiv 1502.03044."""

    def _advance(self, embedded, state):
        query = ops.concatenate([ops.zeros_like(embedded), state.h], axis=-1)
        context, weights = self.attention(query, state.memory, keys=state.keys)
        _, (h, c) = self.cell(ops.concatenate([embedded, context], axis=-1), [state.h, state.c])
        return context, weights, state._replace(h=h, c=c)


@encoders.register_encoder("no_positions")
class NoPositions(Conv3DEncoder):
    """No position embeddings."""

    def build(self, input_shape):
        super().build(input_shape)
        for table in self.positions:
            table.assign(ops.zeros_like(table))
            table.trainable = False


@encoders.register_encoder("off_centre")
class OffCentre(Conv3DEncoder):
    """SAME padding in every stage, which shifts cell centres by up to half a cell."""

    def _last_stride(self):
        return -1


@encoders.register_encoder("long_kernels")
class LongKernels(Conv3DEncoder):
    """Strided temporal kernels of 3 as well, whose windows overlap."""

    def _unit(self, width, strides=(1, 1, 1), **options):
        unit = super()._unit(width, strides, **options)
        for conv in unit.convs:
            conv.kernel_size = (3, *conv.kernel_size[1:])
        return unit


@encoders.register_encoder("off_centre_long_kernels")
class OffCentreLongKernels(OffCentre, LongKernels):
    """Both: shifted centres and overlapping windows."""


@encoders.register_encoder("normalised_first")
class NormalisedFirst(Conv3DEncoder):
    """Batch normalisation in the first stage too."""

    def _unit(self, width, strides=(1, 1, 1), **options):
        return super()._unit(width, strides, **options | {"normalised": True})


@dataclasses.dataclass(frozen=True)
class Variant:
    """What is changed: a part of the model, or the recipe."""

    decoder: type = AttentionDecoder
    encoder: str = "conv3d"
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe


def without_residual(recipe: Recipe) -> Recipe:
    """The encoder with a smaller receptive field: no unit after a strided one."""
    options = recipe.encoder_options
    return dataclasses.replace(
        recipe, encoder_options=options | {"residual_from": len(options["widths"])}
    )


def with_ema(recipe: Recipe) -> Recipe:
    """The weights' exponential moving average, with the full run's momentum."""
    ema = FULL.training.ema
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, ema=ema))


def with_full_decoder(recipe: Recipe) -> Recipe:
    """The full run's decoder: wider, with dropout."""
    return dataclasses.replace(recipe, decoder=FULL.decoder)


VARIANTS = {
    "as it is": Variant(),
    "query of h alone": Variant(decoder=StateAlone),
    "no position embeddings": Variant(encoder="no_positions"),
    "cell centres shifted": Variant(encoder="off_centre"),
    "temporal kernels of 3": Variant(encoder="long_kernels"),
    "shifted, kernels of 3": Variant(encoder="off_centre_long_kernels"),
    "batch norm in the first stage": Variant(encoder="normalised_first"),
    "no residual units": Variant(change=without_residual),
    "EMA of the weights": Variant(change=with_ema),
    "wider decoder, dropout": Variant(change=with_full_decoder),
}


COLUMNS = ("  exact", " unseen", "colour, shape", "behaviour", "mass on object")


def trained(variant: Variant, recipe: Recipe, shards: dict[str, Path]) -> Captioner:
    """The variant's best weights."""
    captioner_module.AttentionDecoder = variant.decoder
    keras.utils.set_random_seed(recipe.training.seed)
    made = Captioner(
        recipe.clip,
        recipe.caption,
        Vocabulary.from_captions(ShardDataset.open(shards["train"]).captions()),
        encoders.get(variant.encoder, **recipe.encoder_options),
        dataclasses.asdict(recipe.decoder),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "variant.keras"
        fit(made, shards["train"], path, recipe.training, shards["val"])
        return load(path)


def figures(captioner: Captioner, shards: dict[str, Path]) -> list[float]:
    """Of greedy captions, in the order of `COLUMNS`."""
    words, exact = [], []
    for split in ("test", "unseen"):
        captions, references = [], []
        for example, caption, _ in predict(captioner, shards[split], 1):
            captions.append(caption.text)
            references.append(example.captions)
            words += pointed_words(caption, example.masks) if split == "test" else ()
        exact.append(exact_match(captions, references))
    scores = pointing(words)
    names = ("pointing", "pointing_behaviour", "mass_on_object")
    return [*exact, *(scores[name] for name in names)]


def show(name: str, row: list[float]) -> None:
    """Prints a line of the table."""
    cells = (f"{value:{len(column)}.1%}" for value, column in zip(row, COLUMNS, strict=True))
    print(f"{name:36} {'  '.join(cells)}", flush=True)


def main() -> None:
    """Prints a row a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="VARIANT", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--root", type=Path, default=Path("runs/demo"))
    parser.add_argument("--full", action="store_true", help="the full run's data and model")
    parser.add_argument("--epochs", type=int, help="the recipe's own when left out")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each variant")
    arguments = parser.parse_args()
    usual = FULL if arguments.full else recipes.get("shapes")
    shards = Workspace(
        root=arguments.root, recipe=usual, clips=FULL_CLIPS if arguments.full else None
    ).shards()
    epochs = arguments.epochs or usual.training.epochs
    training = dataclasses.replace(usual.training, epochs=epochs)
    print(f"{'':36} {'  '.join(COLUMNS)}")
    for name in arguments.names or VARIANTS:
        variant, rows = VARIANTS[name], []
        for seed in range(arguments.seeds):
            seeded = dataclasses.replace(usual, training=dataclasses.replace(training, seed=seed))
            rows.append(figures(trained(variant, variant.change(seeded), shards), shards))
            show(f"{name}, seed {seed}", rows[-1])
        if arguments.seeds > 1:
            show(f"{name}, mean", [sum(column) / len(rows) for column in zip(*rows, strict=True)])


if __name__ == "__main__":
    main()
