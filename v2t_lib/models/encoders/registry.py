"""The encoder registry: Keras layers by the name that `v2t train --encoder` takes."""

import inspect
from collections.abc import Iterator

import keras
from keras import layers

from v2t_lib.errors import ModelError
from v2t_lib.options import Registry
from v2t_lib.specs import ClipSpec

ENCODERS = Registry("an encoder", "v2t_lib.models.encoders")


def register_encoder(name: str):
    """A decorator that makes a Keras layer an encoder by `name`, and known to `.keras` files.

    The layer turns uint8 clips `(batch, T, H, W, 3)` into a memory `(batch, S, D)` and has
    `grid(clip_spec)`, the memory's cells `(T', h', w')`; `memory_size`, `D`; and `get_config`.
    `GridEncoder` has all of it but the layers.
    """

    def register(cls):
        cls = keras.saving.register_keras_serializable("v2t_lib")(cls)
        return ENCODERS.register(name)(cls)

    return register


def get(name: str, **config) -> layers.Layer:
    """The encoder called `name`, made with `config`; a ValueError lists names or options."""
    cls = ENCODERS[name]
    known = options(cls).keys()
    unknown = config.keys() - known - {"name", "dtype", "trainable"}
    if unknown:
        raise ValueError(
            f"expected options of {name} among {', '.join(known) or 'none'}. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    try:
        return cls(**config)
    except TypeError as error:
        raise ValueError(
            f"expected options of {name} like its own, {options(cls)}. Received: {config}: {error}"
        ) from error


def options(cls: type) -> dict:
    """An encoder class's options with their defaults."""
    found = {}
    for base in reversed(cls.__mro__[: cls.__mro__.index(layers.Layer)]):
        if "__init__" in vars(base):
            found |= inspect.signature(vars(base)["__init__"]).parameters
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {n: p.default for n, p in found.items() if n != "self" and p.kind in kinds}


def class_of(config: dict) -> type | None:
    """The encoder class that a model file's config names, if there is one; nothing is made.

    Of this package its own module alone is imported, where it is still called as the file has it.
    """
    package, _, module = str(config.get("module")).rpartition(".")
    if package == ENCODERS.package:
        ENCODERS.import_module(module)
    name, named = config.get("registered_name"), keras.saving.get_registered_name
    loaded = {named(cls): cls for cls in ENCODERS.found.values()}
    if name not in loaded:  # imports all the others
        loaded = {named(ENCODERS[encoder]): ENCODERS[encoder] for encoder in ENCODERS}
    return loaded.get(name)


def deserialize(config: dict) -> layers.Layer:
    """The encoder that a model file's config describes; no class but a registered one is made."""
    if class_of(config) is None:
        raise ModelError(
            f"expected a registered encoder. Received: {config.get('class_name')!r} of "
            f"{config.get('module')!r}; import the module that registers it first"
        )
    return keras.saving.deserialize_keras_object(config)


def recipe_of(encoder: layers.Layer) -> tuple[str, dict]:
    """The name and the options that `get` makes an encoder like this one from."""
    name = next(name for name in ENCODERS if ENCODERS[name] is type(encoder))
    config = encoder.get_config()
    return name, {option: config[option] for option in options(type(encoder)) if option in config}


def cost(encoder: layers.Layer, spec: ClipSpec) -> dict:
    """What `encoder`, which is built, makes of a clip of `spec`, and what that takes on disk."""
    if not encoder.built:
        encoder.build((None, *spec.shape))
    return {
        "grid": encoder.grid(spec),
        "memory_size": encoder.memory_size,
        "parameters": encoder.count_params(),
        "feature_bytes": getattr(encoder, "feature_bytes", None),
    }


def costs(spec: ClipSpec) -> Iterator[tuple[str, dict]]:
    """Yields every encoder's name and `cost`, or `{"missing": ...}` where it lacks a package."""
    for name in ENCODERS:
        try:
            yield name, cost(get(name), spec)
        except ModelError as error:
            yield name, {"missing": str(error)}
