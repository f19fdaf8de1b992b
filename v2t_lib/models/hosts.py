"""Several hosts that train one model together, through JAX's distributed runtime: each runs the
same program, and the first one writes the files."""

import atexit
import contextlib
import dataclasses
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from v2t_lib import __version__
from v2t_lib.errors import DeviceError, TrainingError, V2TError

#: Seconds that a host waits for the others at the beginning, until one that is silent counts as
#: lost, and once it is done, while the first one still calibrates.
JOIN_SECONDS, LOST_SECONDS, DONE_SECONDS = 300, 30, 24 * 3600
#: Seconds that the first host stays after a failure, as JAX ends the others when it goes, and they
#: have to say what failed.
LINGER_SECONDS = 2


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The hosts that train together, seen from number `index` of `count`; each has to call the
    methods, in the same order."""

    count: int = 1
    index: int = 0

    @property
    def first(self) -> bool:
        """Whether this host writes the run's files."""
        return self.index == 0

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set on at least one host."""
        return flag if self.count == 1 else bool(_gathered(np.array([flag], np.int32)).any())

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What the first host makes, on all hosts; so is an error of the library."""
        if self.count == 1:
            return make()
        made, failure = None, ""
        if self.first:
            try:
                made = make()
            except V2TError as error:
                failure = str(error)
        data = np.frombuffer(pickle.dumps((made, failure)), np.uint8)
        size = int(_broadcast(np.array([data.size], np.uint32))[0])
        data = _broadcast(data if self.first else np.zeros(size, np.uint8))
        made, failure = pickle.loads(data.astype(np.uint8).tobytes())
        if failure:
            raise TrainingError(f"the first host failed: {failure}")
        return made

    def agree(self, about: dict) -> None:
        """Raises a DeviceError on all hosts unless each has the same, nested values by name."""
        mine = {".".join(map(str, path)): v for path, v in keras.tree.flatten_with_path(about)}
        first = self.from_first(lambda: mine)
        names = sorted(mine.keys() | first.keys())
        other = [f"{n} {mine.get(n)}" for n in names if mine.get(n) != first.get(n)]
        if self.any(bool(other)):
            received = ", ".join(other) or "the first one's, but another host has others"
            raise DeviceError(
                "expected the same files, options and versions on all hosts. Received: on host "
                f"{self.index} {received}"
            )


_current = Hosts()


def current() -> Hosts:
    """The hosts that this process trains with; one outside of `joined`."""
    return _current


def _gathered(array: np.ndarray) -> np.ndarray:
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(array))


def _broadcast(array: np.ndarray) -> np.ndarray:
    from jax.experimental.multihost_utils import broadcast_one_to_all

    return np.asarray(broadcast_one_to_all(array))


def check_backend(what: str) -> None:
    """Raises a DeviceError unless Keras runs on JAX, the only backend that can do this."""
    if (backend := keras.backend.backend()) != "jax":
        raise DeviceError(
            f"expected Keras on JAX for {what}. Received: Keras on {backend}; install JAX for your "
            "GPUs, pip install 'jax[cuda12]', and set KERAS_BACKEND=jax"
        )


@contextlib.contextmanager
def joined(
    coordinator: str | None = None, count: int | None = None, index: int | None = None
) -> Iterator[Hosts]:
    """Within it this process is one of several hosts; nothing on JAX may have run before.

    After a failure the process ends with exit code 1 as soon as Python does: JAX would wait for the
    other hosts, which wait for this one.

    Args:
        coordinator: `HOST:PORT`, an address of the first host and a port that is free there. It and
            the others may be left out within a job of SLURM, Cloud TPU, Open MPI or Kubernetes.
        count, index: Number of hosts, and this one's, from 0.
    """
    global _current
    check_backend("several hosts")
    import jax

    try:
        _initialize(coordinator, count, index)
        _current = Hosts(jax.process_count(), jax.process_index())
        versions = {"v2t_lib": __version__, "Keras": keras.__version__, "JAX": jax.__version__}
        _current.agree({"version of": versions, "number of devices": jax.local_device_count()})
        yield _current
        jax.distributed.shutdown()
    except BaseException as error:
        together = _current.count > 1
        atexit.register(_end, LINGER_SECONDS * (together and _current.first))  # before JAX's own
        is_jax = isinstance(error, jax.errors.JaxRuntimeError)
        if is_jax and "RESOURCE_EXHAUSTED" not in str(error):
            reason = str(error).strip().splitlines()[0][:200]
            raise (lost if together else not_joined)(reason) from error
        raise
    finally:
        _current = Hosts()


def _initialize(coordinator: str | None, count: int | None, index: int | None) -> None:
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            *(coordinator, count, index),
            initialization_timeout=JOIN_SECONDS,
            heartbeat_timeout_seconds=LOST_SECONDS,
            shutdown_timeout_seconds=DONE_SECONDS,
        )
    except ValueError as error:
        raise DeviceError(
            "expected SLURM's, Cloud TPU's, Open MPI's or Kubernetes' description of the hosts. "
            f"Received: {error}; name --coordinator HOST:PORT, --hosts N and --host I"
        ) from error


def not_joined(what: str) -> DeviceError:
    """The error where the hosts don't find each other in time."""
    return DeviceError(
        f"expected all hosts to join within {JOIN_SECONDS} seconds. Received: {what}; start the "
        "same command on each, with a --coordinator that all reach and a --host of its own, from 0"
    )


def lost(what: str) -> TrainingError:
    """The error on the hosts that remain when one is lost."""
    return TrainingError(
        f"expected all hosts to stay to the end. Received: {what}; look at what the other hosts "
        "said last, then start all of them again with --resume"
    )


def _end(seconds: float) -> None:
    time.sleep(seconds)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(1)  # stderr has no buffer
