"""How long does the decoder take, forward and backward, and how many captions a second does it
write?

Batch 64, memory 196 x 512, hidden 512, attention 512, vocabulary 10,000, 20 tokens, float32. The
machine's best is the rate of a 4096 x 4096 matmul; most of the work is matmuls, the tanh over
64 x 196 x 512 values a step is not. The aims are for a machine with about 430 GFLOP/s: a training
step in 0.5 s, 200 captions a second greedily, 60 with 5 beams.
"""

import keras
import numpy as np
from timing import matmul, medians

from v2t_lib.captioner import JIT_COMPILE
from v2t_lib.decoder import AttentionDecoder
from v2t_lib.losses import sequence_loss
from v2t_lib.search import beam, greedy

BATCH, LENGTH, CELLS, SIZE, WORDS, EMBEDDING = 64, 20, 196, 512, 10_000, 256


def operations() -> float:
    """Matmul operations, forward, a batch; backward takes twice as many."""
    look = (EMBEDDING + SIZE) * SIZE + 2 * CELLS * SIZE
    lstm = (EMBEDDING + 2 * SIZE) * 4 * SIZE
    output = 2 * SIZE * EMBEDDING + EMBEDDING * WORDS
    return 2 * BATCH * (LENGTH * (look + lstm + output) + CELLS * SIZE * SIZE)


class Writer(keras.Model):
    """Captions out of memories, as `Captioner.write` writes them."""

    def __init__(self, decoder, width):
        super().__init__()
        self.decoder, self.width = decoder, width
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, memory):
        state, batch = self.decoder.start(memory), keras.ops.shape(memory)[0]
        if self.width == 1:
            return greedy(self.decoder.step, state, batch, LENGTH).tokens
        return beam(self.decoder.step, state, batch, LENGTH, self.width).tokens


def main():
    tokens = keras.Input((LENGTH,), dtype="int32")
    memory = keras.Input((CELLS, SIZE))
    decoder = AttentionDecoder(WORDS, SIZE, EMBEDDING, SIZE)
    model = keras.Model([tokens, memory], decoder(tokens, memory)[0])
    model.compile(keras.optimizers.SGD(1e-3), loss=sequence_loss, jit_compile=JIT_COMPILE)
    rng = np.random.default_rng(0)
    inputs = [
        rng.integers(4, WORDS, (BATCH, LENGTH)).astype("int32"),
        rng.normal(size=(BATCH, CELLS, SIZE)).astype("float32"),
    ]
    targets = rng.integers(4, WORDS, (BATCH, LENGTH)).astype("int32")
    multiply, multiplications = matmul()
    writers = {width: Writer(decoder, width) for width in (1, 5)}
    seconds = medians(
        repeats=5,
        greedy=lambda: writers[1].predict_on_batch(inputs[1]),
        beam=lambda: writers[5].predict_on_batch(inputs[1]),
        forward=lambda: model.predict_on_batch(inputs),
        both=lambda: model.train_on_batch(inputs, targets),
        matmul=multiply,
    )
    rate = multiplications / seconds["matmul"] / 1e9
    print(f"limit: 4096 x 4096 float32 matmul at {rate:.0f} GFLOP/s")
    for name, work in (("forward", operations()), ("both", 3 * operations())):
        label = {"forward": "forward", "both": "forward and backward"}[name]
        own = work / seconds[name] / 1e9
        print(
            f"{label:22s} {seconds[name]:.3f} s a step, {work / 1e9:.0f} GFLOP, "
            f"{own:.0f} GFLOP/s, {own / rate:.0%} of the limit"
        )
    slower = 430 / rate
    print(f"aim for a step forward and backward, at this rate: {0.5 * slower:.2f} s")
    for name, aim in (("greedy", 200), ("beam", 60)):
        print(
            f"{name:22s} {BATCH / seconds[name]:.0f} captions/s (aim, at this rate: "
            f"{aim / slower:.0f})"
        )


if __name__ == "__main__":
    main()
