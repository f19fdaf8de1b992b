"""`v2t caption`."""

import argparse
import json
import math
import os
import sys
from pathlib import Path

from v2t_lib.captions_file import cell, is_url, without_password
from v2t_lib.cli import flags
from v2t_lib.clips.files import clips_in, shown
from v2t_lib.errors import ClipError, ModelError
from v2t_lib.progress import log


def add_caption(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "a GIF, APNG, WebP, MP4, MOV, WebM or AVI: a path or URL; a folder of "
    text += "clips; or a TSV or TXT list of clips, a row each"
    add("files", nargs="+", metavar="FILE|FOLDER", help=text)
    text = "no caption where the clip is unlike the training data, or where the model is less sure "
    text += "of it than of the captions of this share of held-out clips: 0.9 leaves out a tenth"
    add("--abstain", type=flags.share, metavar="SHARE", help=text)
    text = "write a table with the captions as alt text"
    add("--table", type=flags.new_file, metavar="out.csv", help=text)
    text = "write a page to look through the captions and correct them; it saves those that are "
    text += "right as a captions file to train on"
    add("--html", type=flags.new_file, metavar="out.html", help=text)
    text = "what an unsure caption begins with, as alt text (default: perhaps)"
    add("--hedge", default="perhaps", metavar="WORD", help=text)
    flags.add_model(parser, beam=1)
    flags.add_json(parser)
    flags.add_spark(parser, table=True)


def _doubt(caption, least: float) -> str:
    """Why there should be no caption; "" where there should be one."""
    if caption.unlike_training:
        return "the clip is unlike the training data"
    if caption.log_prob < least:
        return f"not sure enough: log-probability {caption.log_prob:.2f}, below {least:.2f}"
    return ""


def _least_log_prob(captioner, share: float | None) -> float:
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
        print(json.dumps(row or caption.to_dict(file), ensure_ascii=False), flush=True)
    else:
        print(f"{cell(file)}\t{'' if doubt else caption.text}", flush=True)


def _print_error(file: str, error: str, as_json: bool) -> None:
    print(f"{cell(shown(file))}: {error}", file=sys.stderr)
    if as_json:
        print(json.dumps({"file": file, "error": error}, ensure_ascii=False))


def _source(clip: str, folder: str) -> str:
    """A clip's source in a captions file that lies in `folder`, or anywhere if there is none."""
    if is_url(clip):
        return without_password(clip)
    return Path(clip).relative_to(folder).as_posix() if folder else os.path.abspath(clip)


def run_caption(args: argparse.Namespace) -> int:
    """Caption clips, or all that are in a folder and the folders in it. A file that can't be read
    is reported, and the others get their captions; the exit code is then 1. For people to look
    through, --table and --html write the captions as alt text: where the model is unsure, after
    a hedge."""
    if flags.check_spark(args, "abstain", "table", "html", *flags.WRITING):
        from v2t_lib.cluster.tables import caption_clips

        options = (args.files, args.model, args.beam, args.out, args.parquet)
        rows, failed = caption_clips(args.spark, *options)
        return flags.say_table(args, "captions", rows, failed, "clips gave no caption")
    from v2t_lib.models.over_clips import captions
    from v2t_lib.views.review import Review

    files = list(clips_in(*args.files))
    folder = args.files[0] if len(args.files) == 1 and os.path.isdir(args.files[0]) else ""
    captioner, failed = flags.load_to_write(args), 0
    least = _least_log_prob(captioner, args.abstain)
    review = Review(captioner, args.hedge, pictures=args.html is not None, place=folder)
    try:
        for source, caption in captions(captioner, files, args.beam):
            file = without_password(source)
            if isinstance(caption, ClipError):
                failed += 1
                _print_error(file, str(caption), args.json)
                review.add_error(file, str(caption))
                continue
            doubt = _doubt(caption, least)
            if doubt:
                log.warning("%s: %s", cell(shown(file)), doubt)
            doubt = "" if args.abstain is None else doubt
            _print(file, caption, doubt, args.json)
            review.add(file, _source(source, folder), caption, doubt)
    finally:  # also of what was captioned when somebody pressed Ctrl-C
        for path, write in ((args.table, review.write_table), (args.html, review.write_page)):
            if path:
                write(path)
                log.info("%s: written", path)
    if failed:
        print(f"{failed} of {len(files)} files gave no caption", file=sys.stderr)
    return 1 if failed else 0
