"""Several hosts train as one: two processes of two logical devices each, over the loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pandas as pd
import pytest

from v2t_lib.cli import watched
from v2t_lib.cli.main import main
from v2t_lib.errors import DeviceError, ModelError, TrainingError
from v2t_lib.models import hosts
from v2t_lib.models.distribution import check_hosts_share
from v2t_lib.models.hosts import Hosts
from v2t_lib.models.joining import joined
from v2t_lib.models.saving import load

jax = pytest.mark.jax

#: An encoder that compiles quickly, as what it makes of clips is tested on two devices. Dropout, as
#: all hosts have to draw what one process draws. Nine captions make two batches of four; of
#: validation's three the last can't be shared.
FLAGS = (
    "--epochs 2 --batch 4 --learning-rate 0.01 --checkpoint-steps 1 --length 4 --min-count 1 "
    "--units 24 --embedding-size 16 --attention-units 12 --dropout 0.2 --ema 0.5 --encoder blind"
)
#: Seconds in which the rest of the hosts end when one is killed; 2 on a machine at rest.
ENDS_WITHIN = 60


class Pair:
    """Two hosts that run `v2t train` with the same arguments."""

    def __init__(self, folder, arguments):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        cache = {  # the second run has to compile nothing
            "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
        }
        common = ["train", *arguments, "--coordinator", address, "--hosts", "2"]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-m", "v2t_lib.cli", *common, "--host", str(host)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | cache,
                text=True,
            )
            for host in range(2)
        ]

    def end(self, timeout=900):
        """Their exit codes, what they printed, and what they said beside."""
        try:
            printed = [process.communicate(timeout=timeout) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        return [process.returncode for process in self.processes], *zip(*printed, strict=True)


@pytest.fixture(scope="module")
def arguments(several_captions):
    return [str(several_captions), "--val", str(several_captions), *FLAGS.split()]


@pytest.fixture(scope="module")
def one(arguments, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    assert main(["train", *arguments, "--out", str(folder)]) == 0
    return folder


def assert_same_run(mine, other):
    for name in ("captioner", "blind"):
        history = "history.csv" if name == "captioner" else "blind.csv"
        rows, expected = (pd.read_csv(folder / history) for folder in (mine, other))
        assert len(expected) == 2 and {"loss", "val_loss"} <= set(expected)
        pd.testing.assert_frame_equal(rows, expected, rtol=0, atol=1e-5)
        models = [load(folder / f"{name}.keras") for folder in (mine, other)]
        for one, two in zip(*(model.get_weights() for model in models), strict=True):
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-4)


@jax
def test_two_hosts_of_which_one_was_killed_end_as_one_process(arguments, one, tmp_path):
    run = tmp_path / "run"
    killed = Pair(run, [*arguments, "--out", str(run)])
    while not list(run.glob(".blind-checkpoints/*.npz")):
        assert [process.poll() for process in killed.processes] == [None, None]
        time.sleep(0.05)
    killed.processes[0].send_signal(signal.SIGKILL)
    codes, _, said = killed.end(ENDS_WITHIN)
    assert codes == [-signal.SIGKILL, 1]
    assert "Traceback" not in said[1]
    last = said[1].splitlines()[-1]
    assert last.startswith("v2t train: expected all hosts to stay to the end.")
    assert "--resume" in last
    assert not (run / "captioner.keras").exists()

    codes, printed, said = Pair(run, [*arguments, "--out", str(run), "--resume"]).end()
    assert codes == [0, 0], said
    assert "going on at epoch" in said[0]
    assert printed == (f"{run / 'captioner.keras'}\n", "")  # the first host has the files
    assert_same_run(run, one)


@jax
def test_a_first_host_that_does_not_answer_is_named():
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    expected = rf"expected the first host to answer at {address} within 1 seconds. Received: Conn"
    with pytest.raises(DeviceError, match=expected), joined(address, 2, 1, seconds=1):
        pytest.fail("expected no hosts")
    assert hosts.current() == Hosts(1, 0)


@jax
def test_a_batch_that_the_devices_of_all_hosts_cannot_share_is_refused():
    with pytest.raises(DeviceError, match=r"that 2 devices, those of all hosts.*Received: 5"):
        check_hosts_share(5)


def test_hosts_need_keras_on_jax(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(DeviceError, match="Received: Keras on tensorflow"), joined("a:1", 2, 0):
        pytest.fail("expected no hosts")


def gathering(monkeypatch, *others):
    """What the other hosts, from host 1 on, have for each call."""
    answers = iter(others)

    def gathered(array):
        rows = [array, *next(answers)]
        size = max(map(len, rows))
        return np.stack([np.pad(row, (0, size - len(row))) for row in rows])

    monkeypatch.setattr(hosts, "_gathered", gathered)


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({"version": "0.1", "recipe": {"seed": 1, "units": 8}, "shards": "aa"}, r"recipe.seed 0"),
        ({"version": "0.2", "recipe": {"seed": 0, "units": 8}, "shards": "aa"}, r"version 0\.1"),
        ({"version": "0.1", "recipe": {"seed": 0, "units": 8}, "shards": "bb"}, r"shards aa.*: bb"),
        ({"version": "0.1", "recipe": {"seed": 0}, "shards": "aa"}, r"recipe.units 8.*: None"),
    ],
)
def test_hosts_that_differ_are_told_in_what(monkeypatch, theirs, message):
    ours = {"version": "0.1", "recipe": {"seed": 0, "units": 8}, "shards": "aa"}
    data = np.frombuffer(json.dumps(hosts._flat(theirs)).encode(), np.uint8)
    gathering(monkeypatch, [np.array([data.size])], [data])
    with pytest.raises(DeviceError, match=rf"host 1: expected {message}"):
        Hosts(2, 0).agree(ours)


def test_hosts_that_are_alike_agree_and_one_that_stops_stops_all(monkeypatch):
    data = np.frombuffer(json.dumps({"a.b": 1}).encode(), np.uint8)
    gathering(monkeypatch, [np.array([data.size])], [data], [np.array([1])], [np.array([0])])
    pair = Hosts(2, 0)
    pair.agree({"a": {"b": 1}})
    assert pair.any(False)
    assert not pair.any(False)
    assert Hosts().any(True) and not Hosts().any(False)


@jax
def test_what_the_first_host_reads_or_fails_with_reaches_the_others(monkeypatch):
    from jax.experimental import multihost_utils

    sent = []

    def first(value):
        sent.append(value)
        return value

    def failing():
        raise ModelError("a damaged file")

    def exchange(make):
        monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", first)
        try:
            return Hosts(2, 0).from_first(make)
        finally:
            answers = iter(sent[-2:])
            monkeypatch.setattr(
                multihost_utils, "broadcast_one_to_all", lambda value: next(answers)
            )

    made = {"epoch": 1}, [np.arange(3), np.ones((2, 2), "float32")]
    exchange(lambda: made)
    about, arrays = Hosts(2, 1).from_first(lambda: pytest.fail("only the first host reads"))
    assert about == made[0]
    for array, expected in zip(arrays, made[1], strict=True):
        np.testing.assert_array_equal(array, expected)
    with pytest.raises(ModelError):
        exchange(failing)
    with pytest.raises(TrainingError, match="the first host failed: a damaged file"):
        Hosts(2, 1).from_first(lambda: pytest.fail("only the first host reads"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hosts", "2", "--coordinator", "a:1"], "expected --coordinator HOST:PORT and --host"),
        (["--hosts", "2", "--host", "2", "--coordinator", "a:1"], "--host from 0 to 1"),
        (["--hosts", "auto", "--host", "0"], "expected --host with --hosts N"),
        (["--coordinator", "a:1"], "expected --coordinator with --hosts N"),
        (["--coordinator", "a"], "expected HOST:PORT"),
        (["--hosts", "1"], "at least 2"),
        (["--hosts", "auto", "--scst", "1"], "expected no --scst with --hosts"),
        (["--hosts", "auto", "--devices", "2"], "expected no --devices with --hosts"),
    ],
)
def test_flags_that_do_not_fit_together_are_wrong_usage(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(watched, "take_over", lambda: True)
    with pytest.raises(SystemExit) as ended:
        main(["train", "shards", "--out", "run", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@jax
def test_without_slurm_or_the_like_the_hosts_have_to_be_named():
    code = "import sys; from v2t_lib.models.joining import joined; joined().__enter__()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "DeviceError: expected SLURM's" in ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "notes", "message"),
    [
        (6, "F1 client.h:80] coordination service: /job:jax_worker/replica:0/task:3", "host 3 end"),
        (6, "coordination service: Socket closed", r"the first host \(0\) ended"),
        (6, "DEADLINE RPC: /xla.coordination.CoordinationService/RegisterTask", "too few"),
        (9, "", "process killed, for want of memory"),
        (11, "a crash in C", "ended by SIGSEGV.*\na crash in C$"),
    ],
)
def test_what_ended_a_watched_process_is_told(number, notes, message):
    assert re.search(message, watched._why(number, notes))
