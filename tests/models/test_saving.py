"""A model file of this version or an older one loads; none runs code or reads other files."""

import json
import logging
import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
from helpers import tiny

from v2t_lib.errors import ModelError
from v2t_lib.models.saving import load, save
from v2t_lib.training.recipe import Recipe


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "m.keras"
    save(tiny.captioner(), path)
    return path


@pytest.fixture
def path(saved, tmp_path):
    return shutil.copy(saved, tmp_path / "m.keras")


def rewrite(path, config=None, weights=None, more=()):
    """Changes a model file: `config` gets the config, `weights` the open HDF5 file."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()} | dict(more)
    if config:
        parsed = json.loads(parts["config.json"])
        config(parsed)
        parts["config.json"] = json.dumps(parsed).encode()
    if weights:
        unpacked = path.with_suffix(".h5")
        unpacked.write_bytes(parts["model.weights.h5"])
        with h5py.File(unpacked, "r+") as file:
            weights(file)
        parts["model.weights.h5"] = unpacked.read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def lambda_layer():
    return keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: x))


def named(module, name, registered=None, **config):
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def calls(module, name):
    """A function as Keras writes one."""
    return named(module, "function", "function") | {"config": name}


FOREIGN = {
    "a Lambda layer": lambda_layer,
    "a function of any module": lambda: calls("os", "system"),
    "a class of any module": lambda: named("subprocess", "Popen", args="touch hacked"),
    "switching safety off": lambda: calls("keras.config", "enable_unsafe_deserialization"),
    "a download": lambda: named(
        "keras.utils", "get_file", fname="../../hacked", origin="http://127.0.0.1:9/a.tar"
    ),
    "reading a file": lambda: named("keras.layers", "StringLookup", vocabulary="/etc/passwd"),
    "a pickled PyTorch module": lambda: named("keras.layers", "TorchModuleWrapper", lazy="gASV"),
    "a SavedModel": lambda: named("keras.layers", "TFSMLayer", filepath="/tmp/saved"),
    "a Keras model inside": lambda: named("keras", "Sequential", layers=[lambda_layer()]),
    "a class under a plain name": lambda: named("os", "DTypePolicy", policy="float32"),
    "another registered class": lambda: named("any", "AttentionDecoder", "v2t_lib>Attention"),
    "a function under an encoder's name": lambda: (
        calls("os", "system") | {"registered_name": "v2t_lib>Conv3DEncoder"}
    ),
    "a marker that holds code": lambda: {"class_name": "__lambda__", "config": {"value": "gASV"}},
}


PLACES = ("vocabulary", "dtype", "deep", "beside")


@pytest.mark.parametrize(
    ("what", "where"),
    [*((what, "encoder") for what in FOREIGN), *(("a function of any module", p) for p in PLACES)],
)
def test_no_class_is_made_but_ours(what, where, path, monkeypatch):
    foreign = FOREIGN[what]()

    def put(config):
        inner = config["config"]
        if where == "deep":
            inner["encoder"]["config"]["widths"] = [[foreign]]
        elif where == "vocabulary":
            inner["vocabulary"].append(foreign)
        elif where == "beside":
            config["compile_config"] = {"optimizer": foreign}
        else:
            inner[where] = foreign

    rewrite(path, put)
    for reader in ("deserialize_keras_object", "load_model"):  # not even with an older Keras
        monkeypatch.setattr(keras.saving, reader, lambda *_, **__: pytest.fail("Keras was asked"))
    with pytest.raises(ModelError, match=r"only classes of this library's.*which was not made"):
        load(path)


def external(file):
    at = file["decoder/output_h/vars"]
    del at["1"]
    at.create_dataset("1", (16,), "float32", external=[("/etc/passwd", 0, 64)])


def virtual(file):
    at, layout = file["decoder/output_h/vars"], h5py.VirtualLayout((16,), "float32")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "x", (16,))
    del at["1"]
    at.create_virtual_dataset("1", layout)


def linked(file):
    del file["decoder/output_h/vars"]["1"]
    file["decoder/output_h/vars"]["1"] = h5py.ExternalLink("/tmp/other.h5", "/x")


def soft(file):
    del file["decoder/output_h/vars"]["1"]
    file["decoder/output_h/vars"]["1"] = h5py.SoftLink("/decoder")


def huge(file):
    del file["decoder/output_h/vars"]["1"]
    file["decoder/output_h/vars"].create_dataset("1", (2**40,), "float32", chunks=(1024,))


@pytest.mark.parametrize("change", [external, virtual, linked, soft, huge])
def test_weights_hold_all_they_speak_of(change, path):
    rewrite(path, weights=change)
    with pytest.raises(ModelError, match=r"m\.keras: expected .*Received: .* at '1'"):
        load(path)


def test_nothing_else_in_the_archive_is_unpacked(path, tmp_path):
    names = ("../outside", "/tmp/v2t-outside", "assets/../../outside", "assets/a.txt")
    rewrite(path, more=dict.fromkeys(names, b"x"))
    before = load(path).get_weights()
    assert {p.name for p in tmp_path.iterdir()} == {"m.keras"}
    assert not (tmp_path.parent / "outside").exists() and len(before) > 9


def test_an_archive_that_would_fill_the_memory_is_refused(path):
    rewrite(path, more={"config.json": b" " * (65 * 2**20)})
    with pytest.raises(ModelError, match="at most 67108864 bytes"):
        load(path)


def test_the_weights_are_those_that_were_saved(tmp_path):
    captioner = tiny.captioner(dtype="mixed_bfloat16")
    save(captioner, tmp_path / "m.keras")
    again = load(tmp_path / "m.keras")
    assert (again.clip_spec, again.caption_spec) == (tiny.CLIP, tiny.CAPTION)
    assert again.vocabulary == tiny.VOCABULARY and not getattr(again, "optimizer", None)
    assert again.dtype_policy.name == "mixed_bfloat16"
    for one, other in zip(captioner.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_files_that_are_no_such_model_are_refused(path, tmp_path):
    whole = path.read_bytes()
    pointer, page = b"version https://git-lfs.github.com/spec/v1\n", b"<!DOCTYPE html><html>"
    for content, said in {
        b"": "an empty file",
        b"not a zip": "not a zip",
        whole[: len(whole) // 2]: "the beginning of one, as where a download was cut off",
        pointer: "a Git LFS pointer; get the file itself: git lfs pull",
        page: "a web page",
        b"\x89HDF\r\n\x1a\n": "weights alone; name the .keras file",
        b"GIF89a": r"a clip \(gif\)",
    }.items():
        path.write_bytes(content)
        with pytest.raises(ModelError, match=rf"m\.keras.*Received: .*{said}"):
            load(path)
    folder = tmp_path / "unpacked.keras"
    path.write_bytes(whole)
    shutil.unpack_archive(path, folder / "in", "zip")
    shutil.make_archive(str(tmp_path / "wrapped"), "zip", folder)
    os.rename(tmp_path / "wrapped.zip", tmp_path / "wrapped.keras")
    for other, said in {
        folder: "a folder; zip what is in it",
        tmp_path: "a folder$",
        tmp_path / "wrapped.keras": r"expected config.json at the top .*without a folder around",
        "https://example.org/m.keras": "a URL; download",
    }.items():
        with pytest.raises(ModelError, match=said):
            load(other)
    with pytest.raises(ModelError, match="nothing of that name"):
        load(tmp_path / "none.keras")
    keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(ModelError, match="Received: "):
        load(path)
    for change, message in (
        (lambda config: config["config"].update(format=99), "another version"),
        (lambda config: config["config"]["vocabulary"].pop(0), "vocabulary"),
    ):
        path.write_bytes(whole)
        rewrite(path, change)
        with pytest.raises(ModelError, match=message):
            load(path)


@pytest.mark.parametrize("no_repeat", [0, 2])
def test_a_model_of_before_with_options_that_are_gone_still_loads(path, no_repeat, caplog):
    """What changed its training alone is ignored, else one sentence says what is lost."""
    training = {"scheduled_sampling": 0.25, "doubly_stochastic": 0.1}

    def older(config):
        inner = config["config"]
        inner["doubly_stochastic"] = 0.1
        inner["caption_spec"]["no_repeat"] = no_repeat
        recipe = Recipe(tiny.CLIP, tiny.CAPTION).to_dict()
        recipe["training"] |= training
        recipe["caption"]["no_repeat"] = no_repeat
        inner["recipe"] = recipe

    before = load(path)
    rewrite(path, older)
    with caplog.at_level("WARNING", logger="v2t_lib"):
        logging.getLogger("v2t_lib").addHandler(caplog.handler)
        again = load(path)
        logging.getLogger("v2t_lib").removeHandler(caplog.handler)
    assert len(caplog.messages) == (1 if no_repeat else 0)
    assert all("--no-repeat, which is gone" in message for message in caplog.messages)
    for one, other in zip(before.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert Recipe.from_dict(again.recipe) == Recipe(tiny.CLIP, tiny.CAPTION)
