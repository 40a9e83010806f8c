"""Pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pofx.errors import UserError
from pofx.kinds.binary import Binary
from pofx.kinds.kind import Kind, Refusal, require_positive
from pofx.kinds.shown import Shown, Tiles

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Image(Kind):
    """Pictures: float32 in [0, 1], shape (channels, height, width), each value k / (levels - 1) for a whole k."""

    likelihood: ClassVar[str] = "logistic_mixture"
    bits_per_dimension: ClassVar[bool] = True
    claim_order: ClassVar[int] = -1

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

    def beside(self, n: int) -> Image:
        return replace(self, width=n * self.width)

    def at(self, size: int | tuple[int, int] | None = None, colour: str | None = None) -> Image:
        """As in `Kind.at`.

        Example:
            >>> Image(3, 28, 32).at(16, "grey"), Image(1, 28, 28, levels=17).at((20, 10))
            (Image(channels=1, height=16, width=16, levels=256), Image(channels=1, height=10, width=20, levels=256))
        """
        width, height = size if isinstance(size, tuple) else (size or self.width, size or self.height)
        return Image({"grey": 1, "rgb": 3}[colour or ("grey" if self.channels == 1 else "rgb")], height, width)

    def binarised(self) -> Binary:
        return Binary(*self.shape)

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
    def claims(cls, name: str, arrays: dict[str, np.ndarray], *, whole: bool = True) -> tuple[Kind, dict[str, np.ndarray]] | None:
        """uint8 (n, c, h, w) with 1 or 3 channels; other numbers of that many dimensions are refused."""
        import numpy as np

        some = next(iter(arrays.values()))
        if some.ndim != 4 or some.dtype.kind not in "biuf":
            return None
        if some.dtype != np.uint8 or some.shape[1] not in (1, 3):
            shape = ", ".join(map(str, some.shape[1:]))
            raise UserError(f"is {some.dtype} of shape (n, {shape}); pictures are uint8 with 1 or 3 channels")
        return Image(*some.shape[1:]), arrays

    @classmethod
    def small(cls) -> tuple[Image, ...]:
        return (Image(1, 4, 4, levels=4), Image(1, 8, 8, levels=4), Image(3, 32, 32))

    @classmethod
    def tiny(cls) -> tuple[Image, ...]:
        return (Image(1, 2, 2, levels=3), Image(3, 1, 2, levels=3), Image(3, 4, 4, levels=4))

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        return Tiles(x) if self.picture else super().draw(x)
