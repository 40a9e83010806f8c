"""Rows of a table whose columns are of several kinds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pofx.errors import UserError
from pofx.kinds.binary import Binary
from pofx.kinds.category import Category
from pofx.kinds.kind import Kind, Refusal
from pofx.kinds.shown import Shown, Texts
from pofx.kinds.vector import Vector

if TYPE_CHECKING:
    import numpy as np

EXACT = 2**24  # whole numbers up to it are float32 too


@dataclass(frozen=True)
class Record(Kind):
    """A row of a table with columns of several kinds, side by side: float32, shape (size,), a class as its number.

    A column is of numbers (`Vector(1)`), of classes (`Category`) or of bits (`Binary`), and has as many places of the row as its kind has
    numbers. No model takes records yet, and no source gives them.

    Args:
        columns: the name and the kind of each, in their order

    Example:
        >>> record = Record((("age", Vector(1)), ("colour", Category(2, ("red", "blue"))), ("answers", Binary(3))))
        >>> record.shape, record.part("answers")
        ((5,), slice(2, 5, None))
    """

    likelihood: ClassVar[str] = ""  # each column has its own
    endings: ClassVar[tuple[str, ...]] = (".npy", ".npz")

    columns: tuple[tuple[str, Kind], ...]

    def __post_init__(self) -> None:
        pairs = isinstance(self.columns, tuple) and all(isinstance(column, tuple) and len(column) == 2 for column in self.columns)
        if not pairs or not self.columns or not all(isinstance(name, str) and isinstance(kind, Kind) for name, kind in self.columns):
            raise UserError("Record: columns must be pairs of a name and a kind, such as (('age', Vector(1)), ('colour', Category(3)))")
        names = [name for name, _ in self.columns]
        for name, kind in self.columns:
            if not name or names.count(name) > 1:
                raise UserError(f"Record: {names.count(name)} columns are called {name!r}; give each a name of its own")
            # Of these kinds what is stored is what a model takes, but for the type: a row of them is made by laying them side by side
            if not isinstance(kind, (Vector, Binary, Category)):
                raise UserError(f"Record: column {name!r} is {kind}; make it one of Vector, Category and Binary")
            if kind.levels > EXACT:
                raise UserError(f"Record: column {name!r} has {kind.levels} classes; make it at most {EXACT}, which float32 tells apart")

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(kind.size for kind in self.kinds),)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Of the columns, in their order."""
        return tuple(kind for _, kind in self.columns)

    def part(self, name: str) -> slice:
        """Where the column `name` stands in a row.

        Raises:
            UserError: there is none of that name
        """
        start = 0
        for column, kind in self.columns:
            if column == name:
                return slice(start, start + kind.size)
            start += kind.size
        raise UserError(f"a record has no column {name!r}; its columns are {', '.join(column for column, _ in self.columns)}")

    def column(self, x: Any, name: str) -> Any:
        """The examples of the column `name` in rows (N, size), a tensor or an array, as its own kind has them: (N, *kind.shape)."""
        kind = dict(self.columns)[name]
        own = x[:, self.part(name)].reshape(len(x), *kind.shape)
        return own if kind.dtype == "float32" else own.round().long() if hasattr(own, "long") else own.round().astype(kind.dtype)

    def accepts(self, found: Kind) -> tuple[Refusal, ...]:
        """Columns go by their names, and stand in the same order; the first that differs is named."""
        if not isinstance(found, Record):
            return type(self).takes(found)
        theirs = dict(found.columns)
        for name, kind in self.columns:
            if name not in theirs:
                return (Refusal(f"it has no column {name!r}"),)
            if theirs[name] != kind:
                return (Refusal(f"column {name!r} is {theirs[name]} there, not {kind}"),)
        for (name, _), (other, _) in zip(self.columns, found.columns, strict=False):
            if name != other:
                return (Refusal(f"column {name!r} stands where it has {other!r}"),)
        own = dict(self.columns)
        return tuple(Refusal(f"remove column {name!r}") for name in theirs if name not in own)[:1]

    def number_names(self, numbers: Sequence[int], codec: Any = None) -> list[str]:
        """A class by its name, where it has one."""
        said = []
        for name, kind in self.columns:
            own = numbers[self.part(name)]
            said += [kind.names[round(number)] if kind.names else f"{number:g}" for number in own]
        return said

    def check(self, x: Any, *, name: str = "x", model: str = "the model", strict: bool = True, n: int | None = None) -> None:
        """As in `Kind.check`, each column by its own kind."""
        super().check(x, name=name, model=model, strict=strict, n=n)
        for column, kind in self.columns:
            part = self.part(column)
            numbers = x[:, part.start]
            whole = not kind.classes or ((numbers == numbers.round()) & (abs(numbers) < EXACT)).all()
            own = self.column(x, column) if whole else numbers  # which no kind of classes takes
            where = f"{name}[:, {part.start}]" if kind.shape == () else f"{name}[:, {part.start}:{part.stop}]"
            try:
                kind.check(own, name=where, model=model, strict=strict)
            except UserError as error:
                raise UserError(f"column {column!r}: {error}") from None

    @classmethod
    def small(cls) -> tuple[Record, ...]:
        mixed = (("number", Vector(1)), ("class", Category(3)), ("bit", Binary(1)))
        return (Record(mixed), Record((*mixed, ("numbers", Vector(2)), ("named", Category(2, ("no", "yes"))), ("bits", Binary(2, 2)))))

    def random(self, n: int, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        # In an order of its own, for examples of classes come in turn, and two columns of as many would be alike
        columns = [rng.permutation(kind.random(n, rng)).reshape(n, kind.size) for kind in self.kinds]
        return np.concatenate(columns, 1).astype(np.float32)

    def other(self, x: np.ndarray) -> np.ndarray:
        raise TypeError("what another number of a record is depends on its column: ask the column's kind")

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        """Texts: the name of each column and its value, a class by its name."""
        values = []
        for name, kind in self.columns:
            own = self.column(x, name)
            shown = kind.draw(own)
            texts = shown.values if isinstance(shown, Texts) else [" ".join(f"{number:g}" for number in row.flat) for row in own]
            values.append([f"{name} {text}" for text in texts])
        return Texts([", ".join(row) for row in zip(*values, strict=True)])
