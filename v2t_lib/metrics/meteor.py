"""METEOR 1.5 (Denkowski and Lavie 2014, "Meteor Universal", English ranking parameters).

Its Java program, of the package pycocoevalcap (the extra `meteor`), counts the matches of each
caption; the score is computed here, from sums over clips, as in `coco`.
"""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from v2t_lib.progress import log

#: A row's columns, as the program prints them: lengths of caption and reference; their function
#: words; matches by stage, kind of word and side; chunks; matched words of caption and reference.
COLUMNS = 23
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase


class NoMeteor(Exception):
    """METEOR can't be computed on this machine; the message says why, in one line."""


def find_java() -> str:
    """The `java` to run: the one in `JAVA_HOME`, else the one on the `PATH`."""
    home = os.environ.get("JAVA_HOME")
    java = home and shutil.which("java", path=str(Path(home) / "bin"))
    if not (java := java or shutil.which("java")):
        raise NoMeteor("no Java found; install a Java runtime to have it")
    return java


def find_jar() -> Path:
    """The path of `meteor-1.5.jar` in the installed pycocoevalcap."""
    package = importlib.util.find_spec("pycocoevalcap")
    for folder in (package and package.submodule_search_locations) or ():
        if (jar := Path(folder) / "meteor" / "meteor-1.5.jar").is_file():
            return jar
    raise NoMeteor("its program is not installed; pip install pycocoevalcap to have it")


def _answers(command: list[str], questions: list[str]) -> list[str]:
    """The program's answer to each line of its input."""
    asked = "".join(f"{line}\n" for line in questions).encode()
    log.info("METEOR of %d clips, in Java", len(questions))
    try:
        done = subprocess.run(command, input=asked, capture_output=True)
    except OSError as error:
        raise NoMeteor(f"{command[0]} does not start: {error.strerror}") from error
    answers = [line for line in done.stdout.decode().splitlines() if line.strip()]
    if len(answers) == len(questions):
        return answers
    notes = done.stderr.decode(errors="replace").splitlines()
    said = "; ".join(note for note in notes if not note.startswith(("\t", "Picked up")))
    raise NoMeteor(f"the METEOR program failed; it said: {said[:300] or 'nothing'}")


def clip_statistics(
    captions: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]
) -> np.ndarray:
    """The statistics of every clip, float `(clips, COLUMNS)`, by its words and its references'.

    Raises:
        NoMeteor: Java or the program is missing, or it failed.
    """
    java, jar = find_java(), find_jar()
    # By default it looks for the paraphrases beside the jar, but fails if that path has a space.
    data = jar.parent / "data" / "paraphrase-en.gz"
    command = [java, "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", str(jar)]
    command += ["-", "-", "-stdio", "-l", "en", "-norm", "-a", str(data)]
    questions = [
        " ||| ".join(["SCORE", *(" ".join(part).replace("|||", "") for part in (*of, words))])
        for words, of in zip(captions, references, strict=True)
    ]
    rows = [[float(number) for number in line.split()] for line in _answers(command, questions)]
    table = np.array(rows).reshape(-1, COLUMNS)
    whole = (table[:, 4:20:2].sum(1) == table[:, 0]) & (table[:, 5:20:2].sum(1) == table[:, 1])
    table[whole & (table[:, 20] == 1), 20] = 0  # no penalty if all words match in one chunk
    return table


def score(sums: np.ndarray) -> np.ndarray:
    """METEOR `(...)`, from 0 to 1, of sums of rows of `clip_statistics` `(..., COLUMNS)`."""
    sums = np.asarray(sums, float)
    lengths, functions = sums[..., 0:2], sums[..., 2:4]  # (..., caption and reference)
    # Stages are exact, stem, synonym and paraphrase: (..., stage, content or function, side).
    stages = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 2, 2)
    content, function = np.moveaxis(np.einsum("...scw,s->...cw", stages, _WEIGHTS), -2, 0)
    matches = _DELTA * content + (1 - _DELTA) * function
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = matches / (_DELTA * (lengths - functions) + (1 - _DELTA) * functions)
        precision, recall = shares[..., 0], shares[..., 1]
        mean = 1 / ((1 - _ALPHA) / precision + _ALPHA / recall)
        fragmentation = sums[..., 20] / (sums[..., 21:23].sum(-1) / 2)
        return np.nan_to_num(mean * (1 - _GAMMA * fragmentation**_BETA))
