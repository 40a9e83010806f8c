"""Vectors of real numbers."""

from __future__ import annotations

from dataclasses import dataclass

from pofx.kinds.kind import Kind, _positive


@dataclass(frozen=True)
class Vector(Kind):
    """Real numbers: float32, shape (dims,)."""

    dims: int

    def __post_init__(self) -> None:
        _positive(self, dims=self.dims)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.dims,)
