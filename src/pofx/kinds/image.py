"""Pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pofx.errors import UserError
from pofx.kinds.kind import Kind, require_positive
from pofx.kinds.shown import Shown, Tiles

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Image(Kind):
    """Pictures: float32 in [0, 1], shape (channels, height, width), each value k / (levels - 1) for a whole k."""

    likelihood: ClassVar[str] = "logistic_mixture"

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

    def stacked(self, n: int) -> Image:
        return replace(self, channels=n * self.channels)

    def check(self, x: Any, *, name: str = "x", model: str = "the model", strict: bool = True, n: int | None = None) -> None:
        super().check(x, name=name, model=model, strict=strict, n=n)
        steps = x * (self.levels - 1)
        whole = not strict or (abs(steps - steps.round()) < 0.01).all()
        if not ((x >= 0) & (x <= 1)).all() or not whole:
            steps_of = f" in steps of 1/{self.levels - 1}" if strict else ""
            raise UserError(f"{name} must be from 0 to 1{steps_of}: divide whole levels by {self.levels - 1}")

    @classmethod
    def small(cls) -> tuple[Image, ...]:
        return (Image(1, 4, 4, levels=4), Image(1, 8, 8, levels=4), Image(3, 32, 32))

    @classmethod
    def tiny(cls) -> tuple[Image, ...]:
        return (Image(1, 2, 2, levels=3), Image(3, 1, 2, levels=3), Image(3, 4, 4, levels=4))

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        return Tiles(x) if self.picture else super().draw(x)
