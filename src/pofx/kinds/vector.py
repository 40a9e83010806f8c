"""Vectors of real numbers."""

from __future__ import annotations

from dataclasses import dataclass

from pofx.kinds.kind import Kind, require_positive


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
    def small(cls) -> tuple[Vector, ...]:
        return (Vector(5), Vector(16))

    @classmethod
    def tiny(cls) -> tuple[Vector, ...]:
        return (Vector(2),)

    def stacked(self, n: int) -> Vector:
        return Vector(n * self.dims)
