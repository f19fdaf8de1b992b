"""Caption clips. A file that can't be read is reported, and the others get their captions; the exit
code is then 1."""

import json
import sys

from v2t_lib.cli.flags import add_json, add_model
from v2t_lib.clips.missing import shown
from v2t_lib.errors import V2TError
from v2t_lib.tsv import cell, without_password


def add_arguments(parser):
    text = "a GIF, APNG, WebP, MP4, MOV, WebM or AVI: a path or URL"
    parser.add_argument("files", nargs="+", metavar="FILE", help=text)
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


def run(args) -> int:
    from v2t_lib.models.saving import load

    captioner, failed = load(args.model), 0
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
        if args.json:
            print(json.dumps(_as_json(file, caption), ensure_ascii=False), flush=True)
        else:
            print(f"{cell(file)}\t{caption.text}", flush=True)
    if failed:
        print(f"{failed} of {len(args.files)} files gave no caption", file=sys.stderr)
    return 1 if failed else 0
