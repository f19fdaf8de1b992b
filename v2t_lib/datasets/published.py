"""Published scores, the protocol that each follows, and whether one's own may stand beside them.

Scores compare only between rows with the same data, clips and protocol.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Benchmark(NamedTuple):
    """A data set's test split, as published scores are computed on it."""

    data: str  # the data set's name in `PUBLISHED`
    clips: int
    references: int  # all captions, repeated ones included; 0 where that isn't published


#: By the names of `datasets.registry`.
TEST_SPLITS = {
    "msrvtt": Benchmark("MSR-VTT", 2990, 59_800),
    "msvd": Benchmark("MSVD", 670, 27_763),
    "tgif": Benchmark("TGIF", 11_360, 0),
}

_TGIF = "TGIF's own (see `metrics.corpus_scores`): missing predictions count as empty captions"
_COCO = "COCO caption evaluation, all references, all test clips of the usual split"
_WANG = (
    "as reported by Wang et al., Reconstruction Network for Video Captioning, CVPR 2018, "
    "arXiv 1803.11438"
)
_NAMES = ("BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr", "METEOR")
_FIELDS = ("data", "year", "clips", "system", "scores", "protocol", "source")
_SA_LSTM = "SA-LSTM (temporal attention), Inception-v4 features"
_ROWS = (
    (
        *("TGIF", 2016, 11_360, "TGIF release baseline (CNN-finetuned LSTM)"),
        (0.521, 0.330, 0.209, 0.127, 0.398, 0.316, 0.167),
        _TGIF,
        "github.com/raingo/TGIF-Release, data/results-lstm-cnn-finetune-cvpr16.tsv and "
        "data/README.md; arXiv 1604.02748, table 4",
    ),
    (
        *("TGIF", 2026, 9999, "SmolVLM-256M distilled from LLaVA"),
        (0.468, None, None, 0.129, 0.345, 0.375, 0.212),
        "not TGIF's: captions not tokenised, clips that failed are left out; by our estimate CIDEr "
        "would be about 0.33 with missing clips counted",
        "self-reported: github.com/Patricijia/model-comparison-site, professors.html",
    ),
    (
        *("MSVD", 2015, 670, "Temporal attention LSTM, GoogLeNet and 3D-CNN features"),
        (None, None, None, 0.4192, None, 0.5167, 0.2960),
        _COCO,
        "Yao et al., Describing Videos by Exploiting Temporal Structure, ICCV 2015, "
        "arXiv 1502.08029",
    ),
    (
        *("MSVD", 2018, 670, _SA_LSTM),
        (None, None, None, 0.453, 0.642, 0.762, 0.319),
        *(_COCO, _WANG),
    ),
    (
        *("MSR-VTT", 2018, 2990, _SA_LSTM),
        (None, None, None, 0.363, 0.583, 0.399, 0.255),
        *(_COCO, _WANG),
    ),
)


def _row(*values) -> dict:
    row: dict = dict(zip(_FIELDS, values, strict=True))
    return row | dict(zip(_NAMES, row.pop("scores"), strict=True))


#: One row a system; None where the source gives no figure.
PUBLISHED = tuple(_row(*values) for values in _ROWS)


def why_not_beside(dataset: str, references: Mapping[str, Sequence[str]]) -> str:
    """Why scores against these references, those of clips without a prediction included, may not
    stand beside published ones; "" if they may."""
    if dataset not in TEST_SPLITS:
        return f"no published scores of {dataset!r} are known here"
    name, clips, captions = TEST_SPLITS[dataset]
    if len(references) != clips:
        return (
            f"published scores are over all {clips:,} test clips of {name}, and these over "
            f"{len(references):,}: scores on some of the clips compare with none on all"
        )
    count = sum(map(len, references.values()))
    if captions and count != captions:
        return (
            f"published scores are against all {captions:,} captions of the test clips of {name}, "
            f"and these against {count:,}; shards hold a repeated caption once, so give the "
            "predictions and the captions file to `v2t score`"
        )
    return ""


def beside_published(
    dataset: str, scores: Mapping[str, float | None], references: Mapping[str, Sequence[str]]
) -> tuple[list[dict], str]:
    """The published rows of a data set and last, if they compare with those, one's own scores; and
    why these are left out, "" if they aren't, see `why_not_beside`."""
    why, split = why_not_beside(dataset, references), TEST_SPLITS.get(dataset)
    rows = [row for row in PUBLISHED if split and row["data"] == split.data]
    if split and not why:
        ours = {"data": split.data, "system": "yours", "clips": len(references)}
        rows.append({name: ours.get(name, scores.get(name)) for name in rows[0]})
    return rows, why
