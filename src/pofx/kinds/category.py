"""Labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from pofx.errors import UserError
from pofx.kinds.kind import Kind, require_positive
from pofx.kinds.shown import Shown, Texts

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Category(Kind):
    """One of `classes` labels: int64, shape (). `names` gives the labels' own names, in order, where they have some."""

    dtype: ClassVar[str] = "int64"
    likelihood: ClassVar[str] = "categorical"
    label: ClassVar[bool] = True
    printed: ClassVar[bool] = True
    endings: ClassVar[tuple[str, ...]] = (".txt", ".jsonl", ".npy", ".npz")
    claim_order: ClassVar[int] = -3

    classes: int = field()  # one without classes would be none: the 0 of other kinds is no default
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_positive(self, classes=self.classes)
        if self.names and len(self.names) != self.classes:
            raise UserError(f"Category: {len(self.names)} names for {self.classes} classes")

    @property
    def shape(self) -> tuple[int, ...]:
        return ()

    @property
    def levels(self) -> int:
        return self.classes

    def stacked(self, n: int) -> Category:
        return Category(self.classes**n)

    def check(self, x: Any, *, name: str = "x", model: str = "the model", strict: bool = True, n: int | None = None) -> None:
        """As in `Kind.check`; labels are int64, from 0 to `classes` - 1."""
        fits = str(x.dtype).rpartition(".")[2] == self.dtype and len(x.shape) == 1 and n in (None, len(x))
        if not fits or not ((x >= 0) & (x < self.classes)).all():
            many = "" if n is None else f"{n} "
            raise UserError(f"{name} must be {many}whole numbers from 0 to {self.classes - 1}, one class for each example")

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> tuple[Category, dict[str, np.ndarray]]:
        """Labels as numbers from 0. Whole numbers from 0 stay as they are; anything else gets names in sorted order.

        Example:
            >>> import numpy as np
            >>> kind, arrays = Category.of({"all": np.array(["dog", "cat", "dog"])})
            >>> kind, arrays["all"].tolist()
            (Category(classes=2, names=('cat', 'dog')), [1, 0, 1])
        """
        import numpy as np

        known = np.unique(np.concatenate(list(arrays.values())))
        if known.dtype.kind in "iub" and known[0] == 0 and known[-1] < 2 * len(known):
            return Category(int(known[-1]) + 1), {part: array.astype(np.int64) for part, array in arrays.items()}
        names = tuple(str(name) for name in known.tolist())
        return Category(len(names), names), {part: np.searchsorted(known, array).astype(np.int64) for part, array in arrays.items()}

    @classmethod
    def claims(cls, name: str, arrays: dict[str, np.ndarray], *, whole: bool = True) -> tuple[Kind, dict[str, np.ndarray]] | None:
        """Text, and whole numbers (n,) that are called `label`."""
        some = next(iter(arrays.values()))
        if some.dtype.kind in "US" or (name == "label" and some.dtype.kind in "iub" and some.ndim == 1):
            return cls.of(arrays)
        return None

    @classmethod
    def small(cls) -> tuple[Category, ...]:
        return (Category(3),)

    def random(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Each class in turn, so that none is missing."""
        import numpy as np

        return np.arange(n) % self.classes

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        return Texts([self.names[number] if self.names else str(number) for number in x.tolist()])
