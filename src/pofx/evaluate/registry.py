"""Which measures there are: each registers itself, with what it needs of a model and of data, and with its options.

A measure is a function of a `Request` that gives scores. Those of pofx are found by the names of the files beside this one; one that stands
in a model's own file is registered when that file is imported.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from pofx.capabilities import Samples, can, require
from pofx.errors import UserError
from pofx.evaluate.request import Request
from pofx.options import REQUIRED, HyperParameter, check_value, options

if TYPE_CHECKING:
    from pofx.evaluate.protocol import Score
    from pofx.model import Model

Function = TypeVar("Function", bound=Callable[..., Iterable["Score"]])
LAST = 1000  # the place of a measure that says none
_FIELDS = {field.name for field in fields(Request)} | {"weights"}  # of which `about` is made
_KNOWN: dict[str, Measure] = {}


@dataclass(frozen=True)
class Measure:
    """A function of a request, and when it is asked.

    Args:
        name: in words, as errors say it
        function: (request, keyword-only options of its own) -> scores
        needs: capabilities of the model. What needs `Samples` is asked only where samples are drawn
        fields: of the data, beside x and row by row with it; `label` only where it is one of several classes
        when: what else must be so
        check: raises the UserErrors that can be known before any work; arguments as those of `function`
        place: among the scores, ascending
    """

    name: str
    function: Callable[..., Iterable[Score]]
    needs: tuple[type, ...]
    fields: tuple[str, ...]
    when: Callable[[Request], bool] | None
    check: Callable[..., None] | None
    place: int

    @property
    def options(self) -> dict[str, HyperParameter]:
        """Its own keyword-only arguments by name, with the help of its docstring."""
        return {option.name: option for option in options(self.function, self.function.__doc__)}

    def suits(self, model: object) -> bool:
        """Whether a model, or a model's class, has all that it needs."""
        return all(can(model, capability) for capability in self.needs)

    def applies(self, request: Request) -> bool:
        """Whether it is a part of what is requested."""
        return (
            self.suits(request.model)
            and (Samples not in self.needs or request.drawing)
            and all(request.has(field) for field in self.fields)
            and (self.when is None or self.when(request))
        )

    def require(self, request: Request) -> None:
        """Raise the UserErrors of a measure that applies, of those that can be known before any work."""
        own = self._asked(request)
        for name, value in own.items():
            check_value(name, self.options[name].annotation, value)
        if self.check is not None:
            self.check(request, **own)

    def __call__(self, request: Request) -> list[Score]:
        return list(self.function(request, **self._asked(request)))

    def _asked(self, request: Request) -> dict[str, Any]:
        return {name: request.asked[name] for name in self.options if name in request.asked}


def measure(
    name: str,
    *,
    needs: tuple[type, ...] = (),
    fields: tuple[str, ...] = (),
    when: Callable[[Request], bool] | None = None,
    check: Callable[..., None] | None = None,
    place: int = LAST,
) -> Callable[[Function], Function]:
    """Register a function of a `Request` as a measure; the function stays what it is.

    Its keyword-only arguments are options of `pofx.evaluate.evaluate` and flags of `pofx evaluate`. A measure of the same name from another
    import of the same file, such as the copy in a run folder, takes its place.

    Args: as in `Measure`

    Raises:
        UserError: one of pofx's own is called so; an option that is a field of the request, or has no default
    """

    def register(function: Function) -> Function:
        known = _KNOWN.get(name)
        if known is not None and _own(known.function) and known.function.__module__ != function.__module__:
            raise UserError(f"pofx has a measure {name!r} of its own ({known.function.__module__}): choose another name")
        for option in inspect.signature(function).parameters.values():
            if option.kind is inspect.Parameter.KEYWORD_ONLY:
                if option.name in _FIELDS:
                    raise UserError(f"measure {name!r}: {option.name} is asked of every request: read it off the request")
                if option.default is REQUIRED:
                    raise UserError(f"measure {name!r}: option {option.name} needs a default, such as None where it is measured on demand")
        _KNOWN[name] = Measure(name, function, needs, fields, when, check, place)
        return function

    return register


def measures() -> list[Measure]:
    """All that are registered, in the order of their scores."""
    package = importlib.import_module(__package__ or "")
    _import_files(package.__name__, tuple(package.__path__))
    return sorted(_KNOWN.values(), key=lambda known: known.place)


@functools.cache  # measures are asked for many times in an evaluation, and the folder is looked through once
def _import_files(package: str, folders: tuple[str, ...]) -> None:
    for _, name, _ in pkgutil.iter_modules(folders):
        if not name.endswith("_private"):  # what wraps a library, which may be slow to import
            importlib.import_module(f"{package}.{name}")


def options_of(model: object) -> dict[str, HyperParameter]:
    """The options of all measures that a model, or a model's class, has what they need for."""
    return {name: option for known in measures() if known.suits(model) for name, option in known.options.items()}


def require_used(model: Model, name: str, idle: list[Measure]) -> None:
    """Raise a UserError: an option is of measures of which none applies, for want of a capability if that is why."""
    if needs := idle[0].needs:
        require(model, *needs)
    raise UserError(f"{name} is of {' and '.join(known.name for known in idle)}, which is not measured here: remove it")


def _own(function: Callable[..., Any]) -> bool:
    return function.__module__.startswith("pofx.")
