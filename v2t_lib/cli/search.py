"""`v2t search`."""

import argparse
import json
import os
import sys
from pathlib import Path

from v2t_lib.captions_file import cell
from v2t_lib.cli.flags import add_json, add_model, number
from v2t_lib.cli.verify import details
from v2t_lib.clips.files import folder_clips
from v2t_lib.progress import log


def add_search(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a folder of clips, with the folders in it")
    add("sentence", metavar="SENTENCE", help="what is looked for")
    add_model(parser)
    text = "how many clips to find, near-duplicates not counted (default: 10)"
    add("--top", type=number(1), default=10, metavar="N", help=text)
    text = "the folder that the index is kept in (default: .v2t-search in FOLDER)"
    add("--index", type=Path, metavar="DIR", help=text)
    add("--html", type=Path, metavar="page.html", help="write a page that shows the clips")
    add_json(parser)


def _print(folder: str, match, as_json: bool) -> None:
    file, found = os.path.join(folder, match.file), match.verification
    others = [os.path.join(folder, other) for other in match.near_duplicates]
    if as_json:
        row = found.to_dict() | {"file": file, "score": round(match.score, 4)}
        print(json.dumps(row | {"near_duplicates": others}, ensure_ascii=False), flush=True)
        return
    print(f"{match.score:+.2f}", cell(file), found.verdict, details(found), sep="\t", flush=True)
    for other in others:
        print(f"\t{cell(other)}\tnearly the same", flush=True)


def run_search(args: argparse.Namespace) -> int:
    """Find the clips in a folder that support a sentence best. The score is that of `v2t verify`,
    the mean lift of the sentence's words; clips that show almost the same are one result, the
    best of them first. What is computed for each clip is kept in an index in the folder, so that
    later searches take seconds: new and changed clips are added, those that are gone dropped. A
    clip that can't be read is reported when it is met, and counted."""
    from v2t_lib.models.saving import load
    from v2t_lib.search import known_words, open_index, search
    from v2t_lib.views.gallery import save_found

    folder_clips(args.folder)  # refuses what is no folder of clips, before the model is loaded
    captioner = load(args.model)
    _, unknown = known_words(captioner, args.sentence)
    if unknown:
        log.warning("the model doesn't know %s: searched without", ", ".join(unknown))
    index = open_index(captioner, args.folder, args.index)
    if index.errors:
        clips = "clip" if len(index.errors) == 1 else "clips"
        print(f"{len(index.errors)} {clips} of the folder can't be searched", file=sys.stderr)
    matches = search(captioner, index, args.sentence, args.top)
    try:
        for match in matches:
            _print(args.folder, match, args.json)
    finally:  # also where nobody reads on: `| head -1`
        if args.html and matches:
            paths = [os.path.join(args.folder, match.file) for match in matches]
            save_found(args.html, args.sentence, matches, list(map(captioner.decode, paths)))
            log.info("%s: written", args.html)
    if not matches:
        print(f"no clip of {args.folder} can be searched", file=sys.stderr)
    return 0 if matches else 1
