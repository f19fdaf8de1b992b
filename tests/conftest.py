"""What the tests share: quiet libraries, fixed seeds, and where the shared data lies."""

import contextlib
import gc
import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import v2t_lib  # noqa: F401  (sets TensorFlow up before a test loads it)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

# TensorFlow makes objects by the million, which Python would search for garbage again and again.
gc.set_threshold(100_000, 50, 50)

# A shell ignores it for what it starts in the background; tests interrupt processes.
signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _seeds():
    """Every test starts from the same seeds; Keras's only where a test has loaded it."""
    random.seed(0)
    np.random.seed(0)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture
def eager():
    """No graphs are compiled in this test: see `helpers.runs.eagerly`."""
    from helpers.runs import eagerly

    with eagerly():
        yield


@pytest.fixture
def in_this_process():
    """No processes draw or decode clips in this test: see `helpers.processes`."""
    from helpers import processes

    with processes.in_this_process():
        yield


@pytest.fixture
def disk_of():
    """`with disk_of(size)`: no file can grow beyond `size` bytes, as on a disk that is full."""
    import resource

    @contextlib.contextmanager
    def limited(size: int):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    return limited


@pytest.fixture
def no_java(monkeypatch):
    """Java takes seconds to start; only tests that are about it need one."""
    from v2t_lib.metrics import meteor

    def find_java():
        raise meteor.NoMeteor("no Java in this test")

    monkeypatch.setattr(meteor, "find_java", find_java)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data beside the checkout, for tests marked `shared`; its absence is a failure."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.fail(f"expected the shared data in {folder}; run `make test` to do without")
    return folder


def _saved(folder, captioner) -> str:
    from v2t_lib.models.saving import save

    save(captioner, folder / "m.keras")
    return str(folder / "m.keras")


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """The file of a small model; not to be written to."""
    from helpers import tiny

    return _saved(tmp_path_factory.mktemp("model"), tiny.captioner())


@pytest.fixture(scope="session")
def judge(tmp_path_factory) -> str:
    """The file of one that verifies sentences; not to be written to."""
    from helpers import tiny

    return _saved(tmp_path_factory.mktemp("judge"), tiny.judge())


@pytest.fixture
def server():
    """A server on this machine that answers as it is told, see `helpers.scripted_server`."""
    from helpers import scripted_server

    with scripted_server.serving() as server:
        yield server


def _pack(folder, captions_of):
    from helpers import tiny
    from helpers.clips import write_gif
    from helpers.processes import in_this_process

    from v2t_lib.captions_file import read_captions
    from v2t_lib.shards.pack import pack

    rows = []
    for number, captions in enumerate(captions_of):
        write_gif(folder / f"{number}.gif", number)
        rows += [f"{number}.gif\t{caption}\n" for caption in captions]
    (folder / "captions.tsv").write_text("".join(rows))
    records = read_captions(folder / "captions.tsv")
    with in_this_process():
        pack(records, folder / "captions.tsv", folder / "shards", tiny.CLIP)
    return folder / "shards"


@pytest.fixture(scope="session")
def packed():
    """`packed(folder, captions of each clip)` packs clips of `tiny.CLIP`."""
    return _pack


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """Shards of eight clips of `tiny.CLIP`, one caption each; not to be written to."""
    from helpers import tiny

    captions = [tiny.SENTENCES[number % 3 :][:1] for number in range(8)]
    return _pack(tmp_path_factory.mktemp("data"), captions)


@pytest.fixture(scope="session")
def several_captions(tmp_path_factory):
    """Shards of five clips of `tiny.CLIP` with one to three captions; not to be written to."""
    from helpers import tiny

    captions = [tiny.SENTENCES[: 1 + number % 3] for number in range(5)]
    return _pack(tmp_path_factory.mktemp("several"), captions)


@pytest.fixture(scope="session")
def drawn_shards(tmp_path_factory):
    """Shards `train`, `val` and `test` of 60 drawn clips of `tiny.CLIP`; not to be written to."""
    from helpers import tiny
    from helpers.processes import in_this_process

    from v2t_lib.captions_file import read_captions, select
    from v2t_lib.datasets.shapes import write_shapes
    from v2t_lib.shards.pack import pack

    folder = tmp_path_factory.mktemp("drawn")
    with in_this_process():
        captions = write_shapes(folder, clips=60, seed=0)
        for split in ("train", "val", "test"):
            records = select(read_captions(captions), folder / f"{split}.txt")
            pack(records, captions, folder / "shards" / split, tiny.CLIP)
    return folder / "shards"
