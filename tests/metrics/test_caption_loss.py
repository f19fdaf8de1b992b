import numpy as np
import pytest
from helpers import tiny

from v2t_lib.metrics.caption_loss import caption_loss
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.training.losses import sequence_loss

pytestmark = pytest.mark.usefixtures("eager")


@pytest.mark.parametrize("batch", [2, 64])
def test_the_loss_is_the_mean_over_all_tokens(several_captions, monkeypatch, batch):
    monkeypatch.setattr("v2t_lib.metrics.caption_loss.BATCH", batch)
    captioner = tiny.captioner()
    examples = [
        (e.frames, text)
        for e in ShardDataset.open(several_captions).examples()
        for text in e.captions
    ]
    frames = np.stack([frames for frames, _ in examples])
    tokens = tiny.tokens(*(text for _, text in examples))
    expected = float(sequence_loss(tokens[:, 1:], captioner((frames, tokens[:, :-1]))))
    assert caption_loss(captioner, several_captions) == pytest.approx(expected, rel=1e-4)


def test_the_loss_on_the_wrong_clips_shows_every_caption_one_clip_from_before(several_captions):
    captioner, examples = tiny.captioner(), list(ShardDataset.open(several_captions).examples())
    for lag in (1, 2):
        shown = [
            (examples[number - lag].frames, text)
            for number, example in enumerate(examples)
            for text in example.captions
        ]
        frames = np.stack([frames for frames, _ in shown])
        tokens = tiny.tokens(*(text for _, text in shown))
        expected = float(sequence_loss(tokens[:, 1:], captioner((frames, tokens[:, :-1]))))
        assert caption_loss(captioner, several_captions, lag) == pytest.approx(expected, rel=1e-4)
    assert caption_loss(captioner, several_captions) != pytest.approx(expected, rel=1e-4)


def test_a_blind_captioner_loses_nothing_on_the_wrong_clips(several_captions):
    blind = tiny.captioner("blind")
    loss, shuffled = (caption_loss(blind, several_captions, lag) for lag in (0, 2))
    assert shuffled == pytest.approx(loss, rel=1e-5)
