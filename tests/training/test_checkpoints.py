import keras
import numpy as np
import pytest

from v2t_lib.errors import ModelError
from v2t_lib.training import checkpoints
from v2t_lib.training.checkpoints import Checkpoints


def variables(*values):
    return [keras.Variable(np.full((2, 3), value, "float32")) for value in values]


def saved(folder, keep=3, steps=(1, 2)):
    store = Checkpoints(folder / "model.keras", keep, {"seed": 0})
    for step in steps:
        store.save([*variables(step, -step)], step, {"step": step, "loss": 0.1 + 0.2})
    return store


def test_the_newest_is_restored_to_the_bit(tmp_path):
    store, state = saved(tmp_path), variables(0, 0)
    assert store.restore(state) == {"step": 2, "loss": 0.1 + 0.2}
    np.testing.assert_array_equal(np.asarray(state[0]), np.full((2, 3), 2))
    np.testing.assert_array_equal(np.asarray(state[1]), np.full((2, 3), -2))
    assert Checkpoints(tmp_path / "none.keras", 3, {}).restore(state) is None


def test_the_last_few_are_kept(tmp_path):
    store = saved(tmp_path, keep=2, steps=(7, 8, 9, 10))
    assert [p.name for p in sorted(store.folder.iterdir())] == ["000000009.npz", "000000010.npz"]
    store.clear()
    assert not store.folder.exists()


def flipped(content):
    at = content.index(np.full(6, 2, "float32").tobytes())
    return content[:at] + b"?" + content[at + 1 :]


@pytest.mark.parametrize("damage", [lambda content: content[:-100], flipped, lambda content: b""])
def test_a_damaged_one_falls_back_to_the_one_before(damage, tmp_path, capsys):
    store, state = saved(tmp_path), variables(0, 0)
    first, newest = (store.folder / f"00000000{step}.npz" for step in (1, 2))
    newest.write_bytes(damage(newest.read_bytes()))
    assert store.restore(state)["step"] == 1
    np.testing.assert_array_equal(np.asarray(state[0]), np.full((2, 3), 1))
    assert "000000002.npz is damaged: trying the one before" in capsys.readouterr().err
    first.write_bytes(b"")
    with pytest.raises(ModelError, match="Received: 2 damaged"):
        store.restore(state)


def test_a_run_that_goes_on_with_another_backend_says_so(tmp_path, monkeypatch, capsys):
    store, state = saved(tmp_path), variables(0, 0)
    store.restore(state)
    assert "KERAS_BACKEND" not in capsys.readouterr().err
    now = keras.backend.backend()
    monkeypatch.setattr(keras.backend, "backend", lambda: "another")
    assert store.restore(state)["step"] == 2
    said = capsys.readouterr().err
    assert f"KERAS_BACKEND={now} until here, and goes on with another" in said


def test_those_of_other_models_orders_and_versions_are_refused(tmp_path, monkeypatch):
    store = saved(tmp_path)
    with pytest.raises(ModelError, match=r"and 3 variables. Received: .* and 2, or of other"):
        store.restore(variables(0, 0, 0))
    with pytest.raises(ModelError, match=r"{'seed': 1}.* Received: .*{'seed': 0}"):
        Checkpoints(tmp_path / "model.keras", 3, {"seed": 1}).restore(variables(0, 0))
    monkeypatch.setattr(checkpoints, "FORMAT", 3)
    with pytest.raises(ModelError, match=r"'format': 3.* Received: .*'format': 2.*--start-from"):
        store.restore(variables(0, 0))
