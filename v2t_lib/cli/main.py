"""The `v2t` command: its parser and its exit codes."""

import argparse
import contextlib
import importlib
import io
import logging
import os
import re
import signal
import sys
import warnings
from pathlib import Path

from v2t_lib import __version__
from v2t_lib.captions_file import without_password
from v2t_lib.cli import watched
from v2t_lib.cli.flags import WrongUsage, about
from v2t_lib.errors import V2TError, advice, out_of_memory
from v2t_lib.models.process import REQUESTS, handled
from v2t_lib.progress import log

#: Commands in the order of `v2t --help`, and the module of each: `add_NAME` adds its arguments, and
#: `run_NAME`, whose docstring is its help, runs it.
COMMANDS = {
    "demo": "demo", "shapes": "demo", "fetch": "data", "pack": "data", "train": "train",
    "calibrate": "verify", "caption": "caption", "verify": "verify", "search": "search",
    "inspect": "inspect", "evaluate": "scores", "score": "scores", "encoders": "listings",
    "recipes": "listings",
}  # fmt: skip
#: The commands that need neither TensorFlow nor Keras.
LIGHT = {"shapes", "score", "recipes"}
#: What Keras may compute with.
BACKENDS = ("tensorflow", "jax", "torch")
#: An exit code beyond it is that of a program that a signal ended.
BY_SIGNAL = 128
EPILOG = """\
from nothing to captions, one step at a time:
  v2t shapes --out data --clips 6400
  v2t pack data/captions.tsv --split data/train.txt --out shards/train --frames 8 --size 48
  v2t pack data/captions.tsv --split data/val.txt --out shards/val --frames 8 --size 48
  v2t pack data/captions.tsv --split data/test.txt --out shards/test --frames 8 --size 48
  v2t train shards/train --val shards/val --out runs/first --recipe shapes
  v2t evaluate shards/test --model runs/first/captioner.keras --out predictions.tsv
  v2t score predictions.tsv data/captions.tsv --split data/test.txt
  v2t caption my.gif --model runs/first/captioner.keras
  v2t verify my.gif "a red star spins" --model runs/first/captioner.keras
  v2t search my-clips "a red star spins" --model runs/first/captioner.keras
  v2t inspect my.gif --model runs/first/captioner.keras --out page.html
download and pack the TGIF release; after a stop the same command continues:
  v2t fetch tgif --out tgif --shards
or all of it on drawn clips:
  v2t demo
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="v2t",
        description="Captions for GIFs and short clips, with the attention behind every word.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"v2t {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        home = importlib.import_module(f"v2t_lib.cli.{module}")
        run = getattr(home, f"run_{name}")
        description = about(run)
        summary = description[:1].lower() + description[1:].partition(".")[0]
        sub = commands.add_parser(name, help=summary, description=description)
        sub.set_defaults(run=run)
        getattr(home, f"add_{name}")(sub)
        loud = sub.add_mutually_exclusive_group()
        text = "say nothing but results and what failed"
        loud.add_argument("--quiet", action="store_true", help=text)
        text = "say more, TensorFlow's own notes included"
        loud.add_argument("--verbose", action="store_true", help=text)
        sub.add_argument("--debug", action="store_true", help="show where in the code errors arise")
    return parser


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return commands.choices


def _with_paths(argv: list[str], parser: argparse.ArgumentParser) -> list[str]:
    """The arguments, files whose names begin with a dash written so that they are no flags."""
    known = {flag for sub in _commands(parser).values() for flag in sub._option_string_actions}
    files = {a for a in argv if a[:1] == "-" != a and a not in known and os.path.lexists(a)}
    return [f"./{argument}" if argument in files else argument for argument in argv]


def _name_files(args: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Fills in home folders, which a shell does not in `--out=~/x`; `-` is standard input where a
    command reads."""
    actions = _commands(parser)[args.command]._actions
    read = {action.dest for action in actions if not action.option_strings} | {"split"}

    def named(name, value):
        if isinstance(value, list):
            return [named(name, one) for one in value]
        if (value == "-" and name in read) or value == Path("-"):
            if name not in read:
                raise WrongUsage(f"expected a path for --{name.replace('_', '-')}. Received: -")
            return type(value)("/dev/stdin")
        if isinstance(value, str | Path) and re.match("~[^/]*/", str(value)):
            return type(value)(os.path.expanduser(value))
        return value

    for name, value in vars(args).items():
        setattr(args, name, named(name, value))


def _set_loudness(args: argparse.Namespace) -> None:
    """Decides what is said besides results and failures."""
    os.environ["MPLBACKEND"] = "agg"  # whatever the notebook around draws with
    log.setLevel("CRITICAL" if args.quiet else "DEBUG" if args.verbose else "INFO")
    if args.quiet:
        warnings.simplefilter("ignore")
    if not args.verbose:
        # TensorFlow's notes would bury what users need to read.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        if args.command not in LIGHT and not getattr(args, "spark", None):
            _load_quietly()  # tasks on a cluster load what they need


def _load_quietly() -> None:
    """Imports TensorFlow, the stderr of its C++ parts closed: it prints notes on its CPU and GPUs
    before it reads any setting. Keras goes first, see `shards.load_tensorflow`."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        for package in ("keras", "tensorflow"):
            # One that is missing is told later, by what needs it.
            with contextlib.suppress(ImportError, ValueError):
                importlib.import_module(package)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _say(command: str, error: BaseException) -> None:
    """Prints an error as a sentence."""
    if isinstance(error, OSError):
        path = error.filename2 or error.filename
        what = error.strerror or str(error)
        place = re.sub(r"(\.\d+-\d+)?\.tmp$", "", str(path)) if path else "a file"
        text = f"expected to read or write {place}. Received: {what}; {advice(what)}"
    elif isinstance(error, ImportError):
        backend = os.environ.get("KERAS_BACKEND")
        way = f"or unset KERAS_BACKEND, which is {backend}" if backend else "then try again"
        if error.name in BACKENDS and not backend:  # as ~/.keras/keras.json has it
            way = f"or name another backend of Keras: KERAS_BACKEND={BACKENDS[0]}"
        text = f"expected the package {error.name}. Received: {error}; install it, {way}"
    elif "Unable to import backend" in str(error):  # as Keras says it
        text = f"expected Keras on {', '.join(BACKENDS)}. Received: {error}; set KERAS_BACKEND"
    elif out_of_memory(error):
        text = "expected enough memory. Received: less; ask for smaller batches, fewer beams or "
        text += "fewer processes"
    else:
        text = str(error)
    print(f"v2t {command}: {without_password(text)}", file=sys.stderr)


def _open_streams() -> None:
    """Opens what the shell closed (`>&-`) as nowhere, before a file takes its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
        if getattr(sys, name) is None:  # as Python has it that found it closed
            stream = open(number, "w" if number else "r", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _interrupt(number, frame):
    signal.signal(number, signal.SIG_DFL)  # a second one ends it at once
    raise KeyboardInterrupt(number)


def _end_by(number: int) -> None:
    """Ends the program by a signal, so that a shell's loop or a scheduler knows what ended it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _run(argv: list[str] | None, is_watched: bool) -> int:
    parser = _parser()
    argv = _with_paths(sys.argv[1:] if argv is None else argv, parser)
    args, level = argparse.Namespace(command=None, debug=False), log.level
    try:
        parser.parse_args(argv, args)
        _name_files(args, parser)
        if getattr(args, "hosts", None) and not is_watched:
            return watched.watch(argv)
        _set_loudness(args)
        code = args.run(args)
        sys.stdout.flush()
        return code
    except WrongUsage as error:
        parser.error(f"{args.command}: {error}")
    except BrokenPipeError:
        # Whoever read our output has read enough. Python would complain once more as it ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BY_SIGNAL + getattr(signal, "SIGPIPE", 13)  # Windows has none
    except Exception as error:
        expected = isinstance(error, V2TError | ValueError | OSError | ImportError)
        if args.debug or not (expected or out_of_memory(error)):
            raise
        _say(args.command, error)
        number = getattr(error, "signal", 0)
        return BY_SIGNAL + number if number else 1
    except KeyboardInterrupt as error:
        print(f"v2t {args.command}: stopped", file=sys.stderr)
        return BY_SIGNAL + (error.args[0] if error.args else signal.SIGINT)
    finally:
        log.setLevel(level)


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0 done, 1 something failed, 2 wrong usage, 128 + N ended by signal N.

    As the program, without `argv`, it ends by that signal itself.
    """
    _open_streams()
    is_watched = watched.take_over()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that it has no characters for is escaped
            stream.reconfigure(errors="backslashreplace")
    with handled(REQUESTS, _interrupt):
        code = _run(argv, is_watched)
    if argv is None and not is_watched and code > BY_SIGNAL and os.name == "posix":
        _end_by(code - BY_SIGNAL)
    return code


if __name__ == "__main__":
    sys.exit(main())
