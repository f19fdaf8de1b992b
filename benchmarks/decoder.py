"""How long does the decoder take, forward and backward, and how many captions a second does it
write?

Batch 64, memory 196 x 512, hidden 512, attention 512, vocabulary 10,000, 20 tokens, float32. The
machine's best is the rate of a 4096 x 4096 matmul; most of the work is matmuls, the tanh over
64 x 196 x 512 values a step is not. The aims are for a machine with about 430 GFLOP/s: a training
step in 0.5 s, 200 captions a second greedily, 60 with 5 beams. There a plain Keras loop of the same
sizes takes 0.56 s a step; it is timed beside.
"""

import v2t_lib  # noqa: F401  (sets TensorFlow up)

# isort: split
import keras
import numpy as np
from timing import matmul, medians

from v2t_lib.models.beam_search import beam
from v2t_lib.models.compiled import MANY_CLIPS, jit_from
from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.generation import greedy
from v2t_lib.training.losses import sequence_loss

#: Whether XLA compiles, as it does where a decoder is much used.
XLA = jit_from(MANY_CLIPS, MANY_CLIPS)
BATCH, LENGTH, CELLS, SIZE, WORDS, EMBEDDING = 64, 20, 196, 512, 10_000, 256


def operations() -> float:
    """Matmul operations, forward, a batch; backward takes twice as many."""
    look = (EMBEDDING + SIZE) * SIZE + 2 * CELLS * SIZE
    lstm = (EMBEDDING + 2 * SIZE) * 4 * SIZE
    output = 2 * SIZE * EMBEDDING + EMBEDDING * WORDS
    return 2 * BATCH * (LENGTH * (look + lstm + output) + CELLS * SIZE * SIZE)


class PlainLoop(keras.Model):
    """The same decoder as one writes it first: all that a word needs in the loop, but for keys."""

    def __init__(self):
        super().__init__()
        dense = keras.layers.Dense
        self.embedding = keras.layers.Embedding(WORDS, EMBEDDING)
        self.cell = keras.layers.LSTMCell(SIZE)
        self.start_h, self.start_c = dense(SIZE, "tanh"), dense(SIZE, "tanh")
        self.W_q, self.W_k, self.v = dense(SIZE), dense(SIZE), dense(1)
        self.output_h, self.output_z = dense(EMBEDDING), dense(EMBEDDING)
        self.vocabulary = dense(WORDS)

    def call(self, inputs):
        tokens, memory = inputs
        embedded, keys, logits = self.embedding(tokens), self.W_k(memory), []
        mean = keras.ops.mean(memory, axis=1)
        h, c = self.start_h(mean), self.start_c(mean)
        for position in range(LENGTH):
            word = embedded[:, position]
            query = self.W_q(keras.ops.concatenate([word, h], axis=-1))[:, None]
            weights = keras.ops.softmax(self.v(keras.ops.tanh(query + keys)), axis=1)
            context = keras.ops.sum(weights * memory, axis=1)
            _, (h, c) = self.cell(keras.ops.concatenate([word, context], axis=-1), [h, c])
            deep = keras.ops.tanh(word + self.output_h(h) + self.output_z(context))
            logits.append(self.vocabulary(deep))
        return keras.ops.stack(logits, axis=1)


class Writer(keras.Model):
    """Captions out of memories, as `Captioner.generate` writes them."""

    def __init__(self, decoder, width):
        super().__init__()
        self.decoder, self.width = decoder, width
        self.compile(jit_compile=XLA)

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
    model.compile(keras.optimizers.SGD(1e-3), loss=sequence_loss, jit_compile=XLA)
    plain = PlainLoop()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    plain.compile(keras.optimizers.SGD(1e-3), loss=loss, jit_compile=XLA)
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
        plain=lambda: plain.train_on_batch(inputs, targets),
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
    print(
        f"{'plain Keras loop':22s} {seconds['plain']:.3f} s a step; ours takes "
        f"{seconds['both'] / seconds['plain']:.0%} of that (aim {0.5 / 0.56:.0%})"
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
