import threading
import time

import keras
import numpy as np
import pytest

from v2t_lib.errors import ModelError
from v2t_lib.training import checkpoints
from v2t_lib.training.checkpoints import Checkpoints, Mirror


def variables(*values):
    return [keras.Variable(np.full((2, 3), value, "float32")) for value in values]


def saved(folder, mirror=None, keep=3, steps=(1, 2)):
    store = Checkpoints(folder / "run" / "states", keep, mirror or Mirror(folder / "run"))
    for step in steps:
        store.save([*variables(step, -step)], step, {"step": step, "loss": 0.1 + 0.2})
    return store


def test_the_newest_is_restored_to_the_bit(tmp_path):
    store, state = saved(tmp_path), variables(0, 0)
    assert store.restore(state) == {"step": 2, "loss": 0.1 + 0.2}
    np.testing.assert_array_equal(np.asarray(state[0]), np.full((2, 3), 2))
    np.testing.assert_array_equal(np.asarray(state[1]), np.full((2, 3), -2))
    assert Checkpoints(tmp_path / "none", 3, Mirror(tmp_path)).restore(state) is None


def test_the_last_few_are_kept(tmp_path):
    store = saved(tmp_path, keep=2, steps=(7, 8, 9, 10))
    assert [p.name for p in sorted(store.folder.iterdir())] == ["000000009.npz", "000000010.npz"]
    store.clear()
    assert not store.folder.exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[content.index(np.full(6, 2, "float32").tobytes())] ^= 1
    path.write_bytes(bytes(content))


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut, flip, empty])
def test_a_damaged_one_falls_back_to_the_one_before(damage, tmp_path, capsys):
    store, state = saved(tmp_path), variables(0, 0)
    damage(store.folder / "000000002.npz")
    assert store.restore(state)["step"] == 1
    np.testing.assert_array_equal(np.asarray(state[0]), np.full((2, 3), 1))
    assert "000000002.npz is damaged: trying the one before" in capsys.readouterr().err
    cut(store.folder / "000000001.npz")
    with pytest.raises(ModelError, match="Received: 2 damaged"):
        store.restore(state)


def test_another_models_are_refused(tmp_path):
    with pytest.raises(ModelError, match=r"expected 3 variables.*Received: 2"):
        saved(tmp_path).restore(variables(0, 0, 0))


def test_a_mirror_holds_what_the_run_holds_and_gives_it_back(tmp_path):
    mirror = Mirror(tmp_path / "run", tmp_path / "drive")
    saved(tmp_path, mirror, keep=2, steps=(1, 2, 3))
    mirror.close()
    held = [
        {p.relative_to(tmp_path / place): p.read_bytes() for p in found}
        for place in ("run", "drive")
        if (found := list((tmp_path / place).rglob("*.*")))
    ]
    assert len(held[0]) == 2 and held[0] == held[1]
    (tmp_path / "drive" / "states" / "000000009.npz.tmp").write_bytes(b"half")
    Mirror(tmp_path / "new", tmp_path / "drive").fetch()
    assert len(list((tmp_path / "new" / "states").iterdir())) == 2


def test_a_slow_drive_does_not_hold_up_steps(tmp_path, monkeypatch):
    may_go_on, copy = threading.Event(), checkpoints._copy

    def slow(source, target):
        assert may_go_on.wait(30)
        copy(source, target)

    monkeypatch.setattr(checkpoints, "_copy", slow)
    mirror = Mirror(tmp_path / "run", tmp_path / "drive")
    saved(tmp_path, mirror, steps=(1, 2, 3, 4))
    assert not list((tmp_path / "drive").rglob("*.npz"))
    may_go_on.set()
    mirror.close()
    names = sorted(p.name for p in (tmp_path / "drive").rglob("*.npz"))
    assert names == ["000000002.npz", "000000003.npz", "000000004.npz"]


def test_the_newest_checkpoint_is_copied_before_older_ones_and_other_files_have_their_turn(
    tmp_path, monkeypatch
):
    may_go_on, copying, copy, copied = threading.Event(), threading.Event(), checkpoints._copy, []

    def slow(source, target):
        copying.set()
        assert may_go_on.wait(30)
        copied.append(target.name)
        copy(source, target)

    monkeypatch.setattr(checkpoints, "_copy", slow)
    mirror = Mirror(tmp_path / "run", tmp_path / "drive")
    store = saved(tmp_path, mirror, keep=2, steps=(1,))
    assert copying.wait(30)
    (tmp_path / "run" / "history.csv").write_text("epoch\n")
    mirror.put(tmp_path / "run" / "history.csv")
    for step in (2, 3, 4):
        store.save(variables(step, -step), step, {})
    may_go_on.set()
    mirror.close()
    names = [name for name in copied if name != "000000001.npz"]
    assert set(names[:2]) == {"000000004.npz", "history.csv"} and "000000002.npz" not in names
    held = sorted(p.name for p in (tmp_path / "drive").rglob("*.*"))
    assert held == ["000000003.npz", "000000004.npz", "history.csv"]


def test_a_copy_that_failed_is_tried_again(tmp_path, monkeypatch, capsys):
    copy, attempts = checkpoints._copy, []

    def flaky(source, target):
        attempts.append(source.name)
        if len(attempts) < 3:
            raise OSError("the drive is away")
        copy(source, target)

    monkeypatch.setattr(checkpoints, "_copy", flaky)
    monkeypatch.setattr(checkpoints, "RETRY_SECONDS", 0.01)
    mirror = Mirror(tmp_path / "run", tmp_path / "drive")
    saved(tmp_path, mirror, steps=(1,))
    deadline = time.monotonic() + 30
    while not list((tmp_path / "drive").rglob("*.npz")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    mirror.close()
    assert attempts == ["000000001.npz"] * 3
    assert capsys.readouterr().err.count("could not copy") == 2


def test_a_drive_that_is_gone_is_told_and_the_run_goes_on(tmp_path, capsys):
    (tmp_path / "drive").write_text("not a directory")
    mirror = Mirror(tmp_path / "run", tmp_path / "drive")
    store = saved(tmp_path, mirror)
    mirror.close()
    assert "could not copy 000000001.npz" in capsys.readouterr().err
    assert store.restore(variables(0, 0))["step"] == 2
