import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.processes import loaded_by
from helpers.registries import forget_afterwards

from v2t_lib.errors import ModelError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.encoders import frame
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.encoders.conv3d import ConvUnit
from v2t_lib.models.encoders.grid import GridEncoder
from v2t_lib.models.saving import load, save
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


FRAMES = (
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_v2_b0",
    "efficientnet_lite0",
    "convnext_tiny",
)
if keras.backend.backend() != "tensorflow":  # elsewhere each is compiled for ten seconds
    FRAMES = ("efficientnet_lite0",)
PICTURES = ClipSpec(3, 47, 64)


@pytest.mark.parametrize(
    ("name", "stride"), [("mobilenet_v3_small", 16), *((n, 32) for n in FRAMES)]
)
def test_frame_encoders_fit_their_grid_and_take_features(name, stride):
    encoder = encoders.get(name, weights=None, width=8, frozen=True, stride=stride)
    encoder.build((None, *PICTURES.shape))
    clips = np.random.default_rng(0).integers(0, 256, (1, *PICTURES.shape), dtype=np.uint8)
    features = np.asarray(encoder.features(clips[0]))[None]
    steps, rows, columns = encoder.grid(PICTURES)
    assert features.shape[1:] == tuple(encoder.feature_shape)
    floors = name == "convnext_tiny"
    assert (
        (steps, rows, columns)
        == (3, *encoder.feature_shape[1:3])
        == (3, 47 // stride + (not floors), 64 // stride)
    )
    memory = np.asarray(encoder(clips))
    assert memory.shape == (1, steps * rows * columns, 8)
    assert tuple(encoder.compute_output_shape((None, *PICTURES.shape))) == (None, *memory.shape[1:])
    np.testing.assert_allclose(np.asarray(encoder(features)), memory, rtol=1e-4, atol=1e-4)


def test_the_head_keeps_frames_apart_unless_it_spans_several():
    features = np.random.default_rng(0).normal(size=(1, 4, 1, 1, 1280)).astype("float32")
    other = features.copy()
    other[:, 3] = 0
    for temporal, reached in ((1, [3]), (3, [2, 3])):
        encoder = encoders.get("efficientnet_lite0", width=8, temporal=temporal)
        encoder.build((None, 4, 32, 32, 3))
        change = np.asarray(encoder(other)) - np.asarray(encoder(features))
        assert np.flatnonzero(np.abs(change).sum((0, 2)) > 1e-6).tolist() == reached


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("vit", {}, r"conv3d.*Received: 'vit'"),
        ("conv3d", {"frozen": True}, r"of conv3d among widths, .*residual_from\. .*: frozen"),
        ("conv3d", {"widths": 3}, r"of conv3d like its own, .*Received: {'widths': 3}"),
        ("conv3d", {"widths": (8, 8), "strides": ((1, 2, 2),)}, "2 widths, 1 strides"),
        ("mobilenet_v3_small", {"frozen": True, "weights": "random"}, "'random', frozen=True"),
        ("mobilenet_v3_small", {"components": 16}, r"a network that is trained.*: 16"),
        ("mobilenet_v3_small", {"stride": 24}, r"has cells\. Received: 24, 2x3 cells"),
    ],
)
def test_names_and_options_that_are_none_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        encoders.get(name, **options).build((None, 1, 47, 64, 3))


def test_a_frozen_network_computes_in_half_precision_on_a_gpu(monkeypatch):
    monkeypatch.setattr(frame, "gpus", lambda: ["gpu:0"])
    policies = []
    for frozen in (True, False):
        encoder = encoders.get("efficientnet_lite0", weights=None, width=8, frozen=frozen)
        encoder.build((None, 1, 32, 32, 3))
        policies.append((encoder.backbone.layers[2].compute_dtype, encoder.head.compute_dtype))
        # head, normalisation and position embeddings learn
        assert (len(encoder.trainable_variables) == 2 + 2 + 3) is frozen
    assert policies == [("float16", "float32"), ("float32", "float32")]
    assert keras.config.dtype_policy().name == "float32"


def test_imagenets_weights_that_cannot_be_had_are_told(monkeypatch):
    def offline(**options):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.applications, "MobileNetV3Small", offline)
    with pytest.raises(ModelError, match="Received: URL fetch failure; ImageNet's are"):
        encoders.get("mobilenet_v3_small", weights="imagenet").build((None, 4, 32, 32, 3))
    monkeypatch.undo()
    with pytest.raises(ModelError, match="weights from 'kinetics'"):
        encoders.get("mobilenet_v3_small", weights="kinetics").build((None, 4, 32, 32, 3))


def test_a_model_file_with_a_picture_network_needs_no_download(tmp_path, monkeypatch):
    make = keras.applications.MobileNetV3Small
    asked = []

    def counted(weights, **options):
        asked.append(weights)
        return make(weights=None, **options)

    monkeypatch.setattr(keras.applications, "MobileNetV3Small", counted)
    spec = ClipSpec(4, 32, 32)
    encoder = encoders.get("mobilenet_v3_small", weights="imagenet", frozen=True, width=8)
    captioner = Captioner(spec, tiny.CAPTION, tiny.VOCABULARY, encoder, tiny.DECODER)
    save(captioner, tmp_path / "m.keras")
    again = load(tmp_path / "m.keras")
    assert asked[0] == "imagenet" and set(asked[1:]) == {None}
    assert again.encoder.frozen and again.encoder.backbone.trainable is False
    for one, other in zip(captioner.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_factorised_convolutions_have_fewer_weights():
    whole, split = (encoders.get(name, **SMALL) for name in ("conv3d", "r2plus1d"))
    for encoder in (whole, split):
        encoder.build((None, *tiny.CLIP.shape))
    kernels = [[w.shape for w in e.weights if len(w.shape) == 5] for e in (whole, split)]
    # Where time is halved, kernels are 2 frames long.
    sizes = [{tuple(shape[:3]) for shape in shapes if shape[-2] != 1} for shapes in kernels]
    assert sizes == [{(3, 3, 3), (2, 3, 3)}, {(1, 3, 3), (3, 1, 1), (2, 1, 1)}]
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


@pytest.mark.parametrize("name", ["conv3d", "r2plus1d"])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_cell_sees_what_lies_around_its_own_middle(name, axis):
    """With equal weights the middle of what a cell sees is half a pixel before its own, not 7.5.

    SAME padding in every stage would shift it by 0.5 + 1 + 2 + 4 pixels, and temporal kernels of 3
    with stride 2 by 0.5 + 1 frames.
    """
    sizes = [(48, 16, 16), (2, 112, 16)][axis]
    encoder = encoders.get(name, widths=(1, 1, 1, 1))
    encoder.build((None, *sizes, 3))
    for weight in encoder.trainable_variables:
        if "kernel" in weight.path:
            weight.assign(np.ones(weight.shape))
    lit = np.zeros((sizes[axis], *sizes, 3), "float32")  # one slice each
    for place in range(sizes[axis]):
        np.moveaxis(lit[place], axis, 0)[place] = 1
    for unit in encoder.units:
        lit = unit(lit)
    grid = encoder.grid(ClipSpec(*sizes))
    cell = grid[axis] // 2
    seen = np.moveaxis(np.asarray(lit)[..., 0], axis + 1, 1)[:, cell].sum(axis=(1, 2))
    middle = np.arange(sizes[axis]) @ seen / seen.sum()
    step = sizes[axis] / grid[axis]
    own = (cell + 0.5) * step - 0.5
    assert middle == pytest.approx(own - [0, 0.5][axis], abs=0.15)


def test_positions_tell_equal_cells_apart():
    encoder = encoders.get("conv3d", widths=(8,), strides=((2, 4, 4),), residual_from=1)
    memory = np.asarray(encoder(np.zeros((1, 8, 32, 32, 3), np.uint8)))[0].reshape(4, 8, 8, 8)
    # Away from the borders every cell sees the same nothing.
    assert np.abs(memory[1, 3, 3] - memory[2, 3, 3]).max() > 1e-3
    assert np.abs(memory[1, 3, 3] - memory[1, 3, 4]).max() > 1e-3


@pytest.mark.parametrize("name", ["conv3d", "r2plus1d"])
def test_a_first_stage_has_a_bias_where_later_ones_normalise_the_batch(name):
    encoder = encoders.get(name, **SMALL)
    encoder.build((None, 4, 16, 16, 3))
    clips = np.random.default_rng(0).normal(size=(3, 4, 16, 16, 3)).astype("float32")
    first, second = (ConvUnit.from_config(unit.get_config()) for unit in encoder.units[:2])
    cells = np.asarray(first(clips, training=True))
    np.testing.assert_allclose(first(clips[:1], training=True), cells[:1], atol=1e-5)
    alone = np.asarray(second(cells[:1], training=True))
    assert np.abs(alone - np.asarray(second(cells, training=True))[:1]).max() > 0.01
    first.convs[-1].bias.assign(np.full(8, 0.5))
    np.testing.assert_allclose(first(np.zeros_like(clips), training=True), np.full_like(cells, 0.5))


def test_residual_adds_the_input():
    unit = ConvUnit(3, residual=True)
    x = np.abs(np.random.default_rng(0).normal(size=(1, 2, 4, 4, 3))).astype("float32")
    unit.build(x.shape)
    unit.convs[0].set_weights([np.zeros((3, 3, 3, 3, 3))])
    np.testing.assert_allclose(np.asarray(unit(x)), x, rtol=1e-5)


def test_blind_sees_nothing():
    encoder = encoders.get("blind", memory_size=5)
    assert encoder.grid(tiny.CLIP) == (1, 1, 1)
    np.testing.assert_array_equal(np.asarray(encoder(tiny.frames(3))), np.zeros((3, 1, 5)))


def test_a_models_encoder_is_found_without_the_others_files():
    code = (
        "from v2t_lib.models.encoders import registry as r\n"
        "made = r.get('conv3d', widths=(8,), strides=((1, 2, 2),))\n"
        "r.deserialize(keras.saving.serialize_keras_object(made))\n"
        "print(sorted(n.rpartition('.')[2] for n in sys.modules if 'lib.models.encoders.' in n))"
    )
    assert loaded_by(f"import keras\n{code}").splitlines()[0] == "['conv3d', 'grid', 'registry']"


#: What files that were written before call the classes, some of which were in other modules.
BEFORE = {
    "blind": "BlindEncoder",
    "conv3d": "Conv3DEncoder",
    "r2plus1d": "R2Plus1DEncoder",
    "mobilenet_v3_small": "MobileNetV3SmallEncoder",
    "mobilenet_v3_large": "MobileNetV3LargeEncoder",
    "efficientnet_v2_b0": "EfficientNetV2B0Encoder",
    "efficientnet_lite0": "EfficientNetLite0Encoder",
    "efficientnet_lite2": "EfficientNetLite2Encoder",
    "convnext_tiny": "ConvNeXtTinyEncoder",
    "clip_vit_b16": "ClipEncoder",
    "siglip2_b16": "SiglipEncoder",
    "dinov2_s14": "DinoEncoder",
}


@pytest.mark.parametrize("name", sorted({*BEFORE, *encoders.ENCODERS}))
def test_a_config_makes_the_encoder_again_also_where_its_module_moved(name):
    made = encoders.get(name)
    cls = BEFORE.get(name, type(made).__name__)
    again = encoders.deserialize(
        {
            "module": "v2t_lib.models.encoders.moved",
            "class_name": cls,
            "config": made.get_config(),
            "registered_name": f"v2t_lib>{cls}",
        }
    )
    assert type(again) is type(made) and again.get_config() == made.get_config()
    assert again.memory_size == made.memory_size


def test_weights_written_with_a_measured_shift_are_read():
    encoder = encoders.get("efficientnet_lite0", width=8)
    encoder.build((None, 1, 32, 32, 3))
    rng = np.random.default_rng(0)
    values = [rng.normal(size=weight.shape) for weight in encoder.positions]
    encoder.load_own_variables(dict(zip("0123", [*values, [0.3, 0.2]], strict=True)))
    for weight, value in zip(encoder.positions, values, strict=True):
        np.testing.assert_allclose(np.asarray(weight), value, rtol=1e-6)
    assert encoder.shift == 0.1


def test_mixed_precision_computes_in_half_and_keeps_float32_weights():
    encoder = encoders.get("conv3d", **SMALL, dtype="mixed_bfloat16")
    memory = encoder(tiny.frames(1))
    assert keras.backend.standardize_dtype(memory.dtype) == "bfloat16"
    assert {keras.backend.standardize_dtype(w.dtype) for w in encoder.weights} == {"float32"}


def test_an_encoder_from_outside_the_package_is_one_class(monkeypatch, tmp_path):
    forget_afterwards(monkeypatch, encoders.ENCODERS)

    @encoders.register_encoder("mine")
    class MyEncoder(GridEncoder):
        strides = ((2, 4, 4),)

        def __init__(self, width=6, **kwargs):
            super().__init__(**kwargs)
            self.memory_size = width
            self.units = [ConvUnit(width, self.strides[0], dtype=self.dtype_policy)]

        def get_config(self):
            return super().get_config() | {"width": self.memory_size}

    assert "mine" in encoders.ENCODERS and encoders.options(MyEncoder) == {"width": 6}
    encoder = encoders.get("mine", width=5)
    assert encoders.recipe_of(encoder) == ("mine", {"width": 5})
    found = encoders.cost(encoder, tiny.CLIP)
    assert (found["grid"], found["memory_size"]) == ((2, 4, 4), 5)
    captioner = Captioner(tiny.CLIP, tiny.CAPTION, tiny.VOCABULARY, encoder, tiny.DECODER)
    save(captioner, tmp_path / "m.keras")
    assert type(load(tmp_path / "m.keras").encoder) is MyEncoder
    with pytest.raises(ValueError, match=r"not taken yet for an encoder\. Received: 'conv3d'"):
        encoders.register_encoder("conv3d")(MyEncoder)
    del encoders.ENCODERS.found["mine"]
    with pytest.raises(ModelError, match=r"Received: 'MyEncoder' of 'test_encoders'"):
        load(tmp_path / "m.keras")
