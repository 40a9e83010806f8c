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

    def accepts(self, found: Kind) -> tuple[Refusal, ...]:
        why = super().accepts(found)
        if why and not why[0].option and len(self.dims) == len(found.shape) == 3 and found.shape[1:] != self.dims[1:]:
            return (Refusal("pass", "size", (self.dims[-1],)),)
        return why

    def stacked(self, n: int) -> Binary:
        return Binary(n * self.dims[0], *self.dims[1:])

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        return Tiles(x.reshape(len(x), -1, *self.dims[-2:])) if self.picture else super().draw(x)
