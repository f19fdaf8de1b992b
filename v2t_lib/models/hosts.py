"""Several hosts that train one model together, through JAX's distributed runtime.

Each host runs the same program. What only one of them may do, writing files above all, the first
one does; what it has read the others get from it. On a single host nothing here does anything.
"""

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable, Iterator

import numpy as np

from v2t_lib.errors import DeviceError, TrainingError, V2TError

#: Seconds that a host waits for the others at the beginning.
JOIN_SECONDS = 300


@dataclasses.dataclass(frozen=True)
class Hosts:
    """The hosts that train together, seen from one of them.

    Attributes:
        count: How many there are.
        index: This one's number, from 0.
    """

    count: int = 1
    index: int = 0

    @property
    def first(self) -> bool:
        """Whether this host writes the run's files."""
        return self.index == 0

    def any(self, flag: bool) -> bool:
        """Whether `flag` is set on at least one host; each has to ask."""
        return flag if self.count == 1 else bool(_gathered(np.array([flag], np.int32)).any())

    def agree(self, about: dict) -> None:
        """Checks that every host has the same; each has to call it.

        Args:
            about: What has to be the same, by name; values that JSON can hold.

        Raises:
            DeviceError: A host has something else, on all hosts.
        """
        if self.count == 1:
            return
        data = np.frombuffer(json.dumps(_flat(about)).encode(), np.uint8)
        sizes = _gathered(np.array([data.size], np.int32))[:, 0]
        rows = _gathered(np.pad(data, (0, int(sizes.max()) - data.size)))
        texts = [bytes(row[:size]) for row, size in zip(rows, sizes, strict=True)]
        expected, *others = map(json.loads, texts)
        for number, received in enumerate(others, 1):
            for name in sorted(expected.keys() | received.keys()):
                mine, other = expected.get(name), received.get(name)
                if mine != other:
                    raise DeviceError(
                        f"host {number}: expected {name} {mine}, as the first host (0) has. "
                        f"Received: {other}; start every host with the same files, options and "
                        "versions"
                    )

    def from_first(self, make: Callable[[], tuple[object, list]]) -> tuple[object, list]:
        """What the first host makes: a value that JSON can hold, and arrays; each has to call it.

        Raises:
            V2TError: The first host's error, on all hosts.
        """
        if self.count == 1:
            return make()
        from jax.experimental.multihost_utils import broadcast_one_to_all

        data, error = np.zeros(0, np.uint8), None
        if self.first:
            try:
                about, arrays = make()
            except V2TError as one:
                about, arrays, error = None, [], one
            data = _packed({"about": about, "error": error and str(error)}, arrays)
        size = int(broadcast_one_to_all(np.array([data.size], np.uint32))[0])
        data = broadcast_one_to_all(data if self.first else np.zeros(size, np.uint8))
        if error is not None:
            raise error
        found, arrays = _unpacked(np.asarray(data, np.uint8))
        if found["error"]:
            raise TrainingError(f"the first host failed: {found['error']}")
        return found["about"], arrays

    def first_before_others(self, make: Callable[[], object]):
        """Each host's own `make()`; the others begin once the first has its result."""
        made = make() if self.first else None
        if self.count > 1:
            _gathered(np.zeros(1, np.int32))
        return made if self.first else make()


_current = Hosts()


def current() -> Hosts:
    """The hosts that this process trains with; one outside of `joined`."""
    return _current


@contextlib.contextmanager
def among(hosts: Hosts) -> Iterator[None]:
    """Within it `current()` is `hosts`."""
    global _current
    before, _current = _current, hosts
    try:
        yield
    finally:
        _current = before


def lost(what: str) -> TrainingError:
    """The error on the hosts that remain when one is lost."""
    return TrainingError(
        f"expected all hosts to stay to the end. Received: {what}; look at what the other hosts "
        "said last, then start all of them again with --resume, which goes on from the last "
        "checkpoint"
    )


def not_joined(coordinator: str | None, seconds: int) -> DeviceError:
    """The error where the hosts don't find each other in time."""
    return DeviceError(
        f"expected the other hosts to join at {coordinator or 'the coordinator'} within {seconds} "
        "seconds. Received: too few; start the same command on each, with the same --coordinator "
        "and --hosts and a --host of its own, and look at what the others said"
    )


def _gathered(array: np.ndarray) -> np.ndarray:
    """Every host's `array`, one row a host."""
    from jax.experimental.multihost_utils import process_allgather

    return np.asarray(process_allgather(array))


def _flat(values: dict, prefix: str = "") -> dict:
    """A dictionary of dictionaries as one: {"training.seed": 0}."""
    flat = {}
    for name, value in values.items():
        nested = isinstance(value, dict)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {prefix + name: value}
    return flat


def _packed(about: dict, arrays: list) -> np.ndarray:
    file = io.BytesIO()
    named = {f"{number:05d}": np.asarray(array) for number, array in enumerate(arrays)}
    np.savez(file, about=np.array(json.dumps(about)), **named)
    return np.frombuffer(file.getvalue(), np.uint8)


def _unpacked(data: np.ndarray) -> tuple[dict, list[np.ndarray]]:
    with np.load(io.BytesIO(data.tobytes())) as parts:
        names = sorted(set(parts.files) - {"about"})
        return json.loads(str(parts["about"])), [parts[name] for name in names]
