import functools
import http.server
import json
import os
import subprocess
import sys
import threading

import keras
import numpy as np
import pytest
from helpers import tiny
from PIL import Image

from v2t_lib.errors import ClipError
from v2t_lib.models.captioner import Captioner
from v2t_lib.models.compiled import JIT_COMPILE
from v2t_lib.models.saving import save
from v2t_lib.training.losses import sequence_loss


def gif(path, frames):
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, loop=0)
    return path


@pytest.fixture(scope="module")
def trained():
    """A captioner that has learnt two clips by heart."""
    keras.utils.set_random_seed(1)
    captioner, frames = tiny.captioner(), tiny.frames(2)
    tokens = tiny.tokens(*tiny.SENTENCES[:2])
    captioner.compile(keras.optimizers.Adam(1e-2), loss=sequence_loss, jit_compile=JIT_COMPILE)
    inputs, targets = (frames, tokens[:, :-1]), tokens[:, 1:]
    captioner.fit(inputs, targets, batch_size=2, epochs=80, verbose=0)
    return captioner, frames, inputs, targets


def test_two_clips_can_be_learnt_by_heart(trained):
    captioner, frames, inputs, targets = trained
    assert float(captioner.evaluate(inputs, targets, verbose=0)) < 0.05
    for width in (1, 3):
        captions = captioner.caption_frames(frames, beam=width)
        assert [caption.text for caption in captions] == list(tiny.SENTENCES[:2])
    best = captions[0]
    assert best.attention.shape == (4, 2, 4, 4) and best.attention.dtype == np.float32
    np.testing.assert_allclose(best.attention.sum((1, 2, 3)), 1, rtol=1e-4)
    assert best.log_prob <= np.log(best.probs).sum() + 1e-6
    np.testing.assert_array_equal(best.frames, frames[0])
    explained = captioner.explain_frames(frames, tiny.SENTENCES[:2])
    for given, found in zip(explained, captions, strict=True):
        assert given.words == found.words
        np.testing.assert_allclose(given.probs, found.probs, rtol=1e-4)
        np.testing.assert_allclose(given.attention, found.attention, rtol=1e-3, atol=1e-5)


def test_a_path_bytes_and_frames_caption_alike(trained, tmp_path):
    captioner = trained[0]
    frames = np.zeros((6, 40, 40, 3), np.uint8)
    for step in range(6):
        frames[step, 5 * step : 5 * step + 10, 10:20] = (255, 0, 0)
    path = gif(tmp_path / "clip.gif", frames)
    captions = [captioner.caption(s) for s in (path, str(path), path.read_bytes(), frames)]
    assert len({caption.text for caption in captions}) == 1
    np.testing.assert_allclose(captions[0].seconds, [0.075, 0.225, 0.375, 0.525])


def test_a_url_captions_like_its_file_and_a_missing_one_is_gone(trained, tmp_path):
    path = gif(tmp_path / "clip.gif", np.random.default_rng(0).integers(0, 256, (3, 9, 9, 3), "u1"))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert trained[0].caption(f"{address}/clip.gif").text == trained[0].caption(path).text
        with pytest.raises(ClipError) as error:
            trained[0].caption(f"{address}/none.gif")
        assert error.value.kind == "gone"
        server.shutdown()


def test_bad_clips_raise_clip_errors(trained, tmp_path):
    captioner = trained[0]
    Image.linear_gradient("L").save(tmp_path / "still.png")
    (tmp_path / "page.gif").write_text("<html>gone</html>")
    (tmp_path / "empty.gif").write_bytes(b"")
    kinds = {"still.png": "still", "page.gif": "not-a-clip", "empty.gif": "not-a-clip"}
    for name, kind in (kinds | {"missing.gif": "gone"}).items():
        with pytest.raises(ClipError) as error:
            captioner.caption(tmp_path / name)
        assert error.value.kind == kind
    with pytest.raises(ValueError, match="Received: uint8 of shape"):
        captioner.caption_frames(tiny.frames(1)[:, :2])


def test_round_trip_in_a_new_process_with_a_settings_file_of_another_project(trained, tmp_path):
    """Whatever Keras's own settings say of layouts there changes nothing."""
    captioner, frames, *_ = trained
    save(captioner, tmp_path / "m.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]
    settings = {"image_data_format": "channels_first", "epsilon": 0.1}
    settings["backend"] = keras.backend.backend()
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    np.save(tmp_path / "frames.npy", frames)
    script = (
        "import sys, json, numpy as np, v2t_lib as v2t, keras\n"
        "assert keras.config.image_data_format() == 'channels_first'\n"
        "model = v2t.load(sys.argv[1])\n"
        "captions = model.caption_frames(np.load(sys.argv[2]), beam=2)\n"
        "print(json.dumps([[c.text, c.log_prob, c.attention.tolist()] for c in captions]))\n"
    )
    arguments = [sys.executable, "-c", script, tmp_path / "m.keras", tmp_path / "frames.npy"]
    environment = os.environ | {"KERAS_HOME": str(tmp_path)}
    printed = subprocess.run(
        arguments, stdout=subprocess.PIPE, text=True, check=True, env=environment
    ).stdout
    here = captioner.caption_frames(frames, beam=2)
    for (text, log_prob, attention), caption in zip(json.loads(printed), here, strict=True):
        assert text == caption.text
        assert log_prob == pytest.approx(caption.log_prob, abs=1e-4)
        np.testing.assert_allclose(attention, caption.attention, atol=1e-5)


def test_the_n_best_captions_begin_with_the_one_that_is_best(trained):
    captioner, frames, *_ = trained
    found = captioner.best_captions(frames[0], 3)
    assert len({caption.text for caption in found}) == 3
    assert found[0].text == captioner.caption(frames[0], beam=3).text == tiny.SENTENCES[0]

    finished = [caption for caption in found if len(caption.words) < tiny.CAPTION.length]
    scores = [caption.log_prob / (len(caption.words) + 1) ** 0.7 for caption in finished]
    assert found[: len(scores)] == finished and scores == sorted(scores, reverse=True)
    for caption in finished:
        again = captioner.explain(frames[0], caption.text)
        assert again.log_prob == pytest.approx(caption.log_prob, rel=1e-3)
        np.testing.assert_allclose(again.attention, caption.attention, rtol=1e-3, atol=1e-5)
    memory = captioner.encode(frames)
    assert captioner.search(memory, 3, n=2).tokens.shape == (2, 2, tiny.CAPTION.length)
    for beam, n in ((0, 1), (2, 3), (1, 2)):
        with pytest.raises(ValueError, match=f"Received: beam={beam}, n={n}"):
            captioner.search(memory, beam, n)


def test_config_alone_rebuilds_it():
    captioner = tiny.captioner("r2plus1d")
    again = Captioner.from_config(captioner.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in captioner.weights]
