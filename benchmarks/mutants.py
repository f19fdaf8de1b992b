"""How many small faults in the model and its training do the tests notice?

Draws places at random from attention, decoder, search, losses and training, changes each with one
of Cosmic Ray's operators (`a + b` to `a - b`, 1 to 2, `if x` to `if not x`) in a copy of the
repository, and runs the tests of that file until one fails. Prints every fault that none noticed.
At least 90% have to be noticed, those that change nothing (`EQUIVALENT`) left out.

    python benchmarks/mutants.py --count 60 --seed 0

`--count 0` takes every place once, in a random order. A fault takes seconds, or a minute in
training.
"""

import argparse
import ast
import difflib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 0.9
#: The tests of each file, the quickest first.
TESTS = {
    "models/attention.py": ["models/test_attention.py"],
    "models/decoder.py": ["models/test_decoder.py"],
    "models/generation.py": ["models/test_generation.py"],
    "training/losses.py": ["training/test_losses.py"],
    "training/compile.py": ["training/test_compile.py", "training/test_options.py"],
    "training/callbacks.py": ["training/test_train.py", "training/test_fit.py"],
    "training/fit.py": ["training/test_fit.py", "training/test_options.py"],
    "training/resumable_state.py": ["training/test_fit.py", "training/test_train.py"],
    "training/train.py": ["training/test_train.py", "training/test_options.py"],
}
#: Parts of changed lines that change nothing, and why.
EQUIVALENT = {
    "strict=False": "what is zipped is equally long",
    "context[:, -1]": "the axis has one element",
    "weights[:, -1]": "the axis has one element",
    "best, axis=1)[:, -1]": "the axis has one element",
    "best[..., None], axis=1)[:, -1]": "the axis has one element",
    "seed=seed)[:, -1]": "the axis has one element",
    "categorical(log_probs, 2,": "the first of two draws is as random as one",
    "chosen[:, None], axis=+1)": "the last of two axes is number 1",
    "_IMPOSSIBLE = - 999999999.0": "any number as far below the others",
    "_IMPOSSIBLE = -1000000001.0": "any number as far below the others",
    "_IMPOSSIBLE = - 1000000001.0": "any number as far below the others",
    "ops.where(done, -1.0, _IMPOSSIBLE)": "every finished caption loses as much",
    "ops.where(done, 1.0, _IMPOSSIBLE)": "every finished caption gains as much",
    "ops.arange(width) == 1": "whichever beam is extended first; with one, the best token is first",
    "+    /,": "which arguments may be named, not what is done with them",
    "ops.minimum(barred, 2.0)": "what is barred twice is barred",
    "np.arange(each) == 1": "whichever of a finished beam's tokens, all PAD, is the one",
}
#: Operators that are made for names that one gives them.
NAMED = ("VariableReplacer", "VariableInserter")


class Fault(NamedTuple):
    """A change to one place of a source file of `v2t_lib`: its whole text before and after."""

    source: str
    before: str
    after: str

    def diff(self) -> list[str]:
        """The lines that differ, the old ones first."""
        old, new = self.before.splitlines(), self.after.splitlines()
        lines = difflib.unified_diff(old, new, self.source, self.source, n=0, lineterm="")
        return [line for line in lines if not line.startswith(("---", "+++"))]

    def equivalent(self) -> str | None:
        """Why the fault changes nothing, if it is known to."""
        changed = self.diff()[-1]
        return next((why for part, why in EQUIVALENT.items() if part in changed), None)


def annotations(code: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where the code's type annotations begin and end, as `(line, column)`; they do nothing."""
    found = []
    for node in ast.walk(ast.parse(code)):
        for part in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if part is not None:
                end = (part.end_lineno, part.end_col_offset)
                found.append(((part.lineno, part.col_offset), end))
    return found


def places(code: str) -> dict[tuple, list[tuple[type, int]]]:
    """Every place that operators can change, with each of them and the number of its occurrence."""
    from cosmic_ray.ast import Visitor, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    found, left_out = {}, annotations(code)

    class Look(Visitor):
        def visit(self, node):
            for start, end in self.operator.mutation_positions(node):
                if not any(first <= start < last for first, last in left_out):
                    found.setdefault((start, end), []).append((type(self.operator), self.number))
                self.number += 1
            return node

    for name in operator_names():
        if not name.endswith(NAMED):
            look = Look()
            look.operator, look.number = get_operator(name)(), 0
            look.walk(get_ast(code))
    return found


def faults(sources: list[str], seed: int) -> Iterator[Fault]:
    """One fault at each place of the files, in random order."""
    from cosmic_ray.mutating import mutate_code

    draw = random.Random(seed)
    codes = {source: (ROOT / "v2t_lib" / source).read_text("utf-8") for source in sources}
    every = [(source, ways) for source in sources for ways in places(codes[source]).values()]
    for source, ways in draw.sample(every, len(every)):
        for operator, number in draw.sample(ways, len(ways)):
            code = mutate_code(codes[source], operator(), number)
            try:
                same = ast.dump(ast.parse(code)) == ast.dump(ast.parse(codes[source]))
            except SyntaxError:  # a star that is no multiplication
                continue
            if not same:
                yield Fault(source, codes[source], code)
                break


def run_tests(folder: str, tests: list[str]) -> None:
    """Runs in a process of its own, which ends with pytest's exit code."""
    import pytest

    sys.dont_write_bytecode = True  # of a changed file it would be taken for that of the whole one
    os.chdir(folder)
    sys.path.insert(0, folder)
    out = os.open("out.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    marks = "not shared and not jax"
    code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", marks, *tests])
    os._exit(code)


def attempt(
    fault: Fault | None, tests: list[str], seconds: float, context
) -> tuple[int | None, str]:
    """pytest's exit code, None where time ran out, and what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("v2t_lib", "tests", "benchmarks", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, Path(folder) / part)
        shutil.rmtree(Path(folder) / "v2t_lib" / "__pycache__", ignore_errors=True)
        if fault is not None:
            (Path(folder) / "v2t_lib" / fault.source).write_text(fault.after, "utf-8")
        process = context.Process(target=run_tests, args=(folder, tests))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            return None, ""
        return process.exitcode, (Path(folder) / "out.txt").read_text("utf-8", "replace")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="faults; 0 for one a place")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--source", action="append", choices=TESTS, help="all of them by default")
    args = parser.parse_args()
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the library sets it, before TensorFlow
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras", "pandas", "pytest"])
    sources, limits = args.source or list(TESTS), {}
    tests = {source: [f"tests/{path}" for path in TESTS[source]] for source in sources}
    for source in sources:
        start = time.monotonic()
        code, printed = attempt(None, tests[source], 1200, context)
        if code != 0:
            print(f"expected the tests of {source} to pass. Received:\n{printed}")
            return 1
        limits[source] = 60 + 5 * (time.monotonic() - start)
    drawn = list(faults(sources, args.seed))[: args.count or None]
    survived, equal, noticed = [], [], 0

    def judge(fault: Fault) -> bool:
        code, printed = attempt(fault, tests[fault.source], limits[fault.source], context)
        if code not in (0, 1, 2, None) and code > 0:
            raise RuntimeError(f"pytest ended with {code}: {fault.diff()}\n{printed}")
        return code == 0

    with ThreadPoolExecutor(args.workers) as pool:
        for number, (fault, alive) in enumerate(zip(drawn, pool.map(judge, drawn), strict=True)):
            if not alive:
                noticed += 1
                continue
            reason = fault.equivalent()
            (equal if reason else survived).append(fault)
            print(
                f"[{number + 1} of {len(drawn)}] {reason or 'not noticed'}\n{fault.diff()}",
                flush=True,
            )
    share = noticed / max(1, noticed + len(survived))
    print(
        f"{noticed} of {noticed + len(survived)} faults noticed, {100 * share:.0f}% (at least "
        f"{100 * LIMIT:.0f}%); {len(equal)} more change nothing"
    )
    return share < LIMIT


if __name__ == "__main__":
    sys.exit(main())
