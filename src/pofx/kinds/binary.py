"""Bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pofx.errors import UserError
from pofx.kinds.kind import Kind, Refusal, require_positive
from pofx.kinds.shown import Shown, Tiles

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, init=False)
class Binary(Kind):
    """Bits: float32, each 0 or 1, of any shape: `Binary(784)`, `Binary(1, 28, 28)` for binarised pictures, attributes."""

    likelihood: ClassVar[str] = "bernoulli"
    claim_order: ClassVar[int] = -2

    dims: tuple[int, ...]

    def __init__(self, *dims: int, **stored: tuple[int, ...]) -> None:
        object.__setattr__(self, "dims", stored.get("dims", dims))
        if not self.dims:
            raise UserError("Binary: needs at least one dimension, such as Binary(784)")
        require_positive(self, **{f"dimension {i}": d for i, d in enumerate(self.dims)})

    @property
    def shape(self) -> tuple[int, ...]:
        return self.dims

    @property
    def levels(self) -> int:
        return 2

    @property
    def picture(self) -> bool:
        return len(self.dims) == 2 or (len(self.dims) == 3 and self.dims[0] in (1, 3))

    @property
    def places(self) -> tuple[int, ...]:
        return self.dims[-2:] if len(self.dims) > 1 else self.dims

    def spread(self, known: np.ndarray) -> np.ndarray:
        return known[..., None, :, :] if len(self.dims) > 2 else known

    @classmethod
    def takes(cls, found: Kind) -> tuple[Refusal, ...]:
        why = super().takes(found)
        return (Refusal("make it binary with", "binarize", ("dynamic", "threshold")),) if why and found.bits_per_dimension else why

    def beside(self, n: int) -> Binary:
        return Binary(*self.dims[:-1], n * self.dims[-1]) if self.picture else super().beside(n)  # type: ignore[return-value]

    def binarised(self) -> Binary:
        raise UserError("it is binary already")

    def stacked(self, n: int) -> Binary:
        return Binary(n * self.dims[0], *self.dims[1:])

    def check(self, x: Any, *, name: str = "x", model: str = "the model", strict: bool = True, n: int | None = None) -> None:
        super().check(x, name=name, model=model, strict=strict, n=n)
        if not ((x >= 0) & (x <= 1)).all() or (strict and not (abs(x - x.round()) < 0.01).all()):
            raise UserError(f"{model} was made for bits, and {name} has other numbers than 0 and 1: give ({name} >= 0.5).float()")

    @classmethod
    def claims(cls, name: str, arrays: dict[str, np.ndarray], *, whole: bool = True) -> tuple[Kind, dict[str, np.ndarray]] | None:
        """Truth values, and uint8 of only 0 and 1."""
        import numpy as np

        some = next(iter(arrays.values()))
        bits = some.dtype == np.uint8 and whole and some.ndim > 1 and all(array.max(initial=0) <= 1 for array in arrays.values())
        if some.dtype != bool and not bits:
            return None
        shape = some.shape[1:] or (1,)
        return Binary(*shape), {part: array.view(np.uint8).reshape(len(array), *shape) for part, array in arrays.items()}

    @classmethod
    def small(cls) -> tuple[Binary, ...]:
        return (Binary(1, 3, 3), Binary(1, 8, 8), Binary(1, 28, 28))

    def random(self, n: int, rng: np.random.Generator) -> np.ndarray:
        import numpy as np

        return rng.integers(0, 2, (n, *self.shape), dtype=np.uint8)  # of these draws the contract's numbers are made

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        return Tiles(x.reshape(len(x), -1, *self.dims[-2:])) if self.picture else super().draw(x)
