"""Registries in tests: what a test registers is forgotten after it."""


def forget_afterwards(monkeypatch, registry) -> None:
    known = {name: registry[name] for name in registry}
    monkeypatch.setattr(registry, "found", known)
