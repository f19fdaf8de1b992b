"""What does pointing rest on?

    python benchmarks/pointing_ablation.py [--root runs/demo] [--epochs 8]

Trains the demo's captioner as it is, and without one of its parts at a time, on the demo's own
data, and prints caption accuracy and pointing on held-out clips.
"""

import argparse
import dataclasses
import tempfile
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
from v2t_lib.workspace import RECIPES, Workspace


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


def without_residual(options: dict) -> dict:
    """The encoder with a smaller receptive field: no unit after the last strided one."""
    return options | {"residual_from": len(options["widths"])}


def main() -> None:
    """Prints a row a variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("runs/demo"))
    parser.add_argument("--epochs", type=int, default=RECIPES["shapes"].training.epochs)
    arguments = parser.parse_args()
    recipe = RECIPES["shapes"]
    shards = Workspace(root=arguments.root, recipe=recipe).shards()
    vocabulary = Vocabulary.from_captions(read_captions_of(shards["train"]))
    options = dataclasses.replace(recipe.training, epochs=arguments.epochs)
    usual = recipe.encoder_options
    variants = {
        "as it is": (AttentionDecoder, encoders.Conv3DEncoder, usual, 0.0),
        "query without the last word": (StateAlone, encoders.Conv3DEncoder, usual, 0.0),
        "no position embeddings": (AttentionDecoder, NoPlaces, usual, 0.0),
        "no residual unit": (
            AttentionDecoder,
            encoders.Conv3DEncoder,
            without_residual(usual),
            0.0,
        ),
        "doubly stochastic, 0.1": (AttentionDecoder, encoders.Conv3DEncoder, usual, 0.1),
    }
    print(f"{'':30} exact  colour, shape  behaviour  mass on object")
    for name, (decoder, encoder, encoder_options, doubly) in variants.items():
        captioner_module.AttentionDecoder = decoder
        encoders.ENCODERS["conv3d"] = encoder
        keras.utils.set_random_seed(0)
        made = Captioner(
            recipe.clip,
            recipe.caption,
            vocabulary,
            encoder(**encoder_options),
            recipe.decoder_options,
            doubly_stochastic=doubly,
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "variant.keras"
            fit(made, shards["train"], path, options, shards["val"])
            predictions = predict(load(path), shards["test"], 1)
        exact = sum(p.matches(p.greedy, p.example) for p in predictions) / len(predictions)
        scores = pointing([p.greedy for p in predictions], [p.example.masks for p in predictions])
        print(
            f"{name:30} {exact:.1%}  {scores['pointing']:13.1%}  "
            f"{scores['pointing_behaviour']:9.1%}  {scores['mass_on_object']:.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
