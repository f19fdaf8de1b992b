"""Downloads clips from a captions file of URLs, one verdict a source, resumable at any point.

May import `shards`, `clips`, `text` and the ground modules, and urllib3.
Start reading at `fetch`; `manifest` holds the verdicts.
"""
