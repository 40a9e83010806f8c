"""Vectors of real numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pofx.kinds.kind import Kind, require_finite, require_positive

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Vector(Kind):
    """Real numbers: float32, shape (dims,)."""

    dims: int

    def __post_init__(self) -> None:
        require_positive(self, dims=self.dims)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.dims,)

    @classmethod
    def claims(cls, name: str, arrays: dict[str, np.ndarray], *, whole: bool = True) -> tuple[Kind, dict[str, np.ndarray]] | None:
        """Numbers (n,) or (n, d)."""
        some = next(iter(arrays.values()))
        if some.ndim > 2 or some.dtype.kind not in "biuf":
            return None
        if whole:
            require_finite(arrays)
        dims = math.prod(some.shape[1:])
        return Vector(dims), {part: array.reshape(len(array), dims) for part, array in arrays.items()}

    @classmethod
    def small(cls) -> tuple[Vector, ...]:
        return (Vector(5), Vector(16))

    @classmethod
    def tiny(cls) -> tuple[Vector, ...]:
        return (Vector(2),)

    def stacked(self, n: int) -> Vector:
        return Vector(n * self.dims)
