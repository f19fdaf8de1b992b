"""Recipes by name, as `v2t train --recipe NAME` takes them; a new one is a new file here.

May import `training.recipe` and the ground modules: listing recipes loads nothing heavy.
Start reading at `registry`, then `shapes`.
"""
