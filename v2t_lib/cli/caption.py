"""Caption clips. A file that can't be read is reported, and the others get their captions; the exit
code is then 1."""

import json
import math
import sys

from v2t_lib.cli.flags import add_json, add_model, share
from v2t_lib.clips.missing import shown
from v2t_lib.errors import ModelError, V2TError
from v2t_lib.progress import log
from v2t_lib.tsv import cell, without_password


def add_arguments(parser):
    text = "a GIF, APNG, WebP, MP4, MOV, WebM or AVI: a path or URL"
    parser.add_argument("files", nargs="+", metavar="FILE", help=text)
    text = "no caption where the clip is unlike the training data, or where the model is less sure "
    text += "of it than of the captions of this share of held-out clips: 0.9 leaves out a tenth"
    parser.add_argument("--abstain", type=share, metavar="SHARE", help=text)
    add_model(parser, beam=1)
    add_json(parser)


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


def _doubt(caption, least: float) -> str:
    """Why there should be no caption; "" where there should be one."""
    if caption.unlike_training:
        return "the clip is unlike the training data"
    if caption.log_prob < least:
        return f"not sure enough: log-probability {caption.log_prob:.2f}, below {least:.2f}"
    return ""


def _least_log_prob(captioner, share: float | None) -> float:
    """What a caption's log-probability has to reach."""
    if share is None:
        return -math.inf
    if captioner.verifier.calibration is None:
        raise ModelError(
            "expected a calibrated model for --abstain. Received: one that doesn't know how sure "
            "is sure enough; calibrate it with `v2t calibrate MODEL SHARDS`"
        )
    return captioner.verifier.calibration.least_log_prob(share)


def _print(file: str, caption, doubt: str, as_json: bool) -> None:
    if as_json:
        row = {"file": file, "caption": None, "abstained": doubt} if doubt else None
        print(json.dumps(row or _as_json(file, caption), ensure_ascii=False), flush=True)
    else:
        print(f"{cell(file)}\t{'' if doubt else caption.text}", flush=True)


def run(args) -> int:
    from v2t_lib.models.saving import load

    captioner, failed = load(args.model), 0
    least = _least_log_prob(captioner, args.abstain)
    for source in args.files:
        file = without_password(source)
        try:
            caption = captioner.caption(source, beam=args.beam)
        except V2TError as error:
            failed += 1
            print(f"{cell(shown(file))}: {error}", file=sys.stderr)
            if args.json:
                print(json.dumps({"file": file, "error": str(error)}, ensure_ascii=False))
            continue
        doubt = _doubt(caption, least)
        if doubt:
            log.warning("%s: %s", cell(shown(file)), doubt)
        _print(file, caption, "" if args.abstain is None else doubt, args.json)
    if failed:
        print(f"{failed} of {len(args.files)} files gave no caption", file=sys.stderr)
    return 1 if failed else 0
