"""What a person sees of examples: a kind says which of these its examples are, and `pofx.render` lays them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Tiles:
    """Pictures side by side.

    Args:
        values: (N, C, H, W) with 1 or 3 channels, black 0 and white 1; NaN is what is not known
    """

    values: np.ndarray


@dataclass(frozen=True)
class Curves:
    """Examples as lines in one plot.

    Args:
        values: (N, lines of each, points of each)
        x: what the points are
    """

    values: np.ndarray
    x: str


@dataclass(frozen=True)
class Points:
    """Examples as points in the plane.

    Args:
        values: (N, 2)
    """

    values: np.ndarray


@dataclass(frozen=True)
class Texts:
    """Examples to be read.

    Args:
        values: N texts
    """

    values: list[str]


Shown: TypeAlias = Tiles | Curves | Points | Texts
