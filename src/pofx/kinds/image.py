"""Pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pofx.errors import UserError
from pofx.kinds.kind import Kind, Refusal, require_positive
from pofx.kinds.shown import Shown, Tiles

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Image(Kind):
    """Pictures: float32 in [0, 1], shape (channels, height, width), each value k / (levels - 1) for a whole k."""

    likelihood: ClassVar[str] = "logistic_mixture"
    bits_per_dimension: ClassVar[bool] = True

    channels: int
    height: int
    width: int
    levels: int = 256

    def __post_init__(self) -> None:
        require_positive(self, channels=self.channels, height=self.height, width=self.width)
        if self.levels < 2:
            raise UserError(f"Image: levels must be 2 or more, not {self.levels}")

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)

    @property
    def picture(self) -> bool:
        return self.channels in (1, 3)

    @property
    def places(self) -> tuple[int, ...]:
        return (self.height, self.width)

    def spread(self, known: np.ndarray) -> np.ndarray:
        return known[..., None, :, :]

    @classmethod
    def takes(cls, found: Kind) -> tuple[Refusal, ...]:
        if found.text:
            return (Refusal("that is text: `pofx models` shows which models take Tokens"),)
        return super().takes(found) and (Refusal("" if found.levels else "pictures are uint8, from 0 to 255"),)

    def accepts(self, found: Kind) -> tuple[Refusal, ...]:
        why = super().accepts(found)
        if why and len(found.shape) == 3 and found.shape[1:] != self.shape[1:]:
            return (Refusal("pass", "size", (self.width,)),)
        return why

    def stacked(self, n: int) -> Image:
        return replace(self, channels=n * self.channels)

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        return Tiles(x) if self.picture else super().draw(x)
