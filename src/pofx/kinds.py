"""Kinds of data, and the ranges of hyper-parameters.

A field of a data set is of a kind; a model's constructor names the kinds it needs; what a model gives back is of a kind too.
Matching is by kind, so a mismatch is found before the first step. Nothing here needs torch.
"""

from __future__ import annotations

import math
import types
import typing  # noqa: F401  (the doctest of kinds_in)
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pofx.errors import UserError, nearest


class Kind:
    """A kind of data: the shape of one example and what its numbers mean.

    Every kind has `shape` (of one example, without the batch) and `size` (numbers in one example). Kinds are values: equal when their
    fields are equal, and written to JSON by `to_json`.
    """

    known: ClassVar[dict[str, type[Kind]]] = {}

    def __init_subclass__(cls) -> None:
        Kind.known[cls.__name__] = cls

    @property
    def shape(self) -> tuple[int, ...]:
        raise TypeError(f"{type(self).__name__} has no shape of its own")

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        return {"kind": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]  # every kind is a dataclass

    @staticmethod
    def from_json(record: dict[str, Any]) -> Kind:
        """The kind that `to_json` wrote.

        Example:
            >>> Kind.from_json(Image(1, 8, 8).to_json())
            Image(channels=1, height=8, width=8, levels=256)
        """
        if not isinstance(record, dict):
            raise UserError(f"a kind of data is a record with the key 'kind', not {record!r}")
        record = dict(record)
        name = record.pop("kind", "")
        if name not in Kind.known:
            raise UserError(f"unknown kind of data {name!r}: {nearest(name, Kind.known)}")
        cls = Kind.known[name]
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        for key in record:
            if key not in known:
                raise UserError(f"unknown key {key!r} in kind {name}: {nearest(key, known)}")
        if missing := [field.name for field in fields(cls) if field.default is MISSING and field.name not in record]:  # type: ignore[arg-type]
            raise UserError(f"kind {name} lacks {', '.join(missing)}")
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in record.items()})


def _positive(kind: Kind, **sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{type(kind).__name__}: {name} must be a whole number of 1 or more, not {size!r}")


@dataclass(frozen=True)
class Image(Kind):
    """Pictures: float32 in [0, 1], shape (channels, height, width), each value k / (levels - 1) for a whole k."""

    channels: int
    height: int
    width: int
    levels: int = 256

    def __post_init__(self) -> None:
        _positive(self, channels=self.channels, height=self.height, width=self.width)
        if self.levels < 2:
            raise UserError(f"Image: levels must be 2 or more, not {self.levels}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)


@dataclass(frozen=True, init=False)
class Binary(Kind):
    """Bits: float32, each 0 or 1, of any shape: `Binary(784)`, `Binary(1, 28, 28)` for binarised pictures, attributes."""

    dims: tuple[int, ...]

    def __init__(self, *dims: int, **stored: tuple[int, ...]) -> None:
        object.__setattr__(self, "dims", stored.get("dims", dims))
        if not self.dims:
            raise UserError("Binary: needs at least one dimension, such as Binary(784)")
        _positive(self, **{f"dimension {i}": d for i, d in enumerate(self.dims)})

    @property
    def shape(self) -> tuple[int, ...]:
        return self.dims


@dataclass(frozen=True)
class Vector(Kind):
    """Real numbers: float32, shape (dims,)."""

    dims: int

    def __post_init__(self) -> None:
        _positive(self, dims=self.dims)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.dims,)


@dataclass(frozen=True)
class Series(Kind):
    """Real-valued sequences: float32, shape (length, channels), first step first."""

    length: int
    channels: int = 1

    def __post_init__(self) -> None:
        _positive(self, length=self.length, channels=self.channels)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length, self.channels)


@dataclass(frozen=True)
class Category(Kind):
    """One of `classes` labels: int64, shape (). `names` gives the labels' own names, in order, where they have some."""

    classes: int
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _positive(self, classes=self.classes)
        if self.names and len(self.names) != self.classes:
            raise UserError(f"Category: {len(self.names)} names for {self.classes} classes")

    @property
    def shape(self) -> tuple[int, ...]:
        return ()


NOTHING, END = 0, 1  # of every vocabulary: what fills a batch after a sequence's end and stands before its first token; the end mark


@dataclass(frozen=True, repr=False)
class Tokens(Kind):
    """Sequences of tokens: int64, shape (L,) with L at most `length`, the end mark counted.

    Every vocabulary has two tokens of its own: NOTHING (0) fills a batch after the end of a sequence, and END (1) closes it. The
    others are from 2 to `vocabulary` - 1. A sequence without an end mark is the beginning of one. Where `ends` is False there are no
    end marks at all: each example is a window of `length` tokens of a running text. `tokenizer` is the hash of what makes text into
    these tokens.

    Example:
        >>> Tokens(8000, 64, tokenizer="8d8120c391b84a1f03b280c9286f0bd0199c43e3971d4570ad7b4595bc57e6e8")  # the hash is long
        Tokens(vocabulary=8000, length=64, tokenizer=8d8120c3)
    """

    vocabulary: int
    length: int
    ends: bool = True
    tokenizer: str = ""

    def __post_init__(self) -> None:
        _positive(self, vocabulary=self.vocabulary, length=self.length)
        if self.vocabulary < 3:
            raise UserError(f"Tokens: vocabulary must be 3 or more, for two tokens are nothing and the end mark, not {self.vocabulary}")

    def __repr__(self) -> str:
        told = [f"vocabulary={self.vocabulary}", f"length={self.length}", *(["ends=False"] if not self.ends else [])]
        return f"Tokens({', '.join([*told, *([f'tokenizer={self.tokenizer[:8]}'] if self.tokenizer else [])])})"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)


# Ranges of hyper-parameters


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


def kinds_in(annotation: Any) -> tuple[type[Kind], ...]:
    """The kinds that an annotation such as `Image | Vector | None` names; empty when it names none.

    Example:
        >>> [kind.__name__ for kind in kinds_in(typing.Optional[Image])]
        ['Image']
    """
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return tuple(option for option in options if isinstance(option, type) and issubclass(option, Kind))
