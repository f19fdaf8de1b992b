"""How long does the decoder take, forward and backward, and how many captions a second does it
write?

Batch 64, memory 196 x 512, hidden 512, attention 512, vocabulary 10,000, 20 tokens, float32. The
machine's best is the rate of a 4096 x 4096 matmul; most of the work is matmuls, the tanh over
64 x 196 x 512 values a step is not. The aims are for a machine with 216 GFLOP/s: a training step in
0.56 s and 265 captions a second greedily. A plain Keras loop of the same sizes is timed beside.

With weights drawn at random no caption ends before its 20th token. Captions that end after 9 words
on average, as those of MSR-VTT do, are timed too: a batch is done when its longest caption is.
"""

import v2t_lib  # noqa: F401  (sets TensorFlow up)

# isort: split
import functools

import keras
import numpy as np
from timing import matmul, medians

from v2t_lib.models.compiled import MANY_CLIPS, jit_from
from v2t_lib.models.decoder import AttentionDecoder
from v2t_lib.models.generation import beam, greedy
from v2t_lib.text.vocabulary import END
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

    def __init__(self, decoder, width, ends=False):
        super().__init__()
        self.decoder, self.width, self.ends = decoder, width, ends
        self.compile(jit_compile=XLA)

    def step(self, token, state):
        """The decoder's step; END is all but certain once the last column of `h` has come to 0."""
        if not self.ends:
            return self.decoder.step(token, state)
        h, left = state.h[..., :-1], state.h[..., -1:]
        logits, state, weights = self.decoder.step(token, state._replace(h=h))
        end = keras.ops.one_hot(END, WORDS)
        logits = logits + 1e4 * keras.ops.cast(left <= 0, "float32") * end
        return logits, state._replace(h=keras.ops.concatenate([state.h, left - 1], -1)), weights

    def call(self, inputs):
        memory, words = inputs
        state = self.decoder.start(memory)
        if self.ends:
            state = state._replace(h=keras.ops.concatenate([state.h, words[:, None]], -1))
        if self.width == 1:
            return greedy(self.step, state, LENGTH).tokens
        return beam(self.step, state, LENGTH, self.width).tokens


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
    words = np.clip(rng.normal(9, 3, BATCH).round(), 3, LENGTH - 1).astype("float32")
    writers = {
        "greedy": Writer(decoder, 1),
        "greedy, ending": Writer(decoder, 1, ends=True),
        "5 beams": Writer(decoder, 5),
        "5 beams, ending": Writer(decoder, 5, ends=True),
    }
    for name in ("greedy, ending", "5 beams, ending"):
        written = np.asarray(writers[name].predict_on_batch([inputs[1], words]))
        assert ((written > END).sum(1) <= words).all() and (written == END).any(1).all()
    seconds = medians(
        repeats=5,
        **{
            name: functools.partial(writer.predict_on_batch, [inputs[1], words])
            for name, writer in writers.items()
        },
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
        f"{seconds['both'] / seconds['plain']:.0%} of that"
    )
    print(f"aim for a step forward and backward, at this rate: {0.56 * 216 / rate:.2f} s")
    for name in writers:
        print(f"{name:22s} {BATCH / seconds[name]:.0f} captions/s")
    print(f"aim for greedy, at this rate: {265 * rate / 216:.0f} captions/s")


if __name__ == "__main__":
    main()
