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
    """What one field holds: the command line's flag, its help and the check come from it."""

    default: int | float | str  # of the field's type
    help: str
    unit: str  # what the value counts or measures, one word
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()  # any name if empty
    flag: str = ""  # where it isn't called as the field

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
        """A command line's `text` as a value; `ValueError` if it isn't one of this option's."""
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
    """Base of frozen dataclasses of options: a value outside its range raises `ValueError`."""

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

    Looking up a name imports the package's module called like it, and all others only if it isn't
    there. `kind` says in messages what the objects are, `error` is what an unknown name raises.

    Example:
        >>> ENCODERS = Registry("an encoder", "v2t_lib.models.encoders")
        >>> @ENCODERS.register("mine")  # in any module, of this package or yours
        ... class MyEncoder(keras.layers.Layer): ...
    """

    def __init__(self, kind: str, package: str, error: type[Exception] = ValueError):
        self.kind, self.package, self.error = kind, package, error
        self.found: dict[str, Any] = {}  # by the modules imported so far

    def register(self, name: str) -> Callable[[Any], Any]:
        """A decorator that keeps a class or function under `name`.

        Raises:
            ValueError: The name is another object's; a cell that is run again keeps its name.
        """

        def keep(thing):
            known = self.found.setdefault(name, thing)
            if _address(known) != _address(thing):
                raise ValueError(
                    f"expected a name that is not taken yet for {self.kind}. "
                    f"Received: {name!r}, which is {_address(known)}"
                )
            self.found[name] = thing
            return thing

        return keep

    def __getitem__(self, name: str):
        if name not in self.found:
            self.import_module(name)
        if name not in self.found and name not in list(self):
            raise self.error(f"expected {self.kind} among {', '.join(self)}. Received: {name!r}")
        return self.found[name]

    def import_module(self, name: str) -> None:
        """Imports the package's module of this name, where there is one."""
        address = f"{self.package}.{name}"
        if name.isidentifier() and importlib.util.find_spec(address):
            importlib.import_module(address)

    def __iter__(self) -> Iterator[str]:
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        return iter(sorted(self.found))


def _address(thing) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
