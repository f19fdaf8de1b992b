import json
import sys

import numpy as np
import pytest

from v2t_lib.metrics import meteor

FAKE = """#!{python}
# Stands in for Java: notes how it was called, then answers as METEOR does, every word a match.
import json, os, sys
os.stat(sys.argv[-1]), os.stat(sys.argv[sys.argv.index("-jar") + 1])
json.dump(sys.argv[1:], open({log!r}, "w"))
for line in sys.stdin:
    command, *references, caption = line.split("|||")
    assert command.strip() == "SCORE", line
    if "quit" in caption:
        sys.exit("Picked up options\\nError: no VM\\nCould not reserve space\\n\\tat X")
    words = len(caption.split())
    print(*[words, words, 0, 0, words, words, *[0] * 14, len(references), words, words], flush=True)
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A Java and a METEOR program in folders with spaces; where the call is noted."""
    folder = tmp_path / "Colab Notebooks"
    java, jar = folder / "bin" / "java", folder / "pycocoevalcap" / "meteor" / "meteor-1.5.jar"
    for path in (java, jar, jar.parent / "data" / "paraphrase-en.gz"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    java.write_text(FAKE.format(python=sys.executable, log=str(tmp_path / "call.json")))
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(folder))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return tmp_path / "call.json"


def test_rows_come_from_the_program_even_in_a_folder_with_spaces(fake):
    rows = meteor.clip_statistics(
        [["a", "cat"], [], ["a"]], [[["x"], ["y", "z"]], [["x"]], [["a"]]]
    )
    assert rows[:, 0].tolist() == [2, 0, 1] and rows.shape == (3, meteor.COLUMNS)
    assert rows[:, 20].tolist() == [2, 0, 0]  # one piece that is all of the caption is none
    arguments = json.loads(fake.read_text())
    assert {"-stdio", "-norm", "-Xmx2G"} < set(arguments)
    assert arguments[-2] == "-a" and arguments[-1].endswith(
        "Colab Notebooks/pycocoevalcap/meteor/data/paraphrase-en.gz"
    )


def test_what_is_missing_or_fails_is_said_in_one_line(fake, monkeypatch, tmp_path):
    def said():
        with pytest.raises(meteor.NoMeteor) as error:
            meteor.clip_statistics([["a"], ["quit"], ["a"]], [[["x"]]] * 3)
        return str(error.value)

    assert said().endswith("it said: Error: no VM; Could not reserve space")
    java = meteor.find_java()
    with open(java, "w") as file:
        file.write("#!/nowhere/python\n")
    assert f"{java} does not start: No such file" in said()
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        assert "pip install pycocoevalcap" in said()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no Java found; install" in said()


def test_the_score_by_hand():
    # Caption of 5 words, 2 of them function words, reference of 6 and 3; the caption's content:
    # one exact match and one stem; one function word; 2 pieces of 3 words each.
    row = np.zeros(meteor.COLUMNS)
    row[:4] = 5, 6, 2, 3
    row[4:8] = 1, 1, 1, 1  # exact: content of either, function words of either
    row[8:10] = 1, 1  # stem: content of either
    row[20:] = 2, 3, 3
    matches = 0.75 * (1 + 0.6) + 0.25 * 1
    precision, recall = matches / (0.75 * 3 + 0.25 * 2), matches / (0.75 * 3 + 0.25 * 3)
    mean = 1 / (0.15 / precision + 0.85 / recall)
    expected = mean * (1 - 0.6 * (2 / 3) ** 0.2)
    assert meteor.score(row) == pytest.approx(expected)
    np.testing.assert_allclose(
        meteor.score(np.stack([row, 2 * row, 0 * row])), [expected, expected, 0]
    )
