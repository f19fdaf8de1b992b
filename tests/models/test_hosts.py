"""Several hosts train as one: two processes of two logical devices each, over the loopback."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pandas as pd
import pytest

from v2t_lib.cli import watched
from v2t_lib.cli.main import main
from v2t_lib.errors import DeviceError, ModelError, TrainingError, V2TError
from v2t_lib.models import hosts
from v2t_lib.models.devices import check_even
from v2t_lib.models.hosts import Hosts, joined
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
                [sys.executable, "-m", "v2t_lib.cli.main", *common, "--host", str(host)],
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
def test_a_batch_that_the_devices_of_all_hosts_cannot_share_is_refused():
    with pytest.raises(DeviceError, match=r"that 2 devices, those of all hosts.*Received: 5"):
        check_even(5)


def test_hosts_need_keras_on_jax(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(DeviceError, match="Received: Keras on tensorflow"), joined("a:1", 2, 0):
        pytest.fail("expected no hosts")


def on_both(monkeypatch, call) -> list:
    """What `call(hosts)` gives on each of two hosts, or the error; they are threads that meet."""
    meeting, sent, host = threading.Barrier(2, timeout=30), [None, None], threading.local()

    def exchange(array):
        sent[host.index] = array
        meeting.wait()
        both = list(sent)
        meeting.wait()
        return both

    def run(index):
        host.index = index
        try:
            return call(Hosts(2, index))
        except V2TError as error:
            return error

    monkeypatch.setattr(hosts, "_gathered", lambda array: np.stack(exchange(array)))
    monkeypatch.setattr(hosts, "_broadcast", lambda array: exchange(array)[0])
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, range(2)))


@pytest.mark.parametrize(
    ("theirs", "received"),
    [
        ({"recipe": {"seed": 1, "units": 8}, "shards": "bb"}, "recipe.seed 1, shards bb"),
        ({"recipe": {"seed": 0}, "shards": "aa"}, "recipe.units None"),
    ],
)
def test_hosts_that_differ_stop_and_are_told_in_what(monkeypatch, theirs, received):
    ours = {"recipe": {"seed": 0, "units": 8}, "shards": "aa"}
    first, second = on_both(monkeypatch, lambda host: host.agree(ours if host.first else theirs))
    assert isinstance(first, DeviceError) and "host 0 the first one's" in str(first)
    assert isinstance(second, DeviceError) and str(second).endswith(f"on host 1 {received}")


def test_hosts_that_are_alike_agree_and_one_that_stops_stops_all(monkeypatch):
    assert on_both(monkeypatch, lambda host: host.agree({"a": {"b": 1}})) == [None, None]
    assert on_both(monkeypatch, lambda host: host.any(not host.first)) == [True, True]
    assert on_both(monkeypatch, lambda host: host.any(False)) == [False, False]
    assert Hosts().any(True) and not Hosts().any(False)


def test_what_the_first_host_reads_or_fails_with_reaches_the_others(monkeypatch):
    made = {"epoch": 1}, [np.arange(3), np.ones((2, 2), "float32")]
    asked = []

    def read(index):
        asked.append(index)
        return made

    for about, arrays in on_both(monkeypatch, lambda host: host.from_first(lambda: read(host))):
        assert about == made[0]
        for array, expected in zip(arrays, made[1], strict=True):
            np.testing.assert_array_equal(array, expected)
    assert asked == [Hosts(2, 0)]

    def damaged():
        raise ModelError("a damaged file")

    for error in on_both(monkeypatch, lambda host: host.from_first(damaged)):
        assert isinstance(error, TrainingError)
        assert str(error) == "the first host failed: a damaged file"


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
    code = "import sys; from v2t_lib.models.hosts import joined; joined().__enter__()"
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
        (11, "a crash in C", "ended by Segmentation fault.*\na crash in C$"),
    ],
)
def test_what_ended_a_watched_process_is_told(number, notes, message):
    assert re.search(message, watched._why(number, notes))
