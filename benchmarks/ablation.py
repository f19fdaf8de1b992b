"""What do the embedded data's figures rest on?

    python benchmarks/ablation.py [--root runs/demo] [--epochs 8] [VARIANT ...]

Trains the demo's captioner as it is, and with one thing changed at a time, on the demo's own data,
and prints caption accuracy and pointing on held-out clips, a row a variant. One run each: two runs
that differ in nothing but their seed lie up to two points apart.
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

from v2t_lib import captioner as captioner_module
from v2t_lib import encoders
from v2t_lib.captioner import Captioner, load
from v2t_lib.decoder import AttentionDecoder
from v2t_lib.evaluation import predict
from v2t_lib.faithfulness import pointing
from v2t_lib.pipeline import read_captions_of
from v2t_lib.training import fit
from v2t_lib.vocabulary import Vocabulary
from v2t_lib.workspace import FULL, RECIPES, Recipe, Workspace


class StateAlone(AttentionDecoder):
    """The attention asks with the LSTM's state only, as in arXiv 1502.03044."""

    def _advance(self, embedded, state):
        query = ops.concatenate([ops.zeros_like(embedded), state.h], axis=-1)
        context, weights = self.attention(query, state.memory, keys=state.keys)
        _, (h, c) = self.cell(ops.concatenate([embedded, context], axis=-1), [state.h, state.c])
        return context, weights, state._replace(h=h, c=c)


@keras.saving.register_keras_serializable("ablation")
class NoPlaces(encoders.Conv3DEncoder):
    """Cells don't know where and when they are, but for what padding tells them."""

    def build(self, input_shape):
        super().build(input_shape)
        for table in self.positions:
            table.assign(ops.zeros_like(table))
            table.trainable = False


@keras.saving.register_keras_serializable("ablation")
class OffCentre(encoders.Conv3DEncoder):
    """Cells see what lies around a point half a cell away, as "same" padding alone has it."""

    def _last_stride(self):
        return -1


@dataclasses.dataclass(frozen=True)
class Variant:
    """What is changed: a part of the model, or the recipe."""

    decoder: type = AttentionDecoder
    encoder: type = encoders.Conv3DEncoder
    doubly_stochastic: float = 0.0
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe


def without_residual(recipe: Recipe) -> Recipe:
    """The encoder with a smaller receptive field: no unit after a strided one."""
    options = recipe.encoder_options
    return dataclasses.replace(
        recipe, encoder_options=options | {"residual_from": len(options["widths"])}
    )


def with_average(recipe: Recipe) -> Recipe:
    """The weights' moving average, as long as the full run's."""
    average = FULL.training.average
    return dataclasses.replace(
        recipe, training=dataclasses.replace(recipe.training, average=average)
    )


def with_full_decoder(recipe: Recipe) -> Recipe:
    """The full run's decoder: wider, with dropout."""
    return dataclasses.replace(recipe, decoder_options=FULL.decoder_options)


VARIANTS = {
    "as it is": Variant(),
    "query without the last word": Variant(decoder=StateAlone),
    "no position embeddings": Variant(encoder=NoPlaces),
    "cells off centre": Variant(encoder=OffCentre),
    "no residual units": Variant(change=without_residual),
    "doubly stochastic, 0.1": Variant(doubly_stochastic=0.1),
    "averaged weights": Variant(change=with_average),
    "wider decoder, dropout": Variant(change=with_full_decoder),
}


def trained(variant: Variant, recipe: Recipe, shards: dict[str, Path]) -> Captioner:
    """The variant's best weights."""
    captioner_module.AttentionDecoder = variant.decoder
    encoders.ENCODERS["conv3d"] = variant.encoder
    keras.utils.set_random_seed(0)
    made = Captioner(
        recipe.clip,
        recipe.caption,
        Vocabulary.from_captions(read_captions_of(shards["train"])),
        variant.encoder(**recipe.encoder_options),
        recipe.decoder_options,
        doubly_stochastic=variant.doubly_stochastic,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "variant.keras"
        fit(made, shards["train"], path, recipe.training, shards["val"])
        return load(path)


def main() -> None:
    """Prints a row a variant."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="VARIANT", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--root", type=Path, default=Path("runs/demo"))
    parser.add_argument("--epochs", type=int, default=RECIPES["shapes"].training.epochs)
    arguments = parser.parse_args()
    usual = RECIPES["shapes"]
    shards = Workspace(root=arguments.root, recipe=usual).shards()
    usual = dataclasses.replace(
        usual, training=dataclasses.replace(usual.training, epochs=arguments.epochs)
    )
    print(f"{'':30} exact  unseen  colour, shape  behaviour  mass on object")
    for name in arguments.names or VARIANTS:
        captioner = trained(VARIANTS[name], VARIANTS[name].change(usual), shards)
        predictions = predict(captioner, shards["test"], 1)
        exact, unseen = (
            sum(p.matches(p.greedy, p.example) for p in rows) / len(rows)
            for rows in (predictions, predict(captioner, shards["unseen"], 1))
        )
        scores = pointing([p.greedy for p in predictions], [p.example.masks for p in predictions])
        print(
            f"{name:30} {exact:.1%}  {unseen:6.1%}  {scores['pointing']:13.1%}  "
            f"{scores['pointing_behaviour']:9.1%}  {scores['mass_on_object']:.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
