"""Many clips in full batches: in order, errors as values, one batch ahead."""

import threading

import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif

from v2t_lib.errors import ClipError
from v2t_lib.models import over_clips as module
from v2t_lib.models.over_clips import decode_all, over_clips

pytestmark = pytest.mark.usefixtures("eager", "in_this_process")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)


@pytest.fixture
def paths(tmp_path):
    """Five clips, the second of which is none."""
    for number in range(5):
        write_gif(tmp_path / f"{number}.gif", number)
    (tmp_path / "1.gif").write_text("<html>")
    return [str(tmp_path / f"{number}.gif") for number in range(5)]


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order_with_errors_in_their_place(paths, workers):
    captioner, sizes = tiny.captioner(), []

    def work(batch):
        sizes.append((len(batch.items), len(batch.frames)))
        np.testing.assert_allclose(batch.memory, captioner.encode(batch.frames), atol=1e-5)
        return [found.text for found in captioner.caption_frames(batch.frames, 1, batch.seconds)]

    found = dict(over_clips(captioner, decode_all(paths, tiny.CLIP, workers), work))
    assert list(found) == paths and sizes == [(1, 2), (2, 2), (1, 2)]  # the last one filled up
    assert isinstance(found[paths[1]], ClipError) and found[paths[1]].kind == "not-a-clip"
    for path in (paths[0], paths[2], paths[4]):
        assert found[path] == captioner.caption(path).text


def test_one_clip_is_a_batch_of_one_and_none_are_no_work(paths):
    captioner, sizes = tiny.captioner(), []

    def work(batch):
        sizes.append(len(batch.frames))
        return batch.items

    assert list(over_clips(captioner, decode_all(paths[:1], tiny.CLIP), work)) == [(paths[0],) * 2]
    ((_, error),) = over_clips(captioner, decode_all(paths[1:2], tiny.CLIP), work)
    assert sizes == [1] and isinstance(error, ClipError)
    assert list(over_clips(captioner, [], work)) == []


def test_the_next_batch_is_decoded_while_one_is_computed(paths):
    third = threading.Event()

    def clips():
        for number, pair in enumerate(decode_all(paths, tiny.CLIP)):
            if number == 2:
                third.set()
            yield pair

    def work(batch):
        assert third.wait(60)
        return batch.items

    assert len(list(over_clips(tiny.captioner(), clips(), work))) == 5
