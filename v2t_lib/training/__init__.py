"""Fitting a captioner: loss, recipe, checkpoints that survive a kill, and SCST.

May import `metrics`, `models`, `shards` and what lies below them.
Start reading at `train`.
"""
