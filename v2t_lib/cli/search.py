"""`v2t search`."""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

from v2t_lib.captions_file import cell
from v2t_lib.cli.flags import add_json, add_model, load_models, new_file, number
from v2t_lib.cli.verify import details
from v2t_lib.clips.decode import decode_clip
from v2t_lib.clips.files import folder_clips, read_clip
from v2t_lib.progress import log


def add_search(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="a folder of clips, with the folders in it")
    add("sentence", metavar="SENTENCE", help="what is looked for")
    add_model(parser, towers=True)
    text = "how many clips to find, near-duplicates not counted (default: 10)"
    add("--top", type=number(1), default=10, metavar="N", help=text)
    text = "the folder that the index is kept in (default: .v2t-search in FOLDER)"
    add("--index", type=Path, metavar="DIR", help=text)
    add("--html", type=new_file, metavar="page.html", help="write a page that shows the clips")
    add_json(parser)


def _print(folder: str, sentence: str, match, as_json: bool) -> None:
    file, found = os.path.join(folder, match.file), match.verification
    others = [os.path.join(folder, other) for other in match.near_duplicates]
    if as_json:
        row = {"frame": match.frame, "seconds": round(match.seconds, 3)}
        row |= found.to_dict() if found else {"sentence": sentence}
        row |= {"file": file, "match": match.cosine and round(match.cosine, 4)}
        row |= {"score": round(match.score, 4), "near_duplicates": others}
        print(json.dumps(row, ensure_ascii=False), flush=True)
        return
    about = (found.verdict, details(found)) if found else (f"at {match.seconds:.2f} s",)
    print(f"{match.score:+.2f}", cell(file), *about, sep="\t", flush=True)
    for other in others:
        print(f"\t{cell(other)}\tnearly the same", flush=True)


def run_search(args: argparse.Namespace) -> int:
    """Find the clips in a folder that match a sentence best. With --towers the score is the cosine
    of clip and sentence by two pretrained towers; with --model alone that of `v2t verify`, the mean
    lift of the sentence's words; with both, --model says what it makes of the clips that the towers
    found. Clips that show almost the same are one result, the best of them first. What is computed
    for each clip is kept in an index in the folder, so that later searches take seconds: new and
    changed clips are added, those that are gone dropped. A clip that can't be read is reported
    when it is met, and counted."""
    from v2t_lib.folder_index import open_index
    from v2t_lib.search import LiftSearch, TowerSearch, known_words, verified
    from v2t_lib.views.gallery import save_found

    folder_clips(args.folder)  # refuses what is no folder of clips, before the model is loaded
    captioner, towers = load_models(args)
    if not towers:
        _, unknown = known_words(captioner, args.sentence)
        if unknown:
            log.warning("the model doesn't know %s: searched without", ", ".join(unknown))
    searcher = TowerSearch(towers) if towers else LiftSearch(captioner)
    index = open_index(searcher, args.folder, args.index)
    if index.errors:
        clips = "clip" if len(index.errors) == 1 else "clips"
        print(f"{len(index.errors)} {clips} of the folder can't be searched", file=sys.stderr)
    matches = searcher.search(index, args.sentence, args.top)
    if towers and captioner:
        rated = verified(captioner, index, args.sentence, [match.file for match in matches])
        matches = [dataclasses.replace(m, verification=rated.get(m.file)) for m in matches]
    for match in matches:
        _print(args.folder, args.sentence, match, args.json)
    if args.html and matches:
        paths = [os.path.join(args.folder, match.file) for match in matches]
        clips = [decode_clip(read_clip(path), searcher.spec) for path in paths]
        save_found(args.html, args.sentence, matches, clips)
        log.info("%s: written", args.html)
    if not matches:
        print(f"no clip of {args.folder} can be searched", file=sys.stderr)
    return 0 if matches else 1
