"""`v2t`: every step from the shell; results on stdout, progress and problems on stderr.

May import everything below; what is heavy inside the functions that need it.
Start reading at `main`; one module a command, `flags` for what several share.
"""
