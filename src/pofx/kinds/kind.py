"""What every kind of data has: a shape, a size, and a form in JSON."""

from __future__ import annotations

import math
import types
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Union, get_args, get_origin

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
        written: endings of the files that examples are written to, the usual one first
        in_time: whether its first axis is steps in time, so that an example has a future
        text: whether an example is read, and so printed where no file is named
        bits_per_dimension: whether a log-likelihood of it is by custom also said in bits a dimension
        tokenizer: hash of what makes text into it; empty where nothing does
        classes: how many an example is one of; 0 where examples are no classes
    """

    known: ClassVar[dict[str, type[Kind]]] = {}
    dtype: ClassVar[str] = "float32"
    likelihood: ClassVar[str] = "gaussian"
    written: ClassVar[tuple[str, ...]] = (".png", ".npy", ".npz")
    in_time: ClassVar[bool] = False
    text: ClassVar[bool] = False
    bits_per_dimension: ClassVar[bool] = False
    tokenizer: str = ""
    classes: int = 0

    def __init_subclass__(cls) -> None:
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
    def usual(self) -> int:
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
        return type(self).takes(found) or (() if found.shape == self.shape else (Refusal(),))

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

    def to_json(self) -> dict[str, Any]:
        return {"kind": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]  # every kind is a dataclass

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
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in record.items()})


def require_positive(kind: Kind, **sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise UserError(f"{type(kind).__name__}: {name} must be a whole number of 1 or more, not {size!r}")


def kinds_in(annotation: Any) -> tuple[type[Kind], ...]:
    """The kinds that an annotation such as `Image | Vector | None` names; empty when it names none.

    Example:
        >>> from pofx.kinds import Image
        >>> [kind.__name__ for kind in kinds_in(Image | None)]
        ['Image']
    """
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return tuple(option for option in options if isinstance(option, type) and issubclass(option, Kind))
