"""Registries: encoders, data sets and recipes by name, each from a file that registers itself."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any


class Registry:
    """Objects by name; those of one package are found by importing all its modules when first used.

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
        self._discover()
        if name not in self._found:
            raise self.error(f"expected {self.kind} among {', '.join(self)}. Received: {name!r}")
        return self._found[name]

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
