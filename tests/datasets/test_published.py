"""One's own scores stand beside published ones only when they are over the same clips."""

import json

import pytest

from v2t_lib.cli.main import main
from v2t_lib.datasets.published import (
    PUBLISHED,
    TEST_SPLITS,
    beside_published,
    why_not_beside,
)
from v2t_lib.datasets.releases import MSRVTT, MSVD
from v2t_lib.datasets.tgif import ROWS
from v2t_lib.metrics.corpus_scores import NAMES
from v2t_lib.metrics.tables import published_table

OURS = dict.fromkeys(NAMES, 0.5) | {"clips": 3, "loss": 1.0}


def references(clips, captions):
    """`captions` references in all, shared out among `clips` clips."""
    each, rest = divmod(captions, clips)
    return {str(n): ("a cat",) * (each + (n < rest)) for n in range(clips)}


def test_the_test_splits_are_those_of_the_releases():
    assert TEST_SPLITS["msvd"].clips == MSVD.sizes["test"]
    assert TEST_SPLITS["msrvtt"].clips == MSRVTT.sizes["test"]
    assert TEST_SPLITS["msrvtt"].references == 20 * MSRVTT.sizes["test"]
    assert TEST_SPLITS["tgif"].clips == ROWS["data/splits/test.txt"]


def test_published_rows_have_scores_of_ours_a_protocol_and_a_source():
    texts, sizes = (
        ("data", "system", "protocol", "source"),
        dict(s[:2] for s in TEST_SPLITS.values()),
    )
    for row in PUBLISHED:
        assert set(row) == {"year", "clips", *texts, *NAMES} and all(row[name] for name in texts)
        assert all(row[name] is None or 0 < row[name] < 1 for name in NAMES)
        # A row over other clips says that it isn't in the protocol.
        assert row["clips"] == sizes[row["data"]] or row["protocol"].startswith("not ")
    tgif = PUBLISHED[0]
    assert (tgif["BLEU-1"], tgif["CIDEr"], tgif["METEOR"]) == (0.521, 0.316, 0.167)


@pytest.mark.parametrize("name, captions", [("msvd", 27_763), ("msrvtt", 59_800), ("tgif", 34_000)])
def test_scores_on_the_whole_test_split_are_the_last_row(name, captions):
    rows, why = beside_published(name, OURS, references(TEST_SPLITS[name].clips, captions))
    assert not why and {row["data"] for row in rows} == {TEST_SPLITS[name].data}
    assert rows[-1]["system"] == "yours" and rows[-1].keys() == rows[0].keys()
    assert rows[-1]["CIDEr"] == 0.5 and rows[-1]["clips"] == TEST_SPLITS[name].clips


def test_scores_on_some_of_the_clips_are_left_out_and_the_reason_said():
    rows, why = beside_published("msvd", OURS, references(669, 27_763))
    assert all(row["system"] != "yours" for row in rows) and len(rows) == 2
    assert "all 670 test clips of MSVD, and these over 669" in why
    assert "v2t score" in why_not_beside("msvd", references(670, 24_033))
    assert "against all 59,800 captions" in why_not_beside("msrvtt", references(2990, 59_000))
    rows, why = beside_published("shapes", OURS, references(640, 640))
    assert rows == [] and why == "no published scores of 'shapes' are known here"


def test_score_shows_them(no_java, tmp_path, capsys):
    file = tmp_path / "references.tsv"
    file.write_text("".join(f"{clip}.avi\ta cat\n" for clip in range(9)))
    command = ["score", str(file), str(file), "--published", "msvd"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "SA-LSTM (temporal attention), Inception-v4 features, 20" in printed
    assert "Yours is not among them: published scores are over all 670 test clips" in printed
    assert main([*command, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["published"]
    assert len(shown["rows"]) == 2 and "these over 9" in shown["why_not"]
    rows, why = beside_published("msvd", OURS, references(670, 27_763))
    assert "\nyours " in published_table(rows, why) and not why


@pytest.mark.shared
def test_msvds_test_clips_have_so_many_captions(shared_data):
    folder = shared_data / "msvd"
    clips = set((folder / "test.txt").read_text().split())
    rows = (folder / "captions.tsv").read_text().splitlines()
    count = sum(row.split("\t")[0] in clips for row in rows)
    assert (len(clips), count) == (TEST_SPLITS["msvd"].clips, TEST_SPLITS["msvd"].references)
