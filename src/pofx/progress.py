"""How far long work is: the work tells, and whoever speaks to the user shows it, or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")
Watcher = Callable[[Iterable[Any], int, str], Iterable[Any]]
_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """`items`, one after another, each told of to whoever is shown them.

    Args:
        items: of the work
        total: how many there are
        what: is done with them, in words
    """
    watcher = _WATCHER.get()
    yield from items if watcher is None else watcher(items, total, what)


@contextmanager
def shown_by(watcher: Watcher) -> Iterator[None]:
    """While the block lasts, `watcher(items, total, what)` passes the items of long work on and shows how far it is.

    Example:
        >>> def watcher(items, total, what):
        ...     for done, item in enumerate(items, 1):
        ...         yield item
        ...         print(f"{what}: {done} of {total}")
        >>> with shown_by(watcher):
        ...     squares = [x * x for x in progress([1, 2], 2, "squaring")]
        squaring: 1 of 2
        squaring: 2 of 2
    """
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)
