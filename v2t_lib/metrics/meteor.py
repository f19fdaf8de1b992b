"""METEOR 1.5, which exists as a Java program only; run where there is a Java, else told why not.

The program comes with the package pycocoevalcap (the extra `meteor`). It counts matches for each
caption; the score is computed here, from sums over clips, as in `metrics`.

Source: Denkowski and Lavie 2014, "Meteor Universal"; its English ranking parameters.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

#: A row: lengths and function words of caption and reference; matches; chunks; matched words.
COLUMNS = 23
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75
_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # exact, stem, synonym, paraphrase


class NoMeteor(Exception):
    """METEOR can't be computed here; the message says why in one line."""


def find_java() -> str:
    """The `java` to run: of `JAVA_HOME`, else of the `PATH`."""
    home = os.environ.get("JAVA_HOME")
    java = home and shutil.which("java", path=str(Path(home) / "bin"))
    if not (java := java or shutil.which("java")):
        raise NoMeteor("no Java found; install a Java runtime to have it")
    return java


def find_jar() -> Path:
    """`meteor-1.5.jar` of an installed pycocoevalcap."""
    found = importlib.util.find_spec("pycocoevalcap")
    for folder in found.submodule_search_locations if found else ():
        if (jar := Path(folder) / "meteor" / "meteor-1.5.jar").is_file():
            return jar
    raise NoMeteor("its program is not installed; pip install pycocoevalcap to have it")


@contextlib.contextmanager
def _running(command: list[str]):
    """The program, taking a line and giving a line; what it complains of ends up in the error."""
    with tempfile.TemporaryFile() as complaints:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints
            )
        except OSError as error:
            raise NoMeteor(f"{command[0]} does not start: {error.strerror}") from error

        def ask(line: str) -> str:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"{line}\n".encode())
                process.stdin.flush()
            if answer := process.stdout.readline().decode().strip():
                return answer
            process.wait()
            complaints.seek(0)
            lines = complaints.read().decode(errors="replace").splitlines()
            said = "; ".join(line for line in lines if not line.startswith(("\t", "Picked up")))
            raise NoMeteor(f"Java gave up; it said: {said[:300] or 'nothing'}")

        try:
            yield ask
        finally:
            process.kill()
            process.wait()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()


def rows(captions: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]):
    """What each clip adds: float `(clips, COLUMNS)`.

    Args:
        captions: The words of each clip's caption.
        references: For each clip, the words of its references.

    Raises:
        NoMeteor: There is no Java or no program, or it failed.
    """
    java, jar = find_java(), find_jar()
    # Left alone it looks for its paraphrases beside the jar, and finds no path with a space.
    data = jar.parent / "data" / "paraphrase-en.gz"
    command = [java, "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", str(jar)]
    command += ["-", "-", "-stdio", "-l", "en", "-norm", "-a", str(data)]
    found = []
    with _running(command) as ask:
        pairs = zip(captions, references, strict=True)
        for words, of_clip in tqdm(pairs, "METEOR", total=len(captions), unit="clip"):
            texts = [" ".join(part).replace("|||", "") for part in (*of_clip, words)]
            found.append([float(n) for n in ask(" ||| ".join(["SCORE", *texts])).split()])
    table = np.array(found).reshape(-1, COLUMNS)
    whole = (table[:, 4:20:2].sum(1) == table[:, 0]) & (table[:, 5:20:2].sum(1) == table[:, 1])
    table[whole & (table[:, 20] == 1), 20] = 0  # a caption in one piece is not in pieces
    return table


def figure(sums: np.ndarray) -> np.ndarray:
    """METEOR, from 0 to 1.

    Args:
        sums: float `(..., COLUMNS)`: sums of rows, or a row itself for a clip's own figure.

    Returns:
        An array `(...)`.
    """
    sums = np.asarray(sums, float)
    lengths, functions = sums[..., 0:2], sums[..., 2:4]  # (..., caption and reference)
    stages = sums[..., 4:20].reshape(*sums.shape[:-1], 4, 2, 2)  # (..., stage, content?, which)
    content, function = np.moveaxis(np.einsum("...scw,s->...cw", stages, _WEIGHTS), -2, 0)
    matches = _DELTA * content + (1 - _DELTA) * function
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = matches / (_DELTA * (lengths - functions) + (1 - _DELTA) * functions)
        precision, recall = shares[..., 0], shares[..., 1]
        mean = 1 / ((1 - _ALPHA) / precision + _ALPHA / recall)
        pieces = sums[..., 20] / (sums[..., 21:23].sum(-1) / 2)
        return np.nan_to_num(mean * (1 - _GAMMA * pieces**_BETA))
