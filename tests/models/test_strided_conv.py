"""Strided convolutions in blocks: the layer's own result, and no slow gradient where it counts."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from v2t_lib.models.encoders.conv_unit import ConvUnit
from v2t_lib.models.encoders.strided_conv import in_blocks


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("size", "kernel", "strides"),
    [
        ((4, 8, 8), (3, 3, 3), (1, 2, 2)),
        ((8, 9, 7), (2, 3, 3), (2, 2, 2)),
        ((3, 11, 10), (2, 3, 3), (2, 3, 1)),
        ((5, 6, 6), (1, 1, 5), (3, 3, 2)),
    ],
)
def test_in_blocks_is_the_convolution(size, kernel, strides, bias):
    """As it is linear in the input and in the kernel, so are the gradients."""
    keras.utils.set_random_seed(0)
    conv = layers.Conv3D(
        6, kernel, strides, padding="same", use_bias=bias, bias_initializer="normal"
    )
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = ops.convert_to_numpy(conv(x))
    found = ops.convert_to_numpy(in_blocks(conv, ops.convert_to_tensor(x)))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.jax
def test_no_gradient_by_jax_on_a_cpu_has_spread_inputs():
    """XLA computes such a convolution in a plain loop, at a hundredth of a CPU's rate."""
    import jax

    unit = ConvUnit(4, (1, 2, 2), pad_before=True)
    x = np.ones((1, 4, 8, 8, 3), "float32")
    unit.build(x.shape)
    values = [variable.value for variable in unit.trainable_variables]
    rest = [variable.value for variable in unit.non_trainable_variables]

    def total(values, x):
        return unit.stateless_call(values, rest, x, training=True)[0].sum()

    text = jax.jit(jax.grad(total, (0, 1))).lower(values, x).as_text()
    assert "stablehlo.convolution" in text and "lhs_dilate = [1, 2, 2]" not in text
    assert "stride = [1, 2, 2]" not in text
