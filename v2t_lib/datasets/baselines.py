"""Figures that others report for TGIF's test split, to hold one's own against."""

#: One row a system, in TGIF's protocol (`scoring`); None where the source gives no figure.
PUBLISHED = (
    {
        "system": "TGIF release baseline (CNN-finetuned LSTM)",
        "year": 2016,
        "BLEU-1": 0.521,
        "BLEU-2": 0.330,
        "BLEU-3": 0.209,
        "BLEU-4": 0.127,
        "ROUGE-L": 0.398,
        "CIDEr": 0.316,
        "METEOR": 0.167,
        "source": "github.com/raingo/TGIF-Release, data/results-lstm-cnn-finetune-cvpr16.tsv and "
        "data/README.md; arXiv 1604.02748, table 4",
    },
    {
        "system": "Distilled 256M vision-language model",
        "year": 2026,
        "BLEU-1": None,
        "BLEU-2": None,
        "BLEU-3": None,
        "BLEU-4": None,
        "ROUGE-L": None,
        "CIDEr": 0.375,
        "METEOR": 0.212,
        "source": "self-reported, not reproduced here",
    },
)
