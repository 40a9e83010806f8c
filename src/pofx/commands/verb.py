"""What makes a function a verb of the command line."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Generic, ParamSpec

from pofx.commands.files import save
from pofx.commands.flags import Flags, Known, asking_flags
from pofx.commands.progress import counted
from pofx.progress import shown_by
from pofx.session import Result

P = ParamSpec("P")
Report = dict[str, Any] | list[dict[str, Any]]
VERBS: dict[str, Verb[Any]] = {}  # by the name that is written after `pofx`


class Verb(Generic[P]):
    """A function of what a user can ask for. Called, it writes the files that its `Result` has, and gives the report.

    Args:
        function: gives a `Result`, or only a report, that JSON can hold
        flags: all flags, where some of them depend on positional arguments; None where they are the function's own
        json_only: what of the report is for --json only
        printed_texts: the texts in the report that are printed and nothing else, unless they went into a file
    """

    def __init__(self, function: Callable[P, Any], flags: Known | None, json_only: tuple[str, ...], printed_texts: str):
        self.function, self.flags, self.json_only, self.printed_texts = function, flags, json_only, printed_texts
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        with shown_by(counted):
            found = self.result(*args, **kwargs)
        if not isinstance(found, Result):
            return found
        for file, artefact in found.artefacts.items():
            save(file, artefact)
        if found.card is not None:
            from pofx.card import write_card

            write_card(found.card)
        return found.report

    def result(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """What the function gives: nothing is written."""
        return self.function(*args, **kwargs)

    def known(self, *about: Any, **more: Any) -> list[Flags]:
        """All flags; those that depend on positional arguments are there when these are given."""
        return self.flags(*about, **more) if self.flags else [self.own()]

    def own(self) -> Flags:
        """The flags that are known before anything is read."""
        return Flags.of("flags", self.function)


def verb(
    *asks: type, data: bool = False, flags: Known | None = None, json_only: tuple[str, ...] = (), printed_texts: str = ""
) -> Callable[[Callable[P, Any]], Verb[P]]:
    """Make a function the verb of its name: its keyword-only arguments are flags, and so are those of what it asks a run's model.

    Args:
        asks: capabilities; the arguments of their methods are flags, too
        data: whether the options of reading data are flags, too
        flags: all flags, where they are others than these
        json_only: what of the report is for --json only
        printed_texts: the texts in the report that are printed and nothing else, unless they went into a file
    """

    def add(function: Callable[P, Any]) -> Verb[P]:
        known = asking_flags(function, *asks, data=data) if flags is None and (asks or data) else flags
        VERBS[function.__name__] = made = Verb(function, known, json_only, printed_texts)
        return made

    return add
