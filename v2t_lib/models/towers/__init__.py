"""Two towers: a vector for a clip and one for a sentence, of pretrained models.

`registry` has what all share and loads them; `hub` has those of keras-hub.
"""
