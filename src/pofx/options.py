"""Options from signatures: the keyword-only arguments of a function are flags of the command line. Nothing here needs torch."""

from __future__ import annotations

import functools
import inspect
import re
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pofx.kinds import Range

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
