"""A captioner's two ways to caption, each as a Keras model, so that Keras compiles it."""

import keras

from v2t_lib.models.generation import SearchResult, forced

#: XLA makes Conv3D several times slower on CPUs; on JAX it is the only compiler.
JIT_COMPILE = keras.backend.backend() == "jax"


class CompiledSearch(keras.Model):
    """`Captioner.generate` with a beam of `width`: uint8 clips to a `SearchResult`."""

    def __init__(self, captioner: keras.Model, width: int):
        super().__init__()
        self.captioner, self.width = captioner, width
        self.built = True  # else Keras would, on JAX, build it by running the search eagerly
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, clips) -> SearchResult:
        return self.captioner.generate(clips, self.width)


class CompiledTeacherForcing(keras.Model):
    """Scores given sentences: uint8 clips and int32 `(batch, L + 1)` tokens to a `SearchResult`."""

    def __init__(self, captioner: keras.Model):
        super().__init__()
        self.captioner = captioner
        self.built = True
        self.compile(jit_compile=JIT_COMPILE)

    def call(self, inputs) -> SearchResult:
        clips, tokens = inputs
        logits, weights = self.captioner.decoder(tokens[:, :-1], self.captioner.encoder(clips))
        return forced(logits, weights, tokens[:, 1:])
