"""Pairs of clip and sentence: rows in order, each clip decoded once, none stops the others."""

import numpy as np
import pytest
from helpers import tiny
from helpers.clips import write_gif

from v2t_lib.captions_file import read_pairs
from v2t_lib.models import verify_pairs as module
from v2t_lib.models.over_clips import decode_all
from v2t_lib.models.verify_pairs import verify_pairs

pytestmark = pytest.mark.usefixtures("eager")

ROWS = """\
0.gif\ta red star spins
1.gif\tthe blue circle grows
none.gif\ta red star spins
0.gif\ta zebra spins

0.gif\t
1.gif
2.gif\ta red star\tspins
0.gif\tLONG
none.gif\ta cross blinks
0.gif\ta "red" cross
"""


@pytest.fixture
def captioner():
    return tiny.judge()


@pytest.fixture
def pairs(tmp_path):
    for number in range(2):
        write_gif(tmp_path / f"{number}.gif", number)
    (tmp_path / "pairs.tsv").write_text(ROWS.replace("LONG", "a " * 101))
    return read_pairs(tmp_path / "pairs.tsv")


@pytest.mark.parametrize("batch", [1, 2, 32])
def test_results_come_in_order_whatever_the_batch(captioner, pairs, monkeypatch, batch):
    decoded, encoded = [], []

    def decode(sources, *arguments):
        decoded.extend(sources)
        return decode_all(sources, *arguments)

    def encode(inputs, encode=captioner.encode):
        encoded.append(len(inputs))
        return encode(inputs)

    monkeypatch.setattr(module, "decode_all", decode)
    monkeypatch.setattr(captioner, "encode", encode, raising=False)
    monkeypatch.setattr(module, "BATCH", batch)
    results = list(verify_pairs(captioner, pairs))
    rows = [line.split("\t") for line in ROWS.splitlines() if line]
    assert [row.file for row in results] == [file for file, *_ in rows]
    assert [bool(row.found) for row in results] == [1, 1, 0, 1, 0, 0, 0, 0, 0, 1]
    assert len(decoded) == len(set(decoded)) == 3  # the two clips, and the one that isn't there
    assert encoded == [2]  # each clip once
    for row, message in ((2, "gone: "), (4, "with a word"), (5, "1 column"), (6, "3 columns"),
                         (7, "at most 100 words"), (8, "gone: ")):  # fmt: skip
        assert message in results[row].error
        assert results[row].to_dict().keys() == {"file", "sentence", "error"}
    alone = captioner.verify(pairs[0].source, "a red cross").to_dict()
    together = results[-1].to_dict()
    assert together.pop("file") == "0.gif" and together.pop("sentence") == 'a "red" cross'
    np.testing.assert_allclose(together["score"], alone["score"], atol=1e-4)
    assert together["words"][1]["word"] == "red"


def test_a_password_is_not_repeated(captioner, tmp_path):
    (tmp_path / "pairs.tsv").write_text("http://me:secret@127.0.0.1:9/a.gif\ta cross\n")
    (result,) = verify_pairs(captioner, read_pairs(tmp_path / "pairs.tsv"))
    assert result.file == "http://127.0.0.1:9/a.gif" and "secret" not in result.error
