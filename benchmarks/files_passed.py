"""How far a reader walks: the library's files whose functions are called by a training's first
step, one caption, one claim and one packed GIF, all processes together.

What modules do as they are imported doesn't count. `--files` prints the names.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import v2t_lib as v2t

PACKAGE = Path(v2t.__file__).parent
#: Files at most.
LIMITS = {"training step": 35, "caption": 12, "verify": 14, "packed GIF": 18}

#: Every Python process of a walk runs this first. The walk itself is traced from `trace()` on, its
#: worker processes from their start.
TRACER = """
import builtins, sys, threading

PACKAGE, REPORT, seen = {package!r}, {report!r}, set()

def importing(frame):
    while frame:
        if frame.f_code.co_name == "<module>" and frame.f_code.co_filename.startswith(PACKAGE):
            return True
        frame = frame.f_back

def note(frame, event, _):
    name = frame.f_code.co_filename
    if event == "call" and name not in seen and name.startswith(PACKAGE) and not importing(frame):
        seen.add(name)
        with open(REPORT, "a") as file:
            file.write(name + "\\n")

def trace():
    sys.setprofile(note)
    threading.setprofile(note)

builtins.trace = trace
if any("multiprocessing" in word for word in sys.orig_argv):
    trace()
"""

PACK = """
from v2t_lib.captions_file import read_captions
from v2t_lib.shards.pack import pack
from v2t_lib.specs import ClipSpec

captions = read_captions("drawn/captions.tsv")[:{clips}]
if __name__ == "__main__":
    trace()
    pack(captions, "drawn/captions.tsv", "{out}", ClipSpec(4, 16, 16), workers=1)
"""
TRAIN = """
import os
import keras
from v2t_lib.training.recipe import Recipe, TrainingOptions
from v2t_lib.training.train import train

class OneStep(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        {end}

options = TrainingOptions(epochs=1, batch_size=4)
trace()
train("shards", "{run}", Recipe(training=options), val="shards", callbacks=[OneStep()])
"""
CAPTION = """
import v2t_lib as v2t
captioner = v2t.load("run/captioner.keras")
trace()
captioner.{call}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--files", action="store_true", help="print the files' names")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)

        def run(code: str) -> list[str]:
            report = work / "files.txt"
            report.write_text("")
            tracer = TRACER.format(package=str(PACKAGE), report=str(report))
            (work / "sitecustomize.py").write_text(tracer)
            (work / "walk.py").write_text(code)
            path = f"{work}:{PACKAGE.parent}"
            process = subprocess.run(
                [sys.executable, "walk.py"],
                cwd=work,
                env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3"},
                capture_output=True,
                text=True,
            )
            if process.returncode:
                sys.exit(process.stderr)
            return sorted({str(Path(n).relative_to(PACKAGE)) for n in report.read_text().split()})

        draw = "from v2t_lib.datasets.shapes import write_shapes\n"
        run(draw + 'if __name__ == "__main__":\n    write_shapes("drawn", 24, workers=1)')
        run(PACK.format(clips=24, out="shards"))
        run(TRAIN.format(end="pass", run="run"))
        clip = "drawn/test-00000.gif"
        walks = {
            "training step": TRAIN.format(end="os._exit(0)", run="again"),
            "caption": CAPTION.format(call=f"caption({clip!r})"),
            "verify": CAPTION.format(call=f"verify({clip!r}, 'a red star spins')"),
            "packed GIF": PACK.format(clips=1, out="one"),
        }
        for name, code in walks.items():
            names = run(code)
            print(f"{name}: {len(names)} files, at most {LIMITS[name]}")
            if args.files:
                print("  " + "\n  ".join(names))


if __name__ == "__main__":
    main()
