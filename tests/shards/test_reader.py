import dataclasses

import keras
import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif
from helpers.processes import in_this_process

from v2t_lib.captions_file import read_captions
from v2t_lib.errors import DataError
from v2t_lib.shards.pack import pack
from v2t_lib.shards.reader import ShardDataset
from v2t_lib.specs import CaptionSpec
from v2t_lib.text.vocabulary import Vocabulary, normalise

LONG = "A dog's RED t-shirt, seen twice; an unknown word and much more than fits!"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Six clips with 1, 2, 1, 2, 1 and 2 captions."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for number in range(6):
        write_gif(folder / f"{number}.gif", number)
        rows.append(f"{number}.gif\t{tiny.SENTENCES[number % 3]}\n")
        if number % 2:
            rows.append(f"{number}.gif\t{LONG}\n")
    (folder / "captions.tsv").write_text("".join(rows))
    records = read_captions(folder / "captions.tsv")
    with in_this_process():
        pack(records, folder / "captions.tsv", folder / "shards", tiny.CLIP)
    return ShardDataset.open(folder / "shards")


def test_a_folder_opens_once(shards):
    assert ShardDataset.open(shards) is shards
    assert ShardDataset.open(str(shards.folder)) == shards
    with pytest.raises(DataError, match="expected shards with a dataset"):
        ShardDataset.open(shards.folder.parent)
    other = dataclasses.replace(tiny.CLIP, frames=9)
    with pytest.raises(DataError, match=r"shards: expected clips of ClipSpec\(frames=9.*the model"):
        ShardDataset.open(shards, other)


def drawn(shards, seed, epochs=1, batch=3, skip=0):
    options = {"batch_size": batch, "seed": seed, "skip": skip}
    return [
        [
            (clips.numpy(), tokens.numpy(), targets.numpy())
            for (clips, tokens), targets in shards.batches(
                tiny.VOCABULARY, tiny.CAPTION, **options, epoch=epoch
            )
        ]
        for epoch in range(epochs)
    ]


def test_every_caption_is_an_example_and_targets_are_shifted(shards):
    (epoch,) = drawn(shards, seed=None, batch=4)
    assert [len(clips) for clips, *_ in epoch] == [4, 4, 1]
    clips, tokens, targets = (np.concatenate(parts) for parts in zip(*epoch, strict=True))
    assert clips.shape == (9, *tiny.CLIP.shape) and clips.dtype == np.uint8
    np.testing.assert_array_equal(tokens[:, 1:], targets[:, :-1])
    examples = list(shards.examples())
    pairs = [(e.frames, text) for e in examples for text in e.captions]
    for (frames, text), clip, row, target in zip(pairs, clips, tokens, targets, strict=True):
        np.testing.assert_array_equal(clip, frames)
        expected = tiny.VOCABULARY.pack(text, tiny.CAPTION.length)
        np.testing.assert_array_equal(row, expected[:-1])
        np.testing.assert_array_equal(target, expected[1:])


def test_a_seed_decides_the_order_and_epochs_differ(shards):
    one, two = (drawn(shards, seed=7, epochs=2) for _ in range(2))
    for epoch, same in zip(one, two, strict=True):
        for batch, twin in zip(epoch, same, strict=True):
            for part, other in zip(batch, twin, strict=True):
                np.testing.assert_array_equal(part, other)
    orders = [np.concatenate([targets for *_, targets in epoch]).tolist() for epoch in one]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    other = drawn(shards, seed=8)[0]
    assert np.concatenate([targets for *_, targets in other]).tolist() != orders[0]


@pytest.mark.parametrize("per_clip", [0, 2])
def test_passes_follow_each_other_in_one_pipeline(shards, per_clip):
    """Each without the rows that fill no batch, entered in the third pass too."""
    steps = shards.steps(4, per_clip)
    fixed = (tiny.VOCABULARY, tiny.CAPTION, 4, 5)

    def read(epoch, skip=0, **passes):
        return shards.batches(*fixed, epoch, skip, captions_per_clip=per_clip, **passes)

    alone = [batch for epoch in range(3, 7) for batch in read(epoch)]
    for skip in (0, 2 * steps + 1):
        together = read(3, skip, passes=4)
        assert int(together.cardinality()) == 4 * steps - skip
        for batch, expected in zip(together, alone[skip:], strict=True):
            for part, other in zip(*map(keras.tree.flatten, (batch, expected)), strict=True):
                np.testing.assert_array_equal(part, other)


def test_an_epoch_can_be_entered_midway(shards):
    """What is skipped is left out, and the rest is as it was; the order hangs on nothing else."""
    whole = drawn(shards, seed=7, epochs=2, batch=2)
    keras.utils.set_random_seed(5)
    for epoch, late in zip(whole, drawn(shards, seed=7, epochs=2, batch=2, skip=3), strict=True):
        assert len(epoch) == 4 and len(late) == 1
        for part, other in zip(epoch[3], late[0], strict=True):
            np.testing.assert_array_equal(part, other)


@pytest.mark.parametrize(
    ("size", "skip", "drawn"), [(4, 0, 0), (4, 1, 0), (4, 0, 2), (6, 0, 0), (8, 0, 2)]
)
def test_hosts_that_share_each_batch_have_it_all_between_them(shards, size, skip, drawn):
    """With 6 and 8, what is left over would fill the first one's part of a batch."""
    options = {"seed": 3, "epoch": 1, "skip": skip, "captions_per_clip": drawn}

    def read(batch_size, **share):
        batches = shards.batches(tiny.VOCABULARY, tiny.CAPTION, batch_size, **options, **share)
        return [keras.tree.map_structure(np.asarray, batch) for batch in batches]

    whole, shares = read(size), [read(size, share=(number, 2)) for number in range(2)]
    assert [*map(len, shares)] == [len(whole)] * 2 == [(12 if drawn else 9) // size - skip] * 2
    for batch, *parts in zip(whole, *shares, strict=True):
        joined = keras.tree.map_structure(lambda *rows: np.concatenate(rows), *parts)
        for rows, expected in zip(*map(keras.tree.flatten, (joined, batch)), strict=True):
            np.testing.assert_array_equal(rows, expected)
            assert len(expected) == size


def test_a_batchs_clips_can_be_named(shards):
    frames = {example.source: example.frames for example in shards.examples()}
    for epoch, rows in enumerate(drawn(shards, seed=3, epochs=2)):
        for number, (clips, *_) in enumerate(rows):
            sources = shards.sources_of_batch(3, 3, epoch, number)
            np.testing.assert_array_equal(clips, np.stack([frames[s] for s in sources]))


@pytest.mark.parametrize(("count", "epochs"), [(1, 4), (2, 1), (3, 1)])
def test_captions_are_drawn_of_each_clip_and_others_in_another_epoch(shards, count, epochs):
    captions = {e.source: len(e.captions) for e in shards.examples()}
    frames = {example.source: example.frames for example in shards.examples()}
    of = {clip.tobytes(): source for source, clip in frames.items()}
    spec, seen = tiny.CAPTION, set()
    for epoch in range(epochs):
        rows = list(shards.batches(tiny.VOCABULARY, spec, 3, 3, epoch, captions_per_clip=count))
        assert len(rows) == shards.steps(3, count) == 2 * count
        sources = []
        for number, ((clips, _), _) in enumerate(rows):
            if number == 1:
                named = shards.sources_of_batch(3, 3, epoch, number, count)
                np.testing.assert_array_equal(clips, np.stack([frames[s] for s in named]))
            sources += [of[clip.tobytes()] for clip in clips.numpy()]
        assert sorted(sources) == sorted(count * list(captions))
        targets = [tuple(row) for _, batch in rows for row in batch.numpy().tolist()]
        drawn_now = set(zip(sources, targets, strict=True))
        # As many different ones as there are.
        assert len(drawn_now) == sum(min(count, n) for n in captions.values())
        seen |= drawn_now
    assert len(seen) == sum(captions.values())  # in the end all of them


def test_sentences_are_normalised(shards):
    sentences = list(shards.sentences())
    assert [len(of_clip) for of_clip in sentences] == [1, 2, 1, 2, 1, 2]
    assert sentences[1] == [normalise(tiny.SENTENCES[1]), normalise(LONG)]


def test_captions_make_the_vocabulary(shards):
    captions = shards.captions()
    assert len(captions) == 9 and captions[2] == LONG
    vocabulary = Vocabulary.from_captions(captions, min_count=2)
    assert "dog's" in vocabulary.words and "t-shirt" in vocabulary.words


def test_batches_larger_than_the_data_are_refused(shards):
    with pytest.raises(DataError, match="Received: 9"):
        shards.batches(tiny.VOCABULARY, CaptionSpec(5), 10, seed=0)
