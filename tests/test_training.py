import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import tiny

import v2t_lib as v2t
from v2t_lib.errors import DataError
from v2t_lib.evaluation import evaluate
from v2t_lib.packing import pack
from v2t_lib.records import read_captions, select
from v2t_lib.shapes import write_shapes
from v2t_lib.specs import CaptionSpec, ClipSpec
from v2t_lib.training import SampleCaptions, TrainingOptions, train

OPTIONS = TrainingOptions(epochs=3, batch_size=16, learning_rate=3e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    captions = write_shapes(folder, clips=60, seed=0)
    for split in ("train", "val", "test"):
        records = select(read_captions(captions), folder / f"{split}.txt")
        pack(records, captions, folder / "shards" / split, tiny.CLIP, workers=1)
    return folder / "shards"


def run(data, out, **options):
    return train(
        data / "train",
        out,
        val=data / "val",
        encoder_options=tiny.ENCODER,
        decoder_options=tiny.DECODER,
        caption_spec=CaptionSpec(length=6),
        **({"options": OPTIONS} | options),
    )


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    run(data, out)
    return out


def test_training_lowers_the_loss_and_leaves_its_files(finished):
    assert sorted(p.name for p in finished.iterdir() if not p.name.startswith(".")) == [
        "blind.csv",
        "blind.keras",
        "captioner.keras",
        "history.csv",
    ]
    history = pd.read_csv(finished / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["loss"].is_monotonic_decreasing
    assert history["distinct_captions"].between(0, 1).all()
    assert len(pd.read_csv(finished / "blind.csv")) == 1


def test_the_best_epochs_weights_are_kept(finished, data):
    best = pd.read_csv(finished / "history.csv")["val_loss"].min()
    scores, _ = evaluate(v2t.load(finished / "captioner.keras"), data / "val", beam=1)
    assert scores["loss"] == pytest.approx(best, rel=2e-2)


def test_the_blind_twin_has_the_same_decoder_and_sees_nothing(finished):
    captioner, blind = (v2t.load(finished / f"{name}.keras") for name in ("captioner", "blind"))
    assert blind.vocabulary == captioner.vocabulary
    assert [w.shape for w in blind.decoder.weights] == [w.shape for w in captioner.decoder.weights]
    texts = {
        caption.text for caption in blind.caption_frames(np.zeros((1, *tiny.CLIP.shape), "uint8"))
    }
    texts |= {c.text for c in blind.caption_frames(tiny.frames(3))}
    assert len(texts) == 1


def test_a_seed_decides_the_weights(finished, data, tmp_path):
    run(data, tmp_path)
    one, two = (pd.read_csv(out / "history.csv") for out in (finished, tmp_path))
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-3)


KILLED = """
import json, sys
from v2t_lib.specs import CaptionSpec
from v2t_lib.training import TrainingOptions, train
data, out, encoder, decoder, options = map(json.loads, sys.argv[1:])
train(data + "/train", out, val=data + "/val", encoder_options=encoder, decoder_options=decoder,
      caption_spec=CaptionSpec(length=6), options=TrainingOptions(**options))
"""


def test_a_killed_run_goes_on(data, tmp_path):
    """Killed once the history has a row: the epochs done are kept, the rest follow."""
    options = {"epochs": 200, "batch_size": 8, "learning_rate": 3e-3}
    arguments = map(json.dumps, (str(data), str(tmp_path), tiny.ENCODER, tiny.DECODER, options))
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments])
    history = tmp_path / "history.csv"
    deadline = time.monotonic() + 240
    while not history.exists() or len(history.read_text().splitlines()) < 4:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.kill()
    process.wait()
    done = len(pd.read_csv(history))
    run(data, tmp_path, options=TrainingOptions(epochs=done + 2, batch_size=8), resume=True)
    after = pd.read_csv(history)
    assert after["epoch"].tolist() == list(range(done + 2))
    # Going on, not starting over: the loss stays below what the first epochs had.
    assert after["loss"].iloc[done:].max() < after["loss"].iloc[0]
    assert v2t.load(tmp_path / "captioner.keras").caption_frames(
        np.zeros((1, *tiny.CLIP.shape), np.uint8)
    )


def test_collapse_raises_the_alarm(capsys):
    frames = tiny.frames(20)
    callback = SampleCaptions(frames, ["truth"] * 20)
    callback.set_model(tiny.captioner("blind"))
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs["distinct_captions"] == 1 / 20
    assert "ALARM: 1 distinct captions for 20 clips" in capsys.readouterr().err


def test_shards_of_another_size_are_refused(data, finished, tmp_path):
    captions = data.parent / "captions.tsv"
    records = select(read_captions(captions), data.parent / "val.txt")
    pack(records, captions, tmp_path / "large", ClipSpec(4, 24, 24), workers=1)
    with pytest.raises(DataError, match="Received: ClipSpec"):
        train(data / "train", tmp_path / "run", val=tmp_path / "large")
    with pytest.raises(DataError, match="pack again at the model's size"):
        evaluate(v2t.load(finished / "captioner.keras"), tmp_path / "large")
