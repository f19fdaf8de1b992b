import json

import numpy as np
import pytest
from PIL import Image

from v2t_lib.cli.main import main
from v2t_lib.errors import VERDICTS, DataError
from v2t_lib.fetching.report import picture, table
from v2t_lib.shards.format import Verdict
from v2t_lib.shards.pack import coverage
from v2t_lib.shards.slices import SliceWriter


def folder_of(path, sources: dict[str, int], verdicts: dict[str, dict[str, int]]):
    """A fetched folder with so many verdicts of each split, in one slice a split."""
    for split, counts in verdicts.items():
        rows = [
            Verdict(f"{split}/{verdict}/{number}", split, verdict)
            for verdict, count in counts.items()
            for number in range(count)
        ]
        (path / split).mkdir(parents=True)
        SliceWriter(path / split, 0).finish(None, "digest", tuple(rows))
    (path / "fetch.json").write_text(json.dumps({"sources": sources}))
    return path


@pytest.fixture
def fetched(tmp_path):
    train = {"ok": 1180, "gone": 3, "forbidden": 2}
    return folder_of(
        tmp_path, {"train": 1200, "all": 5}, {"train": train, "all": dict.fromkeys(VERDICTS[:4], 1)}
    )


def test_counts_by_split_and_verdict(fetched):
    assert coverage(fetched) == {
        "have": 1181,
        "of": 1205,
        "splits": {
            "train": {
                "of": 1200,
                "verdicts": {"ok": 1180, "gone": 3, "forbidden": 2, "waiting": 15},
            },
            "all": {
                "of": 5,
                "verdicts": {"ok": 1, "gone": 1, "forbidden": 1, "still": 1, "waiting": 1},
            },
        },
    }


def test_the_table_lines_up(fetched):
    first, header, *rows = table(coverage(fetched)).splitlines()
    assert first == "you have 1,181 of 1,205"
    assert header.split() == ["split", "of", "ok", "gone", "forbidden", "still", "waiting"]
    assert rows[0].split() == ["train", "1,200", "1,180", "3", "2", "0", "15"]
    assert len({len(line) for line in (header, *rows)}) == 1


def test_parts_count_together(tmp_path):
    for part in (1, 2):
        folder_of(tmp_path / f"part-{part}-of-2", {"val": 10}, {"val": {"ok": 3 + part, "gone": 1}})
    counted = coverage(tmp_path)
    assert (counted["have"], counted["of"]) == (9, 20)
    assert counted["splits"]["val"]["verdicts"] == {"ok": 9, "gone": 2, "waiting": 9}


def test_a_folder_without_a_fetch_is_refused(tmp_path):
    with pytest.raises(DataError, match="a directory that `v2t fetch` wrote"):
        coverage(tmp_path)


def test_the_command_prints_and_draws(fetched, capsys):
    assert main(["fetch", "--report", str(fetched)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{fetched}: you have 1,181 of 1,205\n")
    assert main(["fetch", "--report", str(fetched), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == coverage(fetched)
    with Image.open(fetched / "report.png") as drawn:
        drawn = np.asarray(drawn.convert("RGB")).reshape(-1, 3)
    assert (drawn == (0x00, 0x9E, 0x73)).all(1).mean() > 0.05  # what is there
    assert (drawn == (0xD5, 0x5E, 0x00)).all(1).any()  # what is forbidden


@pytest.mark.parametrize("verdicts", [{}, {"ok": 3}, {"gone": 3}])
def test_pictures_of_nothing_and_of_all(tmp_path, verdicts):
    folder_of(tmp_path, {"all": 3}, {"all": verdicts})
    picture(coverage(tmp_path), tmp_path / "report.png")
    with Image.open(tmp_path / "report.png") as drawn:
        assert drawn.size[0] > 500
