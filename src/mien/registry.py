"""name -> factory and facts; one instance per kind of thing.

A module adds itself with one decorator; a registry imports all modules of its package when it is first asked, so that
adding a thing is adding a file.

>>> things = Registry("thing")
>>> @things.register("one", paper="none")
... def one(): return 1
>>> things.create("one"), things.facts("one")["paper"]
(1, 'none')
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from mien.errors import UnknownName

T = TypeVar("T")


class Registry(Generic[T]):
    """A table of factories of one kind."""

    def __init__(self, kind: str, package: str | None = None) -> None:
        self.kind = kind
        self._package = package
        self._factories: dict[str, Callable[..., T]] = {}
        self._facts: dict[str, dict[str, Any]] = {}

    def register(self, name: str, **facts: Any) -> Callable[[Callable[..., T]], Callable[..., T]]:
        """Decorator: add a factory under `name` with its facts."""

        def add(factory: Callable[..., T]) -> Callable[..., T]:
            if name in self._factories:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._factories[name] = factory
            self._facts[name] = {"name": name, **facts}
            return factory

        return add

    def _discover(self) -> None:
        if self._package is None:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._package = None

    def names(self) -> list[str]:
        self._discover()
        return sorted(self._factories)

    def facts(self, name: str) -> dict[str, Any]:
        """Facts of one entry.

        Raises:
            UnknownName: nothing is registered under that name.
        """
        self._discover()
        if name not in self._facts:
            raise UnknownName(self.kind, name, self._factories)
        return dict(self._facts[name])

    def create(self, name: str, **arguments: Any) -> T:
        """Call the factory of `name`.

        Raises:
            UnknownName: nothing is registered under that name.
        """
        self.facts(name)
        return self._factories[name](**arguments)
