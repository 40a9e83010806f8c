"""Sequences of real numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pofx.kinds.kind import Kind, Refusal, require_finite, require_positive
from pofx.kinds.shown import Curves, Shown

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Series(Kind):
    """Real-valued sequences: float32, shape (length, channels), first step first."""

    in_time: ClassVar[bool] = True

    length: int
    channels: int = 1

    def __post_init__(self) -> None:
        require_positive(self, length=self.length, channels=self.channels)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length, self.channels)

    @property
    def places(self) -> tuple[int, ...]:
        return (self.length,)

    def spread(self, known: np.ndarray) -> np.ndarray:
        return known[..., None]

    @classmethod
    def takes(cls, found: Kind) -> tuple[Refusal, ...]:
        why = super().takes(found)
        if why and not found.levels and len(found.shape) == 1:
            return (Refusal("if its rows are steps in time, pass how many make an example with", "window"),)
        return why

    @classmethod
    def claims(cls, name: str, arrays: dict[str, np.ndarray], *, whole: bool = True) -> tuple[Kind, dict[str, np.ndarray]] | None:
        """Numbers (n, length, channels)."""
        some = next(iter(arrays.values()))
        if some.ndim != 3 or some.dtype.kind not in "biuf":
            return None
        if whole:
            require_finite(arrays)
        return Series(*some.shape[1:]), arrays

    @classmethod
    def small(cls) -> tuple[Series, ...]:
        return (Series(6, 2), Series(32, 2))

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        return Curves(x.swapaxes(1, 2), "step")
