"""Published scores to compare one's own with, and the protocol that each follows.

Scores compare only between rows with the same data, clips and protocol.
"""

_TGIF = "TGIF's own (see `metrics.corpus_scores`): missing predictions count as empty captions"
_COCO = "COCO caption evaluation, all references, all test clips of the usual split"

#: One row a system; None where the source gives no figure.
PUBLISHED = (
    {
        "data": "TGIF",
        "system": "TGIF release baseline (CNN-finetuned LSTM)",
        "year": 2016,
        "BLEU-1": 0.521,
        "BLEU-2": 0.330,
        "BLEU-3": 0.209,
        "BLEU-4": 0.127,
        "ROUGE-L": 0.398,
        "CIDEr": 0.316,
        "METEOR": 0.167,
        "clips": 11360,
        "protocol": _TGIF,
        "source": "github.com/raingo/TGIF-Release, data/results-lstm-cnn-finetune-cvpr16.tsv and "
        "data/README.md; arXiv 1604.02748, table 4",
    },
    {
        "data": "TGIF",
        "system": "SmolVLM-256M distilled from LLaVA",
        "year": 2026,
        "BLEU-1": 0.468,
        "BLEU-2": None,
        "BLEU-3": None,
        "BLEU-4": 0.129,
        "ROUGE-L": 0.345,
        "CIDEr": 0.375,
        "METEOR": 0.212,
        "clips": 9999,
        "protocol": "not TGIF's: captions not tokenised, clips that failed are left out; by our "
        "estimate CIDEr would be about 0.33 with missing clips counted",
        "source": "self-reported: github.com/Patricijia/model-comparison-site, professors.html",
    },
    {
        "data": "MSVD",
        "system": "Temporal attention LSTM, GoogLeNet and 3D-CNN features",
        "year": 2015,
        "BLEU-1": None,
        "BLEU-2": None,
        "BLEU-3": None,
        "BLEU-4": 0.4192,
        "ROUGE-L": None,
        "CIDEr": 0.5167,
        "METEOR": 0.2960,
        "clips": 670,
        "protocol": _COCO,
        "source": "Yao et al. 2015, arXiv 1502.08029",
    },
    {
        "data": "MSVD",
        "system": "SA-LSTM (temporal attention), Inception-v4 features",
        "year": 2018,
        "BLEU-1": None,
        "BLEU-2": None,
        "BLEU-3": None,
        "BLEU-4": 0.453,
        "ROUGE-L": 0.642,
        "CIDEr": 0.762,
        "METEOR": 0.319,
        "clips": 670,
        "protocol": _COCO,
        "source": "as reported in Wang et al. 2018 (RecNet), arXiv 1803.11438",
    },
    {
        "data": "MSR-VTT",
        "system": "SA-LSTM (temporal attention), Inception-v4 features",
        "year": 2018,
        "BLEU-1": None,
        "BLEU-2": None,
        "BLEU-3": None,
        "BLEU-4": 0.363,
        "ROUGE-L": 0.583,
        "CIDEr": 0.399,
        "METEOR": 0.255,
        "clips": 2990,
        "protocol": _COCO,
        "source": "as reported in Wang et al. 2018 (RecNet), arXiv 1803.11438",
    },
)
