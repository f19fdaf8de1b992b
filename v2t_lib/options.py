"""Options: dataclass fields with help, unit and range. Registries: objects by name."""

import contextlib
import dataclasses
import importlib.util
import math
import operator
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

_KINDS = {int: "a whole number", float: "a number", str: "a name"}
_ENDS = {
    "at_least": operator.ge,
    "above": operator.gt,
    "at_most": operator.le,
    "below": operator.lt,
}


@dataclasses.dataclass(frozen=True)
class Option:
    """What one field holds: the command line's flag, its help and the check come from it.

    Attributes:
        default: The value when left out; its type, int, float or str, is the field's.
        help: What the value does, for a reader who meets it for the first time.
        unit: What the value counts or measures, one word.
        at_least, above, at_most, below: Ends of the range, or None.
        choices: The names allowed; any for an empty tuple.
        flag: The flag's name where it isn't the field's.
    """

    default: int | float | str
    help: str
    unit: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    flag: str = ""

    @property
    def range(self) -> str:
        """The range in words: "at least 0 and below 1"; empty for names."""
        given = {end: getattr(self, end) for end in _ENDS if getattr(self, end) is not None}
        return " and ".join(f"{end.replace('_', ' ')} {value}" for end, value in given.items())

    @property
    def expected(self) -> str:
        """What is allowed, in words: "a number, at least 0 and below 1"."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return ", ".join(filter(None, (_KINDS[type(self.default)], self.range)))

    def parse(self, text: str) -> int | float | str:
        """A command line's `text` as a value.

        Raises:
            ValueError: It isn't one of this option's values.
        """
        value: Any = text
        with contextlib.suppress(ValueError):
            value = type(self.default)(text)
        if not self.allows(value):
            raise ValueError(f"expected {self.expected}. Received: {text!r}")
        return value

    def allows(self, value: object) -> bool:
        """Whether `value` is of the field's type and within the range."""
        if isinstance(self.default, str):
            return isinstance(value, str) and value != "" and value in (self.choices or (value,))
        kinds = (int, float) if isinstance(self.default, float) else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            return False
        given = [(end, getattr(self, name)) for name, end in _ENDS.items()]
        return all(limit is None or end(value, limit) for end, limit in given)


def option(default, help: str, unit: str, **limits):
    """A dataclass field with a default; `limits` are `Option`'s ends, choices and flag."""
    about = Option(default, help, unit, **limits)
    return dataclasses.field(default=default, metadata={"option": about})


class Options:
    """Base of the frozen dataclasses that hold options: refuses values outside their range.

    Raises:
        ValueError: A value of another type, or outside the range.
    """

    @classmethod
    def about(cls) -> dict[str, Option]:
        """The fields made by `option`, by name."""
        fields = dataclasses.fields(cls)  # type: ignore[arg-type]  # of subclasses, all dataclasses
        return {field.name: field.metadata["option"] for field in fields if field.metadata}

    def __post_init__(self):
        for name, option in self.about().items():
            value = getattr(self, name)
            if not option.allows(value):
                raise ValueError(
                    f"expected {type(self).__name__}.{name} to be {option.expected}. "
                    f"Received: {value!r}"
                )


class Registry:
    """Objects by name, which the modules of one package register as they are imported.

    That of the module called as the object is looked up first; all others only where it isn't
    there, or where the names are listed.

    Args:
        kind: What the objects are, with its article, for messages: "an encoder".
        package: The package whose modules register themselves.
        error: What an unknown name raises.

    Example:
        >>> ENCODERS = Registry("an encoder", "v2t_lib.models.encoders")
        >>> @ENCODERS.register("mine")  # in any module, of this package or yours
        ... class MyEncoder(keras.layers.Layer): ...
    """

    def __init__(self, kind: str, package: str, error: type[Exception] = ValueError):
        self.kind, self.package, self.error = kind, package, error
        self._found: dict[str, Any] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[Any], Any]:
        """A decorator that keeps a class or function under `name`.

        Raises:
            ValueError: The name is another object's. A cell or module that is run once more may
                register its own again.
        """

        def keep(thing):
            known = self._found.get(name)
            if known is not None and _address(known) != _address(thing):
                raise ValueError(
                    f"expected a name that is not taken yet for {self.kind}. "
                    f"Received: {name!r}, which is {_address(known)}"
                )
            self._found[name] = thing
            return thing

        return keep

    def __getitem__(self, name: str):
        if name not in self._found:
            self.import_module(name)
        if name not in self._found:
            self._discover()
        if name not in self._found:
            raise self.error(f"expected {self.kind} among {', '.join(self)}. Received: {name!r}")
        return self._found[name]

    def import_module(self, name: str) -> None:
        """Imports the package's module of this name, where there is one."""
        address = f"{self.package}.{name}"
        if name.isidentifier() and importlib.util.find_spec(address):
            importlib.import_module(address)

    def loaded(self) -> list:
        """What the modules imported so far have registered."""
        return list(self._found.values())

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(sorted(self._found))

    def __len__(self) -> int:
        self._discover()
        return len(self._found)

    def _discover(self) -> None:
        if self._complete:
            return
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        self._complete = True


def _address(thing) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
