"""Where captioned clips come from: drawn here, published releases, your folder.

May import `fetching`, `shards`, `clips`, `text` and the ground modules.
Start reading at `registry`, then one file a data set.
"""
