"""Downloads: clips by the thousand and single large files, and the report of what came of them.

May import `clips`, `text` and the ground modules, urllib3 and pandas.
Start reading at `download`.
"""
