"""Check whether a clip bears a sentence out, word by word. The score is the mean lift of the words:
how much more probable each becomes by seeing the clip, in nats. Takes a clip and a sentence, or a
TSV of `source<TAB>sentence` rows, sources being URLs or paths relative to the file. A row that
can't be judged is reported, and the others are judged; the exit code is then 1."""

import json
import sys

from v2t_lib.cli.flags import add_json, add_model
from v2t_lib.clips.missing import shown
from v2t_lib.progress import log
from v2t_lib.tsv import cell

#: A word whose lift is below this many nats speaks against the sentence.
AGAINST = -0.5


def add_arguments(parser):
    add = parser.add_argument
    text = "a clip, or without SENTENCE a TSV of `source<TAB>sentence` rows"
    add("source", metavar="CLIP|PAIRS.tsv", help=text)
    add("sentence", nargs="?", metavar="SENTENCE", help="what is claimed of the clip")
    add_model(parser)
    add_json(parser)


def _details(found) -> str:
    """What the verdict rests on, in words."""
    parts = []
    if found.probability is not None:
        parts.append(f"probability {found.probability:.2f}")
    if found.score is not None:
        parts.append(f"lift {found.score:+.2f} nats a word")
    parts.append(f"evidence at {found.seconds:.2f} s")
    if found.unlike_training:
        parts.append("the clip is unlike the training data")
    if found.unknown:
        parts.append(f"the model doesn't know {', '.join(found.unknown)}")
    against = [word for word in found.words if word.lift is not None and word.lift < AGAINST]
    if against:
        named = [f"{w.word}{f' (rather {w.instead})' if w.instead else ''}" for w in against]
        parts.append(f"against it: {', '.join(named)}")
    return "; ".join(parts)


def run(args) -> int:
    from v2t_lib.models.saving import load
    from v2t_lib.models.verify_pairs import Pair, read_pairs, verify_pairs

    captioner = load(args.model)
    if args.sentence is None:
        pairs = read_pairs(args.source)
    else:
        pairs = [Pair(args.source, args.source, args.sentence)]
    failed = 0
    for row in verify_pairs(captioner, pairs):
        if row.error:
            failed += 1
            print(f"{cell(shown(row.file))}: {row.error}", file=sys.stderr)
        elif row.found.unknown and args.json:
            print(
                f"{cell(shown(row.file))}: can't tell, as the model doesn't know "
                f"{', '.join(row.found.unknown)}",
                file=sys.stderr,
            )
        if args.json:
            print(json.dumps(row.to_dict(), ensure_ascii=False), flush=True)
        elif not row.error:
            columns = (row.file, row.found.verdict, row.sentence, _details(row.found))
            print("\t".join(map(cell, columns)), flush=True)
    if captioner.verifier.calibration is None:
        log.warning(
            f"{args.model} has no calibration, so no probabilities and no verdicts; add it with "
            f"`v2t calibrate {args.model} SHARDS`, held-out shards"
        )
    if failed:
        print(f"{failed} of {len(pairs)} sentences were not judged", file=sys.stderr)
    return 1 if failed else 0
