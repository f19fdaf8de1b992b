"""`v2t`: every step from the shell. Results on stdout, progress and problems on stderr."""

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path

from v2t_lib import __version__
from v2t_lib.errors import V2TError
from v2t_lib.models.encoders.catalogue import COSTS
from v2t_lib.models.encoders.catalogue import table as catalogue

EPILOG = """\
from nothing to captions, one step at a time:
  v2t shapes --out data --clips 6400
  v2t pack data/captions.tsv --split data/train.txt --out shards/train --frames 8 --size 48
  v2t pack data/captions.tsv --split data/val.txt --out shards/val --frames 8 --size 48
  v2t pack data/captions.tsv --split data/test.txt --out shards/test --frames 8 --size 48
  v2t train shards/train --val shards/val --out runs/first
  v2t evaluate shards/test --model runs/first/captioner.keras --out predictions.tsv
  v2t score predictions.tsv data/captions.tsv --split data/test.txt
  v2t caption my.gif --model runs/first/captioner.keras
  v2t inspect my.gif --model runs/first/captioner.keras --out page.html
from the TGIF release, in one go that may be killed and run again:
  v2t fetch tgif --out tgif --shards
or all of it on embedded data:
  v2t demo
"""

ENCODER_NOTES = """\
mobilenet, efficientnet and convnext are picture networks over frames, which take --weights and
--frozen; the others begin at random. blind sees nothing."""


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text}")
    return value


def _part(text: str) -> tuple[int, int]:
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, got {text}")
    return int(part), int(parts)


def _demo(args) -> int:
    from v2t_lib.demo import demo
    from v2t_lib.evaluation import summary

    with contextlib.redirect_stdout(sys.stderr):
        scores = demo(args.out, args.seed, args.full)
    print(json.dumps(scores) if args.json else summary(scores))
    return 0


def _shapes(args) -> int:
    from v2t_lib.datasets.shapes import write_shapes

    print(write_shapes(args.out, args.clips, args.seed))
    return 0


def _fetch_plan(args):
    """The captions file and the records asked for, TGIF's where the word stands for a file."""
    from v2t_lib.captions_file import read_captions, select
    from v2t_lib.datasets.tgif import LICENCE, RELEASE, get_release

    captions, lists = args.captions, args.split or []
    if captions == Path("tgif"):
        print(LICENCE, file=sys.stderr)
        captions, splits = get_release(args.out, args.mirror or RELEASE)
        lists = [splits.get(str(name), name) for name in lists] or splits.values()
    records = read_captions(captions)
    if lists:
        records = [record for listed in lists for record in select(records, listed)]
    return captions, records[: args.limit]


def _fetch(args) -> int:
    from v2t_lib.fetching.downloader import RetryPolicy
    from v2t_lib.fetching.fetch import fetch, part_of
    from v2t_lib.fetching.report import PICTURE_FILE, coverage, picture, table
    from v2t_lib.specs import ClipSpec

    folder = args.report
    if folder is None:
        captions, records = _fetch_plan(args)
        folder = args.out
        if args.part:
            part, parts = args.part
            records, folder = part_of(records, part, parts), folder / f"part-{part}-of-{parts}"
        spec = ClipSpec(args.frames, args.size, args.size) if args.shards else None
        policy = RetryPolicy(connections=args.connections, per_host=args.per_host)
        options = {"spec": spec, "keep": args.keep, "workers": args.workers, "policy": policy}
        fetch(records, captions, folder, **options)
    counted = coverage(folder)
    picture(counted, folder / PICTURE_FILE)
    print(json.dumps(counted) if args.json else f"{folder}: {table(counted)}")
    if any("unreachable" in split["verdicts"] for split in counted["splits"].values()):
        print("run it again to try what was unreachable once more", file=sys.stderr)
    return 0 if counted["have"] else 1


def _pack(args) -> int:
    from v2t_lib.captions_file import read_captions, select
    from v2t_lib.shards.merge import merge
    from v2t_lib.shards.pack import pack
    from v2t_lib.specs import ClipSpec

    if args.merge:
        described = merge(args.merge, args.out)
    else:
        records = read_captions(args.captions)
        if args.split:
            records = select(records, args.split)
        spec = ClipSpec(args.frames, args.size, args.size)
        described = pack(records, args.captions, args.out, spec, args.workers)
    left_out = described["left_out"]
    for entry in left_out:
        print(f"left out {entry['source']}: {entry['kind']}: {entry['why']}", file=sys.stderr)
    kinds = sorted({entry["kind"] for entry in left_out})
    counts = {kind: sum(entry["kind"] == kind for entry in left_out) for kind in kinds}
    if args.json:
        names = ("clips", "captions", "bytes")
        print(json.dumps({name: described[name] for name in names} | {"left_out": counts}))
    else:
        why = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        print(
            f"{args.out}: {described['clips']} clips, {described['captions']} captions, "
            f"{described['bytes'] / 2**20:.1f} MB; left out {len(left_out)}"
            + (f" ({why})" if why else "")
        )
    return 0


def _train(args) -> int:
    from v2t_lib.models.distribution import spread
    from v2t_lib.specs import CaptionSpec
    from v2t_lib.training.recipe import DecoderOptions, Recipe, TrainingOptions
    from v2t_lib.training.scst import SCST_FILE, train_scst
    from v2t_lib.training.train import MODEL_FILE, train

    wanted = {"weights": {"imagenet": "imagenet"}.get(args.weights), "frozen": args.frozen}
    options = TrainingOptions(
        epochs=args.epochs,
        batch_size=args.batch,
        learning_rate=args.learning_rate,
        label_smoothing=args.label_smoothing,
        accumulate=args.accumulate,
        ema=args.ema,
        scheduled_sampling=args.scheduled_sampling,
        doubly_stochastic=args.doubly_stochastic,
        precision=args.precision,
        seed=args.seed,
        checkpoint_steps=args.checkpoint_steps,
        keep_checkpoints=args.keep_checkpoints,
    )
    recipe = Recipe(
        caption=CaptionSpec(args.length, args.min_count),
        encoder=args.encoder,
        encoder_options={name: value for name, value in wanted.items() if value},
        decoder=DecoderOptions(dropout=args.dropout),
        training=options,
    )
    with contextlib.redirect_stdout(sys.stderr), spread(args.devices, args.batch):
        train(
            args.shards,
            args.out,
            recipe,
            val=args.val,
            resume=args.resume,
            copy_to=args.copy_to,
            start_from=args.start_from,
        )
        if args.scst:
            stage = {"resume": args.resume, "copy_to": args.copy_to}
            train_scst(args.out, args.shards, args.scst, args.val, options, **stage)
    print(args.out / (SCST_FILE if args.scst else MODEL_FILE))
    return 0


def _as_json(file: str, caption) -> dict:
    words = []
    for number, (word, prob) in enumerate(zip(caption.words, caption.probs, strict=True)):
        frame = caption.frame_of(number)
        seconds = round(float(caption.seconds[frame]), 3)
        words.append(
            {"word": word, "prob": round(float(prob), 4), "frame": frame, "seconds": seconds}
        )
    return {
        "file": file,
        "caption": caption.text,
        "log_prob": round(caption.log_prob, 4),
        "words": words,
    }


def _caption(args) -> int:
    from v2t_lib.models.captioner import load

    captioner, failed = load(args.model), 0
    for file in args.files:
        try:
            caption = captioner.caption(file, beam=args.beam)
        except V2TError as error:
            failed += 1
            print(f"{file}: {error}", file=sys.stderr)
            if args.json:
                print(json.dumps({"file": file, "error": str(error)}, ensure_ascii=False))
            continue
        if args.json:
            print(json.dumps(_as_json(file, caption), ensure_ascii=False), flush=True)
        else:
            print(f"{file}\t{caption.text}", flush=True)
    if failed:
        print(f"{failed} of {len(args.files)} files gave no caption", file=sys.stderr)
    return 1 if failed else 0


def _inspect(args) -> int:
    from v2t_lib.models.captioner import load
    from v2t_lib.views.inspector import save_page

    captioner, captions, names = load(args.model), [], []
    for file in args.files:
        try:
            captions.append(captioner.caption(file, beam=args.beam))
            names.append(file)
        except V2TError as error:
            print(f"{file}: {error}", file=sys.stderr)
    failed = len(args.files) - len(captions)
    if captions:
        save_page(args.out, captions, names)
        print(args.out)
    if failed:
        print(f"{failed} of {len(args.files)} files are not on the page", file=sys.stderr)
    return 1 if failed else 0


def _evaluate(args) -> int:
    from v2t_lib.evaluation import evaluate, summary, write_predictions
    from v2t_lib.models.captioner import load
    from v2t_lib.training.train import BLIND_FILE

    twin = args.model.with_name(BLIND_FILE)
    scores, predictions = evaluate(
        load(args.model),
        args.shards,
        blind=load(twin) if twin.exists() else None,
        unseen=args.unseen,
        training=args.training,
        beam=args.beam,
    )
    if args.out:
        write_predictions(predictions, args.out)
    _say_why_no_meteor(scores)
    print(json.dumps(scores) if args.json else summary(scores))
    return 0


def _say_why_no_meteor(scores: dict) -> None:
    if scores["no_meteor"]:
        print(f"no METEOR: {scores['no_meteor']}", file=sys.stderr)


def _score(args) -> int:
    from v2t_lib.captions_file import read_captions, read_predictions, select
    from v2t_lib.metrics.corpus_scores import score_corpus
    from v2t_lib.metrics.score_report import report, summary, write_clips
    from v2t_lib.text import checks

    records = read_captions(args.references, keep_repeats=True)
    if args.split:
        records = select(records, args.split)
    references = {record.source: record.captions for record in records}
    if not args.characters:
        checks.warn([caption for record in records for caption in record.captions])

    def count(path):
        counted = score_corpus(read_predictions(path), references, by_character=args.characters)
        if counted.without_references:
            print(
                f"{path}: predictions for clips without references don't count: "
                f"{len(counted.without_references)}, {counted.without_references[0]!r} for one",
                file=sys.stderr,
            )
        return counted

    scored = count(args.predictions)
    result = report(scored, count(args.against) if args.against else None)
    _say_why_no_meteor(result)
    if args.per_clip:
        write_clips(scored, args.per_clip)
    print(json.dumps(result) if args.json else summary(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="v2t",
        description="Captions for GIFs and short clips, and where the model looked for each word.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"v2t {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name, run, text, json_too=True):
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=run)
        if json_too:
            sub.add_argument("--json", action="store_true", help="print the result as JSON")
        return sub

    sub = command("demo", _demo, "run the whole path on embedded data")
    sub.add_argument("--out", type=Path, default=Path("runs/demo"), help="default: %(default)s")
    sub.add_argument("--seed", type=int, default=0, help="default: %(default)s")

    sub.add_argument(
        "--full", action="store_true", help="three times the clips, a wider model, about an hour"
    )

    sub = command("shapes", _shapes, "draw the embedded data: captioned GIFs with masks", False)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument("--clips", type=_positive, required=True, help="how many, all splits together")
    sub.add_argument("--seed", type=int, default=0, help="default: %(default)s")

    sub = command(
        "fetch", _fetch, "download, judge and pack clips; killed, it goes on where it was"
    )
    what = sub.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "captions", type=Path, nargs="?", help="TSV of URLs or paths and captions, or tgif"
    )
    what.add_argument("--report", type=Path, metavar="DIR", help="count what DIR has, and draw it")
    sub.add_argument("--out", type=Path, metavar="DIR", help="where clips, shards and manifest go")
    sub.add_argument(
        "--split", type=Path, action="append", metavar="LIST",
        help="take these sources only; again for another split; of tgif, train, val or test",
    )  # fmt: skip
    sub.add_argument("--limit", type=_positive, help="take the first clips only")
    sub.add_argument(
        "--part", type=_part, metavar="I/N", help="take the Ith of N shares, into DIR/part-I-of-N"
    )
    sub.add_argument(
        "--shards", action="store_true", help="pack into DIR/SPLIT and keep no originals"
    )
    sub.add_argument("--frames", type=_positive, default=16, help="a clip (default: %(default)s)")
    sub.add_argument(
        "--size", type=_positive, default=112, help="height and width in pixels (default: 112)"
    )
    sub.add_argument("--keep", action="store_true", help="with --shards: keep originals too")
    sub.add_argument("--workers", type=_positive, help="decoding processes (default: one a core)")
    sub.add_argument("--connections", type=_positive, default=32, help="default: %(default)s")
    sub.add_argument("--per-host", type=_positive, default=8, help="default: %(default)s")
    sub.add_argument("--mirror", metavar="URL", help="where tgif's files lie, ending in a slash")

    sub = command("pack", _pack, "decode local clips into shards that training reads")
    what = sub.add_mutually_exclusive_group(required=True)
    what.add_argument("captions", type=Path, nargs="?", help="TSV, one `source<TAB>caption` a row")
    what.add_argument(
        "--merge", type=Path, nargs="+", metavar="SHARDS", help="join packed directories instead"
    )
    sub.add_argument("--out", type=Path, required=True, metavar="SHARDS")
    sub.add_argument("--split", type=Path, metavar="LIST", help="take these sources only")
    sub.add_argument("--frames", type=_positive, default=16, help="a clip (default: %(default)s)")
    sub.add_argument(
        "--size", type=_positive, default=112, help="height and width in pixels (default: 112)"
    )
    sub.add_argument("--workers", type=_positive, help="decoding processes (default: one a core)")

    sub = command("train", _train, "train a captioner; kill it and --resume goes on", False)
    sub.formatter_class = argparse.RawDescriptionHelpFormatter
    sub.epilog = f"encoders:\n{catalogue()}\n{ENCODER_NOTES}"
    sub.add_argument("shards", type=Path)
    sub.add_argument("--out", type=Path, required=True, metavar="RUN")
    sub.add_argument("--val", type=Path, metavar="SHARDS", help="choose the best epoch by these")
    sub.add_argument(
        "--encoder",
        choices=COSTS,
        default="conv3d",
        metavar="NAME",
        help="see the table below (default: conv3d)",
    )
    sub.add_argument(
        "--weights",
        choices=("random", "imagenet"),
        help="what a picture network begins with; imagenet is downloaded (default: random)",
    )
    sub.add_argument(
        "--frozen",
        action="store_true",
        help="leave the picture network as it is; its features are computed once and kept",
    )
    sub.add_argument("--epochs", type=_positive, default=20, help="default: %(default)s")
    sub.add_argument("--batch", type=_positive, default=32, help="default: %(default)s")
    sub.add_argument(
        "--devices",
        type=_positive,
        default=1,
        metavar="N",
        help="GPUs of this machine that share each batch evenly; more than one needs Keras on JAX, "
        "KERAS_BACKEND=jax v2t train ... --devices 2 (default: 1)",
    )
    sub.add_argument("--learning-rate", type=float, default=1e-3, help="default: %(default)s")
    sub.add_argument("--label-smoothing", type=float, default=0.0, help="default: %(default)s")
    sub.add_argument("--doubly-stochastic", type=float, default=0.0, help="default: %(default)s")
    sub.add_argument(
        "--dropout",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="of embeddings and deep output (default: 0)",
    )
    sub.add_argument(
        "--precision",
        choices=("float32", "mixed_float16", "mixed_bfloat16"),
        default="float32",
        help="mixed_float16 is for GPUs, mixed_bfloat16 also for CPUs that have it "
        "(default: %(default)s)",
    )
    sub.add_argument(
        "--accumulate",
        type=_positive,
        default=1,
        metavar="BATCHES",
        help="whose gradients make one step, where memory is short (default: 1)",
    )
    sub.add_argument(
        "--ema",
        type=float,
        default=0.0,
        metavar="MOMENTUM",
        help="judge and keep a moving "
        "average of the weights; 0.999 for long runs (default: 0, none)",
    )
    sub.add_argument(
        "--scheduled-sampling",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="scheduled sampling: share "
        "of the model's own words before those to predict, by the end (default: 0)",
    )
    sub.add_argument(
        "--scst",
        type=_positive,
        metavar="EPOCHS",
        help="a last stage that trains for CIDEr itself, into scst.keras",
    )
    sub.add_argument(
        "--start-from",
        type=Path,
        metavar="M.keras",
        help="begin with this model's weights; its vocabulary grows",
    )
    sub.add_argument("--length", type=_positive, default=20, help="most tokens in a caption")
    sub.add_argument(
        "--min-count", type=_positive, default=1, help="a word's occurrences to be learnt"
    )
    sub.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    sub.add_argument("--resume", action="store_true", help="go on with the run in --out")
    sub.add_argument(
        "--copy-to",
        type=Path,
        metavar="DIR",
        help="a second directory, a mounted drive say, that "
        "gets a copy of the run as it grows; --resume brings back what --out lacks",
    )
    sub.add_argument(
        "--checkpoint-steps",
        type=_positive,
        default=500,
        help="steps between two checkpoints "
        "(default: %(default)s; there is one at each epoch's end)",
    )
    sub.add_argument(
        "--keep-checkpoints", type=_positive, default=3, help="the last of them (default: 3)"
    )

    sub = command("caption", _caption, "caption clips; a bad file is reported, the rest go on")
    sub.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a GIF, APNG, WebP, MP4, MOV, WebM or AVI: a path or URL",
    )
    sub.add_argument("--model", type=Path, required=True, metavar="M.keras")
    sub.add_argument("--beam", type=_positive, default=1, help="beams; 1 is greedy (default)")

    sub = command("inspect", _inspect, "write a page that shows where the model looked", False)
    sub.add_argument("files", nargs="+", metavar="FILE", help="a path or an http(s) URL")
    sub.add_argument("--model", type=Path, required=True, metavar="M.keras")
    sub.add_argument("--out", type=Path, required=True, metavar="page.html")
    sub.add_argument("--beam", type=_positive, default=1, help="beams; 1 is greedy (default)")

    sub = command("evaluate", _evaluate, "caption held-out shards and score the captions")
    sub.description += (
        " The figures are over the clips in the shards; to count clips that could not be fetched, "
        "as TGIF's protocol does, give what --out writes to `v2t score`."
    )
    sub.add_argument("shards", type=Path)
    sub.add_argument("--model", type=Path, required=True, metavar="M.keras")
    sub.add_argument("--out", type=Path, metavar="predictions.tsv")
    sub.add_argument("--unseen", type=Path, metavar="SHARDS", help="unseen combinations")
    sub.add_argument(
        "--training", type=Path, metavar="SHARDS", help="count captions that are from these"
    )
    sub.add_argument("--beam", type=_positive, default=4, help="default: %(default)s")

    sub = command("score", _score, "score any predictions by TGIF's official protocol")
    sub.description += (
        " Both files are UTF-8 TSV, one `source<TAB>caption` a row. The first prediction a clip "
        "counts; a clip without one has an empty caption, and the figures over the others stand "
        "beside. METEOR needs a Java and the package pycocoevalcap."
    )
    sub.add_argument("predictions", type=Path, metavar="PREDICTIONS.tsv")
    sub.add_argument("references", type=Path, metavar="REFERENCES.tsv")
    sub.add_argument("--split", type=Path, metavar="LIST", help="score these sources only")
    sub.add_argument(
        "--characters",
        action="store_true",
        help="cut Chinese, Japanese, Thai and other scripts without spaces into characters",
    )
    sub.add_argument(
        "--against", type=Path, metavar="B.tsv", help="how far PREDICTIONS is above these, paired"
    )
    sub.add_argument(
        "--per-clip", type=Path, metavar="OUT.csv", help="a table a clip, best and worst in turn"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0 done, 1 something failed, 2 wrong usage."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.command == "fetch" and args.report is None and args.out is None:
        parser.error("fetch: expected --out DIR")
    # TensorFlow's start-up notes would bury what users need to read.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return args.run(args)
    except (V2TError, ValueError) as error:
        print(f"v2t {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"v2t {args.command}: stopped", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
