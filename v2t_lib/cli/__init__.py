"""`v2t`: every step from the shell; results on stdout, progress and problems on stderr.

May import everything below; what is heavy inside the functions that need it.
Start reading at `main`; `flags` has what several commands share.
"""
