"""What every kind of data has: a shape, a size, and a form in JSON."""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self, Union, get_args, get_origin

from pofx.errors import UserError, nearest
from pofx.kinds.shown import Curves, Points, Shown

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class Refusal:
    """Why data of one kind are not taken for another, as what may be done about it: an option of how they are read.

    Args:
        what: to do, up to the option, as in "make it binary with"
        option: of `pofx.data.load`, which commands spell as a flag; empty where none would do
        values: that it may take; none where that depends on the data
    """

    what: str = ""
    option: str = ""
    values: tuple[Any, ...] = ()


class Kind:
    """A kind of data: the shape of one example and what its numbers mean.

    Every kind has `shape` (of one example, without the batch) and `size` (numbers in one example). Kinds are values: equal when their
    fields are equal, and written to JSON by `to_json`.

    What else is asked of a kind has an answer here that suits real numbers; a kind that is otherwise says so in its own file.

    Attributes:
        dtype: of a batch of it: float32, or int64
        likelihood: of its numbers, where a model names none
        endings: of the files that examples are written to, the usual one first
        in_time: whether its first axis is steps in time, so that an example has a future
        label: whether an example is one of a few classes
        text: whether it is text, of tokens that a tokenizer makes
        printed: whether examples are read and not drawn, and so printed where no file is named
        bits_per_dimension: whether a log-likelihood of it is by custom also said in bits a dimension
        hints: what may be done where the data have no x of this kind at all
        tokenizer: hash of what makes text into it; empty where nothing does
        claim_order: the place of this kind among those that are asked whether an array is theirs: lower ones come first
        classes: how many an example is one of; 0 where examples are no classes
    """

    known: ClassVar[dict[str, type[Kind]]] = {}
    dtype: ClassVar[str] = "float32"
    likelihood: ClassVar[str] = "gaussian"
    endings: ClassVar[tuple[str, ...]] = (".png", ".npy", ".npz")
    in_time: ClassVar[bool] = False
    label: ClassVar[bool] = False
    text: ClassVar[bool] = False
    printed: ClassVar[bool] = False
    bits_per_dimension: ClassVar[bool] = False
    hints: ClassVar[tuple[Refusal, ...]] = ()
    tokenizer: str = ""
    claim_order: ClassVar[int] = 0
    classes: int = 0

    def __init_subclass__(cls) -> None:
        before = Kind.known.get(cls.__name__)
        if before is not None and before.__module__.startswith("pofx.") and not cls.__module__.startswith("pofx."):
            raise UserError(f"{cls.__name__} is a kind of pofx's own, as which stored runs are read: call yours otherwise")
        Kind.known[cls.__name__] = cls

    @property
    def shape(self) -> tuple[int, ...]:
        raise TypeError(f"{type(self).__name__} has no shape of its own")

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def levels(self) -> int:
        """How many values a number of it can take; 0 for real numbers."""
        return 0

    @property
    def names(self) -> tuple[str, ...]:
        """What the classes are called, in order, where they have names."""
        return ()

    @property
    def ragged(self) -> bool:
        """Whether examples may be shorter than `shape` says: a batch is then as long as its longest, with PAD behind the others."""
        return False

    @property
    def picture(self) -> bool:
        """Whether an example is drawn as a picture: grey, (H, W) or (1, H, W), or in colour, (3, H, W)."""
        return False

    @property
    def places(self) -> tuple[int, ...]:
        """The axes of what is known or not known as a whole: of a picture its pixels, of a series its steps, else every number."""
        return self.shape

    def spread(self, known: np.ndarray) -> np.ndarray:
        """A mask of places (..., *places) as one of numbers, to be broadcast to (..., *shape)."""
        return known

    @property
    def default_count(self) -> int:
        """How many examples are drawn where no number is asked for."""
        return 64

    @classmethod
    def takes(cls, found: Kind) -> tuple[Refusal, ...]:
        """Why data of kind `found` are not of this kind, whatever their sizes: nothing where they are."""
        return () if issubclass(type(found), cls) else (Refusal(),)

    def accepts(self, found: Kind) -> tuple[Refusal, ...]:
        """Why examples of kind `found` are none of this very kind; nothing where they are as good as its own.

        Example:
            >>> from pofx.kinds import Binary, Image
            >>> Image(1, 8, 8).accepts(Image(1, 8, 8, levels=17)), Binary(1, 8, 8).accepts(Image(1, 8, 8))[0].option
            ((), 'binarize')
        """
        why = type(self).takes(found) or (() if found.shape == self.shape else (Refusal(),))
        if why and not why[0].option and len(self.shape) == len(found.shape) == 3 and found.shape[1:] != self.shape[1:]:
            return (Refusal("pass", "size", (self.shape[-1],)),)  # pictures of another size
        return why

    def with_eos(self, numbers: list[int]) -> list[int]:
        """A sequence as one whole example: with what marks its end, where examples have such a mark."""
        return numbers

    def number_names(self, numbers: Sequence[int], codec: Any = None) -> list[str]:
        """What each number of one example is called; `codec` is what made them of text, for kinds that have one."""
        return [f"{number:g}" for number in numbers]

    def lengths(self, x: Tensor) -> Tensor:
        """How many numbers each example of a batch (B, ...) has itself, int64 (B,): without the padding behind it."""
        return x.new_full((len(x),), self.size).long()

    def collate(self, pieces: Sequence[Tensor]) -> Tensor:
        """Batches (n, *shape) of it as one."""
        import torch

        return torch.cat(list(pieces))

    def stacked(self, n: int) -> Kind:
        """The kind of `n` examples as one: their channels, or their numbers, side by side.

        Raises:
            UserError: there is none
        """
        raise UserError(f"examples of kind {self} cannot be stacked")

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        """What a person sees of examples (N, *shape); `codec` is what made them of text, for kinds that have one."""
        flat = x.reshape(len(x), -1)
        return Points(flat) if self.size == 2 else Curves(flat[:, None], "dimension")

    @classmethod
    def type_name(cls) -> str:
        """The word for it, in configurations and in messages."""
        return cls.__name__

    def file_content(self, form: str, x: np.ndarray, codec: Any = None) -> bytes | None:
        """Examples (N, *shape) as the content of a file of this kind's own, whose ending is `form`, one of `endings`.

        None for forms that need no kind: .png as it is drawn, .npy and .npz of its numbers, .txt and .jsonl of the texts it is drawn as.
        """
        return None

    def beside(self, n: int) -> Kind:
        """The kind of `n` pictures side by side as one.

        Raises:
            UserError: examples are no pictures
        """
        raise UserError(f"examples of kind {self} do not stand side by side")

    def at(self, size: int | tuple[int, int] | None = None, colour: str | None = None) -> Kind:
        """The kind of these pictures, of 256 levels, when they are brought to another size or colour.

        Args:
            size: pixels a side, or width and height; None: as they are
            colour: grey or rgb; None: as they are

        Raises:
            UserError: examples are no pictures of pixels
        """
        raise UserError(f"examples of kind {self} are no pictures, and have no size or colour")

    def binarised(self) -> Kind:
        """The kind of the bits that these pictures become.

        Raises:
            UserError: they become none, and why
        """
        raise UserError("only pictures are binarised")

    @classmethod
    def claims(cls, name: str, arrays: dict[str, np.ndarray], *, whole: bool = True) -> tuple[Kind, dict[str, np.ndarray]] | None:
        """The kind of the field `name` and its arrays as a data set stores them, (n, *kind.shape); None where another kind may claim them.

        Kinds are asked in the order of `claim_order`. Numbers come with the channels of pictures first.

        Args:
            name: of the field
            arrays: of each part, all of one shape but for their rows
            whole: whether there are few enough numbers to look at all

        Raises:
            UserError: nearly of this kind, and what is wrong, to stand behind the field's name
        """
        return None

    def check_shape(self, x: Any, *, name: str = "x", model: str = "the model") -> None:
        """Raise a UserError unless examples `x` (N, ...) have the shape of this kind; arguments as in `check`."""
        if tuple(x.shape[1:]) != self.shape:
            raise UserError(f"{model} was made for {name} of shape {self.shape}, not {tuple(x.shape[1:])}")

    def check(self, x: Any, *, name: str = "x", model: str = "the model", strict: bool = True, n: int | None = None) -> None:
        """Raise a UserError unless `x` are examples of this kind.

        Args:
            x: a tensor or an array, (N, *shape)
            name: what the message calls them
            model: what the message says was made for this kind
            strict: whether each number must be one that the kind has; otherwise it must be in its range, as a source's
            n: how many there must be, where that is known

        Example:
            >>> import numpy as np
            >>> from pofx.kinds import Image
            >>> Image(1, 1, 2).check(np.array([[[[0, 255]]]]))
            Traceback (most recent call last):
            pofx.errors.UserError: x must be from 0 to 1 in steps of 1/255: divide whole levels by 255
        """
        self.check_shape(x, name=name, model=model)
        if n is not None and len(x) != n:
            raise UserError(f"{name} must be {n} examples, not {len(x)}")

    # What the contract needs: kinds to build a model for, and examples of them. Arrays in, arrays out

    @classmethod
    def small(cls) -> tuple[Self, ...]:
        """Kinds of this sort in growing sizes: a model that refuses one is tried with the next."""
        return ()

    @classmethod
    def tiny(cls) -> tuple[Self, ...]:
        """More for a model whose density is exact: with few enough examples to go through all, or where an order of numbers shows."""
        return ()

    def random(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """`n` examples at random, as a data set stores them: (n, *shape); of whole levels the level."""
        import numpy as np

        shape = (n, *self.shape)
        if not self.levels:
            return rng.standard_normal(shape).astype(np.float32)
        return rng.integers(0, self.levels, shape).astype(np.uint8 if self.levels <= 256 and self.dtype == "float32" else np.int64)

    @property
    def count(self) -> int:
        """How many examples there are; 0 where they cannot be counted."""
        return self.levels**self.size

    def every(self) -> np.ndarray:
        """Every example, (count, *shape), float64 or int64; `number` says which one an example is.

        Example:
            >>> from pofx.kinds import Binary
            >>> Binary(2).every().tolist()
            [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
        """
        import numpy as np

        levels_ND = np.arange(self.count)[:, None] // self.levels ** np.arange(self.size) % self.levels
        return (levels_ND / self._steps if self.dtype == "float32" else levels_ND).reshape(-1, *self.shape)

    def number(self, x: np.ndarray) -> np.ndarray:
        """Where each example (N, *shape) stands in `every()`, int64 (N,)."""
        import numpy as np

        levels_ND = np.rint(x.reshape(len(x), self.size) * self._steps).astype(np.int64)
        return (levels_ND * self.levels ** np.arange(self.size)).sum(1)

    def other(self, x: np.ndarray) -> np.ndarray:
        """Other numbers of this kind in place of each of `x`, (N,)."""
        import numpy as np

        if not self.levels:
            return np.roll(x, 1) + 1
        return (np.rint(x * self._steps) + 1) % self.levels / self._steps

    def filled(self, x: np.ndarray) -> np.ndarray:
        """Examples (N, *shape) like `x` of which every number counts: of sequences, those that have not ended."""
        return x

    @property
    def _steps(self) -> int:
        """From the lowest value of a number to the highest; of classes a step is 1."""
        return self.levels - 1 if self.dtype == "float32" else 1

    def to_json(self) -> dict[str, Any]:
        """Its class and its fields, as JSON may have them; a kind among them as that kind's own."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]  # every kind is a dataclass
        return {"kind": type(self).__name__, **{name: _written(value) for name, value in own.items()}}

    @staticmethod
    def from_json(record: dict[str, Any]) -> Kind:
        """The kind that `to_json` wrote.

        Example:
            >>> from pofx.kinds import Image
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
        return cls(**{key: _read(value) for key, value in record.items()})


def _written(value: Any) -> Any:
    """A field of a kind as JSON may have it."""
    if isinstance(value, Kind):
        return value.to_json()
    return tuple(map(_written, value)) if isinstance(value, (tuple, list)) else value


def _read(value: Any) -> Any:
    """A field of a kind that `_written` wrote: lists are tuples again, and what names its kind is one."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_read, value))
    return Kind.from_json(value) if isinstance(value, dict) and "kind" in value else value


def require_positive(kind: Kind, **sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{type(kind).__name__}: {name} must be a whole number of 1 or more, not {size!r}")


def require_finite(arrays: dict[str, np.ndarray]) -> None:
    """Raise a UserError, to stand behind a field's name, if a float is not finite in float32."""
    import numpy as np

    for part, array in arrays.items():
        if array.dtype.kind != "f":
            continue
        with np.errstate(over="ignore"):  # a float64 that is too large for float32 is not finite either
            finite = np.isfinite(array.astype(np.float32))
        if not finite.all():
            row, *where = np.argwhere(~finite)[0].tolist()
            column = ", ".join(str(i + 1) for i in where) or "1"
            value = f"{array[row][tuple(where)]} at row {row + 1}, column {column}{'' if part == 'all' else ' of ' + part}"
            raise UserError(f"has {value}: fix it or remove the row")


def kinds_in(annotation: Any) -> tuple[type[Kind], ...]:
    """The kinds that an annotation such as `Image | Vector | None` names; empty when it names none.

    Example:
        >>> from pofx.kinds import Image
        >>> [kind.__name__ for kind in kinds_in(Image | None)]
        ['Image']
    """
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return tuple(option for option in options if isinstance(option, type) and issubclass(option, Kind))
