import keras
import numpy as np
import pytest
import tiny

from v2t_lib import encoders
from v2t_lib.specs import ClipSpec

SMALL = {"widths": (8, 12), "strides": ((1, 2, 2), (2, 2, 2)), "residual_from": 1}


@pytest.mark.parametrize("name", ["conv3d", "r2plus1d"])
@pytest.mark.parametrize("spec", [ClipSpec(4, 16, 16), ClipSpec(5, 18, 31)])
def test_memory_fits_the_grid(name, spec):
    encoder = encoders.get(name, **SMALL)
    clips = np.random.default_rng(0).integers(0, 256, (2, *spec.shape), dtype=np.uint8)
    memory = encoder(clips)
    steps, rows, columns = encoder.grid(spec)
    assert tuple(memory.shape) == (2, steps * rows * columns, 12)
    assert encoder.compute_output_shape((2, *spec.shape)) == tuple(memory.shape)


def test_tgif_size_has_196_cells():
    assert encoders.get("conv3d").grid(ClipSpec(16, 112, 112)) == (4, 7, 7)


def test_factorised_convolutions_have_fewer_weights():
    whole, split = (encoders.get(name, **SMALL) for name in ("conv3d", "r2plus1d"))
    for encoder in (whole, split):
        encoder.build((None, *tiny.CLIP.shape))
    kernels = [[w.shape for w in e.weights if len(w.shape) == 5] for e in (whole, split)]
    assert all(tuple(shape[:3]) == (3, 3, 3) for shape in kernels[0] if shape[0] != 1)
    assert {tuple(shape[:3]) for shape in kernels[1] if shape[-2:] != (1, 12)} >= {
        (1, 3, 3),
        (3, 1, 1),
    }
    assert split.count_params() < whole.count_params()


def test_cells_are_in_row_major_order_and_local():
    """A change in one corner of one frame moves the cells of that corner and time most."""
    encoder = encoders.get("conv3d", widths=(8,), strides=((2, 4, 4),), residual_from=1)
    clip = np.full((1, 4, 16, 16, 3), 100, np.uint8)
    plain = np.asarray(encoder(clip))
    clip[0, 3, 14, 1] = 255  # time 1 of 2, row 3 of 4, column 0 of 4
    moved = np.abs(np.asarray(encoder(clip)) - plain).sum(-1)[0].reshape(2, 4, 4)
    assert np.unravel_index(moved.argmax(), moved.shape) == (1, 3, 0)
    assert moved[0, 0, 3] == 0


def test_positions_tell_equal_cells_apart():
    encoder = encoders.get("conv3d", widths=(8,), strides=((2, 4, 4),), residual_from=1)
    memory = np.asarray(encoder(np.zeros((1, 8, 32, 32, 3), np.uint8)))[0].reshape(4, 8, 8, 8)
    # Away from the borders every cell sees the same nothing.
    assert np.abs(memory[1, 3, 3] - memory[2, 3, 3]).max() > 1e-3
    assert np.abs(memory[1, 3, 3] - memory[1, 3, 4]).max() > 1e-3


def test_residual_adds_the_input():
    unit = encoders.ConvUnit(3, residual=True)
    x = np.abs(np.random.default_rng(0).normal(size=(1, 2, 4, 4, 3))).astype("float32")
    unit.build(x.shape)
    unit.convs[0].set_weights([np.zeros((3, 3, 3, 3, 3))])
    np.testing.assert_allclose(np.asarray(unit(x)), x, rtol=1e-5)
    with pytest.raises(ValueError, match="Received"):
        encoders.ConvUnit(4, residual=True).build((1, 2, 4, 4, 3))


def test_blind_sees_nothing():
    encoder = encoders.get("blind", memory_size=5)
    assert encoder.grid(tiny.CLIP) == (1, 1, 1)
    np.testing.assert_array_equal(np.asarray(encoder(tiny.frames(3))), np.zeros((3, 1, 5)))


@pytest.mark.parametrize("name", encoders.ENCODERS)
def test_config_round_trip(name):
    encoder = encoders.get(name)
    again = type(encoder).from_config(encoder.get_config())
    assert again.get_config() == encoder.get_config()
    assert again.memory_size == encoder.memory_size


def test_unknown_names_and_uneven_configs_are_refused():
    with pytest.raises(ValueError, match=r"conv3d.*Received: 'vit'"):
        encoders.get("vit")
    with pytest.raises(ValueError, match="2 widths, 1 strides"):
        encoders.get("conv3d", widths=(8, 8), strides=((1, 2, 2),))


def test_mixed_precision_computes_in_half_and_keeps_float32_weights():
    encoder = encoders.get("conv3d", **SMALL, dtype="mixed_bfloat16")
    memory = encoder(tiny.frames(1))
    assert keras.backend.standardize_dtype(memory.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(w.dtype) for w in encoder.weights} == {"float32"}
