"""`v2t verify` and `v2t calibrate`."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from v2t_lib.captions_file import Pair, cell, read_pairs, without_password
from v2t_lib.cli.flags import (
    WrongUsage,
    add_json,
    add_model,
    add_spark,
    check_spark,
    load_models,
    new_file,
    say_table,
)
from v2t_lib.clips.files import shown
from v2t_lib.errors import ClipError, SentenceError
from v2t_lib.progress import log


def add_verify(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "a clip, or without SENTENCE a TSV of `source<TAB>sentence` rows"
    add("source", metavar="CLIP|PAIRS.tsv", help=text)
    add("sentence", nargs="?", metavar="SENTENCE", help="what is claimed of the clip")
    text = "write one claim with its evidence as a page to show to others; it works offline"
    add("--html", type=new_file, metavar="page.html", help=text)
    add_model(parser, towers=True)
    add_json(parser)
    add_spark(parser, table=True)


def details(found) -> str:
    """What the verdict rests on, in words."""
    from v2t_lib.views.claim_marks import CLEAR

    parts = []
    if found.probability is not None:
        parts.append(f"probability {found.probability:.2f}")
    if found.score is not None:
        parts.append(f"lift {found.score:+.2f} nats a word")
    parts.append(f"evidence at {found.seconds:.2f} s")
    if found.unlike_training:
        parts.append("the clip is unlike the training data")
    if found.reason and not found.unknown:
        parts.append(found.reason)
    if found.unknown:
        parts.append(f"the model doesn't know {', '.join(found.unknown)}")
    against = [word for word in found.words if word.lift is not None and word.lift <= -CLEAR]
    if against:
        named = [f"{w.word}{f' (rather {w.instead})' if w.instead else ''}" for w in against]
        parts.append(f"against it: {', '.join(named)}")
    return "; ".join(parts)


def _results(captioner, towers, args: argparse.Namespace) -> Iterator:
    """The claims' results, with the towers' match where these are used."""
    from v2t_lib.models.verify_pairs import match_pairs

    judged = _judged(captioner, args) if captioner else None
    if not towers:
        yield from judged or ()
        return
    one = args.sentence is not None
    pairs = [Pair(args.source, args.source, args.sentence)] if one else read_pairs(args.source)
    for matched in match_pairs(towers, pairs):
        row = next(judged) if judged else matched
        yield dataclasses.replace(row, match=matched.match)


def _judged(captioner, args: argparse.Namespace) -> Iterator:
    """The claims' results by the captioner; writes the page of a single one."""
    from v2t_lib.models.verify_pairs import PairResult, verify_pairs

    if args.sentence is None:
        yield from verify_pairs(captioner, read_pairs(args.source))
        return
    file = without_password(args.source)
    try:
        found = captioner.verify(args.source, args.sentence)
    except (ClipError, SentenceError) as error:
        yield PairResult(file, args.sentence, error=str(error))
        return
    found = dataclasses.replace(found, source=file)
    if args.html:
        from v2t_lib.views.evidence_page import save_evidence_page

        save_evidence_page(args.html, [found], captioner, args.model.name)
    yield PairResult(file, args.sentence, found)


def run_verify(args: argparse.Namespace) -> int:
    """Check whether a clip supports a sentence, word by word. The score is the mean lift of the
    words: how much more probable each becomes by seeing the clip, in nats. Words, phrases and whole
    sentences are judged each by their own calibration; what was never calibrated is "can't tell":
    negations, function words alone, words in no order that captions have. Takes a clip and a
    sentence, or a TSV of `source<TAB>sentence` rows, sources being URLs or paths relative to the
    file. A row that can't be judged is reported, and the others are judged; the exit code is
    then 1. With --towers also the cosine of clip and sentence by two pretrained towers; without
    --model that alone, and the frame that matches best, but no verdict."""
    if not args.model and (args.html or args.spark):
        raise WrongUsage("expected --model M.keras with --html or --spark. Received: none")
    if check_spark(args, "sentence", "html", "towers"):
        from v2t_lib.cluster.tables import verify_claims

        options = (Path(args.source), args.model, args.out, args.parquet)
        rows, failed = verify_claims(args.spark, *options)
        return say_table(args, "verdicts", rows, failed, "sentences were not judged")
    if args.html and args.sentence is None:
        raise WrongUsage(
            "expected a CLIP and a SENTENCE for --html. Received: a TSV; a page shows one claim"
        )
    captioner, towers = load_models(args)
    count = failed = 0
    for row in _results(captioner, towers, args):
        count, failed, said = count + 1, failed + bool(row.error), row.error
        if row.found and row.found.unknown and args.json:
            said = f"can't tell, as the model doesn't know {', '.join(row.found.unknown)}"
        if said:
            print(f"{cell(shown(row.file))}: {said}", file=sys.stderr)
        if args.json:
            print(json.dumps(row.to_dict(), ensure_ascii=False), flush=True)
        elif row.found:
            said = details(row.found)
            said += f"; cosine {row.match:.3f}" if row.match is not None else ""
            columns = (row.file, row.found.verdict, row.sentence, said)
            print("\t".join(map(cell, columns)), flush=True)
    if captioner and captioner.verifier.calibration is None:
        log.warning(
            f"{args.model} has no calibration, so no probabilities and no verdicts; add it with "
            f"`v2t calibrate {args.model} SHARDS`, held-out shards"
        )
    if failed:
        print(f"{failed} of {count} sentences were not judged", file=sys.stderr)
    return 1 if failed else 0


def add_calibrate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", type=Path, metavar="M.keras", help="a trained captioner; it is written anew")
    add("shards", type=Path, metavar="SHARDS", help="held-out shards")
    text = (
        "the training shards, to know what is unlike them; without, half of SHARDS stands for them"
    )
    add("--training", type=Path, metavar="SHARDS", help=text)
    text = "where features of a frozen image network are kept (default: beside the shards)"
    add("--cache", type=Path, metavar="DIR", help=text)
    text = "draw how often sentences of each probability are true"
    add("--picture", type=new_file, metavar="reliability.png", help=text)
    add_json(parser)


def run_calibrate(args: argparse.Namespace) -> int:
    """Calibrate a model's verification on held-out shards, and write it into the model's file: the
    probabilities and verdicts of `v2t verify`, and what tells clips that are unlike the training
    data. `v2t train --val` does this at its end; this is for older models, or other clips."""
    from v2t_lib.files import replacing
    from v2t_lib.models.saving import load, save
    from v2t_lib.training.calibrate import calibrate
    from v2t_lib.views.curves import reliability_picture

    captioner = load(args.model)
    calibration = calibrate(
        captioner, args.shards, args.training, cache=args.cache, fallback=args.model.parent
    )
    save(captioner, args.model)
    figures = calibration.figures
    if args.picture:
        with replacing(args.picture) as temporary:
            temporary.write_bytes(reliability_picture(figures["reliability"]))
        print(args.picture, file=sys.stderr)
    print(json.dumps(figures) if args.json else args.model, flush=True)
    return 0
