"""A stage says a fact once; logs, metrics, spans and tests listen. Free when nobody does."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

Listener = Callable[[str, Mapping[str, Any]], None]

_listeners: list[Listener] = []
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_bound: ContextVar[Mapping[str, Any]] = ContextVar("bound", default=_NOTHING)


def say(fact: str, **fields: Any) -> None:
    """Tell every listener that `fact` (`noun.past`) happened, with the fields bound around it."""
    if _listeners:
        told = {**_bound.get(), **fields}
        for listener in _listeners:
            listener(fact, told)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields to every fact said inside; nested calls add to the outer ones."""
    token = _bound.set({**_bound.get(), **fields})
    try:
        yield
    finally:
        _bound.reset(token)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Call `listener(fact, fields)` for every fact said until the block ends."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
