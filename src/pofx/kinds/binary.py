"""Bits."""

from __future__ import annotations

from dataclasses import dataclass

from pofx.errors import UserError
from pofx.kinds.kind import Kind, require_positive


@dataclass(frozen=True, init=False)
class Binary(Kind):
    """Bits: float32, each 0 or 1, of any shape: `Binary(784)`, `Binary(1, 28, 28)` for binarised pictures, attributes."""

    dims: tuple[int, ...]

    def __init__(self, *dims: int, **stored: tuple[int, ...]) -> None:
        object.__setattr__(self, "dims", stored.get("dims", dims))
        if not self.dims:
            raise UserError("Binary: needs at least one dimension, such as Binary(784)")
        require_positive(self, **{f"dimension {i}": d for i, d in enumerate(self.dims)})

    @property
    def shape(self) -> tuple[int, ...]:
        return self.dims
