"""RetryPolicy: how many connections servers get, how often a source is tried, and for how long."""

import dataclasses

from v2t_lib.options import Options, option


@dataclasses.dataclass(frozen=True)
class RetryPolicy(Options):
    """How servers are treated."""

    connections: int = option(32, "downloads at a time", "downloads", at_least=1)
    per_host: int = option(8, "of them from one host", "downloads", at_least=1)
    attempts: int = option(5, "requests for one source, redirects not counted", "times", at_least=1)
    attempt_timeout: float = option(120.0, "longest time for one attempt", "seconds", above=0)
    total_timeout: float = option(
        600.0,
        "longest time for all attempts at a source and the pauses between",
        "seconds",
        above=0,
    )
    pause: float = option(
        1.0, "pause before the second attempt, doubled for each further one", "seconds", at_least=0
    )


DEFAULT_POLICY = RetryPolicy()
