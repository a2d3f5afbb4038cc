"""Modules that a library imports and that we never get to use."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def not_needed(*names: str) -> None:
    """Let these fail to import, for a library that does without them where they are not installed."""
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # how Python is told that there is none


def needed_later(*names: str) -> None:
    """Let importing these wait until something in them is asked for; their packages are imported at once.

    The standard library's ``LazyLoader`` does not wait: an import statement looks at a module's ``__spec__``.
    """
    for name in names:
        if name not in sys.modules:
            module = sys.modules[name] = _Later(name)
            package, _, last = name.rpartition(".")
            if package:
                setattr(importlib.import_module(package), last, module)


class _Later(ModuleType):
    """In the place of a module until something in it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)
