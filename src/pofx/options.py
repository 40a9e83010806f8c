"""Options from signatures: the keyword-only arguments of a function are flags of the command line. Nothing here needs torch."""

from __future__ import annotations

import functools
import inspect
import math
import re
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pofx.errors import UserError, nearest

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class HyperParameter:
    """One keyword argument of a model's constructor (or of a capability's method, or of a verb): a flag of the command line."""

    name: str
    annotation: Any
    default: Any
    help: str


@functools.cache
def annotations_of(function: Any) -> dict[str, Any]:
    """The annotations of `function`'s arguments, as objects."""
    annotations = typing.get_type_hints(function, include_extras=True)
    annotations.pop("return", None)
    return annotations


def options(function: Any, docstring: str | None) -> list[HyperParameter]:
    """The keyword-only arguments of `function`, with help from the `Args:` block of `docstring`, as flags need them."""
    annotations, helps = annotations_of(function), argument_help(docstring)
    return [
        HyperParameter(name, annotations.get(name, Any), parameter.default, helps.get(name, ""))
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    ]


def argument_help(docstring: str | None) -> dict[str, str]:
    """The help of each argument, from the `Args:` block of a docstring.

    Example:
        >>> argument_help("A coder.\\n\\nArgs:\\n    latent: numbers in\\n        a code\\n")
        {'latent': 'numbers in a code'}
    """
    _, _, block = inspect.cleandoc(docstring or "").partition("\nArgs:\n")
    helps: dict[str, str] = {}
    name = ""
    for line in block.splitlines():
        if line and not line.startswith(" "):
            break
        if match := re.match(r" {4}\**(\w+): (.*)", line):
            name, helps[match[1]] = match[1], match[2]
        elif name and line.strip():
            helps[name] += " " + line.strip()
    return helps


def from_text(annotation: Any, text: str) -> Any:
    """The value that `text` spells for `annotation`; the text itself where it spells none, which `check_value` then names.

    Example:
        >>> from_text(int | None, "3"), from_text(int | None, "none"), from_text(int, "x"), from_text(Literal["mlp", 2], "2")
        (3, None, 'x', 2)
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return from_text(args[0], text)
    if origin in (Union, types.UnionType):
        return next((value for option in args if (value := from_text(option, text)) != text), text)
    if origin is Literal:
        return next((option for option in args if str(option) == text), text)
    if origin is tuple:
        return tuple(from_text(args[0], part) for part in text.split(",")) if text else ()
    if annotation is types.NoneType:
        return None if text.lower() == "none" else text
    if annotation is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if annotation in (int, float):
        try:
            return annotation(text)
        except ValueError:
            return text
    return text


def limits(annotation: Any) -> str:
    """The range that `annotation` allows, in words; empty when it states none.

    Example:
        >>> limits(Annotated[int, Range(1)] | None), limits(tuple[Annotated[float, Range(0, 1)], ...]), limits(str)
        ('1 or more', 'each between 0 and 1', '')
    """
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return ", ".join(str(limit) for limit in args[1:] if isinstance(limit, Range))
    if origin is tuple:
        return f"each {inner}" if (inner := limits(args[0])) else ""
    if origin in (Union, types.UnionType):
        return " or ".join(filter(None, map(limits, args)))
    return ""


@dataclass(frozen=True)
class Range:
    """The values a number may take: from `low` (or above it, if `above`) to `high`, both included."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"above {self.low}" if self.above else f"{self.low} or more"
        return f"between {self.low}{' (not included)' if self.above else ''} and {self.high}"


Size = Annotated[int, Range(1)]
Count = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
NonNegative = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
Dropout = Annotated[float, Range(0, 0.99)]  # at 1 nothing would be left to learn from
Seed = Annotated[int, Range(0, 2**63 - 1)]


def check_value(name: str, annotation: Any, value: Any) -> None:
    """Raise a UserError in one line unless `value` is what `annotation` allows.

    Example:
        >>> check_value("latent", Size, 16)
        >>> check_value("latent", Size, 0)
        Traceback (most recent call last):
        pofx.errors.UserError: latent must be 1 or more, not 0
        >>> check_value("body", Literal["mlp", "conv"], "cnov")
        Traceback (most recent call last):
        pofx.errors.UserError: body must be one of mlp, conv, not 'cnov': did you mean conv?
    """
    problem = _problem(annotation, value)
    if problem:
        raise UserError(f"{name} must be {problem}")


def _problem(annotation: Any, value: Any) -> str | None:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        problems = [_problem(option, value) for option in args]
        if None in problems:
            return None
        return next(p for option, p in zip(args, problems, strict=True) if option is not types.NoneType)
    if origin is Annotated:
        problem = _problem(args[0], value)
        for limit in args[1:]:
            if problem is None and isinstance(limit, Range) and value not in limit:
                problem = f"{limit}, not {value!r}"
        return problem
    if origin is Literal:
        if value in args:
            return None
        return f"one of {', '.join(map(str, args))}, not {value!r}: {nearest(str(value), map(str, args))}"
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return f"several values, not {value!r}"
        inner = args[:1] * len(value) if args[-1:] == (Ellipsis,) else args
        if len(inner) != len(value):
            return f"{len(inner)} values, not {len(value)}"
        return next((p for a, v in zip(inner, value, strict=True) if (p := _problem(a, v))), None)
    if annotation in (None, types.NoneType):
        return None if value is None else f"nothing, not {value!r}"
    if annotation is float:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return None if good else f"a number, not {value!r}"
    if annotation is int:
        return None if isinstance(value, int) and not isinstance(value, bool) else f"a whole number, not {value!r}"
    if isinstance(annotation, type):
        return None if isinstance(value, annotation) else f"{annotation.__name__}, not {value!r}"
    return None
