"""Searching a folder of clips by a sentence: an index on disk, then a ranking by lift.

May import `models`, `shards` and the packages below them; no metrics, no training.
Start reading at `query`, then `index`.
"""
