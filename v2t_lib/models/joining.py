"""Joining other hosts to train with, and how a process ends when one of them is lost."""

import atexit
import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator

import keras

from v2t_lib import __version__
from v2t_lib.errors import DeviceError
from v2t_lib.models.hosts import JOIN_SECONDS, Hosts, among, lost, not_joined

#: Seconds without a sign of life after which a host counts as lost.
LOST_SECONDS = 30
#: Seconds that a host, once it is done, waits for the others: the first one still calibrates.
DONE_SECONDS = 24 * 3600
#: Seconds that the first host stays after a failure that all have seen, as JAX ends the others
#: when it goes, and they have to say what failed.
LINGER_SECONDS = 2


@contextlib.contextmanager
def joined(
    coordinator: str | None = None,
    count: int | None = None,
    index: int | None = None,
    seconds: int = JOIN_SECONDS,
) -> Iterator[Hosts]:
    """Within it this process is one of several hosts; nothing on JAX may have run before.

    Where the environment is one that JAX knows (SLURM, Cloud TPU, Open MPI, Kubernetes), nothing
    has to be given. After a failure, the process ends with exit code 1 as soon as Python does:
    JAX would wait for the other hosts, which wait for this one.

    Args:
        coordinator: `HOST:PORT`, an address of the first host and a port that is free there.
        count: Number of hosts.
        index: This one's number, from 0.
        seconds: How long to wait for the others.

    Raises:
        DeviceError: Keras doesn't run on JAX, or the hosts don't find each other.
        TrainingError: A host was lost.
    """
    backend = keras.backend.backend()
    if backend != "jax":
        raise DeviceError(
            f"expected Keras on JAX for several hosts. Received: Keras on {backend}; install JAX "
            "on each and set KERAS_BACKEND=jax"
        )
    import jax

    if index:
        _wait_for(coordinator, seconds)
    _initialize(coordinator, count, index, seconds)
    hosts = Hosts(jax.process_count(), jax.process_index())
    try:
        with among(hosts):
            hosts.agree(_versions())
            yield hosts
        jax.distributed.shutdown()
    except BaseException as error:
        atexit.register(_end, LINGER_SECONDS * hosts.first)  # before JAX's own handler
        if isinstance(error, jax.errors.JaxRuntimeError) and _is_loss(error):
            raise lost(str(error).strip().splitlines()[0][:200]) from error
        raise


def _versions() -> dict:
    import jax

    return {
        "version of v2t_lib": __version__,
        "version of Keras": keras.__version__,
        "version of JAX": jax.__version__,
        "number of devices": jax.local_device_count(),
    }


def _initialize(coordinator, count, index, seconds: int) -> None:
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator,
            count,
            index,
            initialization_timeout=seconds,
            heartbeat_timeout_seconds=LOST_SECONDS,
            shutdown_timeout_seconds=DONE_SECONDS,
        )
    except jax.errors.JaxRuntimeError as error:
        atexit.register(_end, 0)
        if "DEADLINE" in str(error):
            raise not_joined(coordinator, seconds) from error
        reason = str(error).strip().splitlines()[0][:200]
        raise DeviceError(
            f"expected to join the other hosts at {coordinator}. Received: {reason}; give each "
            "host a --host of its own, from 0, and all the same --hosts, and a port that is free"
        ) from error
    except ValueError as error:
        raise DeviceError(
            "expected SLURM's, Cloud TPU's, Open MPI's or Kubernetes' description of the hosts. "
            f"Received: none that JAX finds ({error}); name --coordinator HOST:PORT, --hosts N and "
            "--host I"
        ) from error


def _wait_for(coordinator: str, seconds: int) -> None:
    """Waits until the first host answers: JAX itself would end the process without a word."""
    host, _, port = coordinator.rpartition(":")
    until, why = time.monotonic() + seconds, None
    while time.monotonic() < until:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            why = error.strerror or str(error)
        time.sleep(min(1, seconds / 10))
    raise DeviceError(
        f"expected the first host to answer at {coordinator} within {seconds} seconds. "
        f"Received: {why}; start it with the same --coordinator and --host 0, and see that no "
        "firewall closes the port"
    )


def _is_loss(error: Exception) -> bool:
    return "RESOURCE_EXHAUSTED" not in str(error)


def _end(seconds: float) -> None:
    time.sleep(seconds)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(1)
