"""Scores of captions, their diversity, and whether attention is faithful.

May import `models`, `datasets` and what lies below them.
Start reading at `corpus_scores`, then `attention_faithfulness`.
"""
