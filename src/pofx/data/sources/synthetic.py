"""Data whose modes are known: Gaussians in the plane, and pictures put together of others."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx.data.columns import Column
from pofx.data.contents import Contents
from pofx.errors import UserError
from pofx.kinds import Category, Kind, Vector
from pofx.randomness import generator

ROWS = {"train": 100_000, "valid": 10_000, "test": 10_000}


@dataclass(frozen=True)
class Modes:
    """A mixture of Gaussians in the plane, each as likely and as wide: what a generator that collapses misses is plain to see.

    Args:
        centres: of the modes
        sd: standard deviation of each, in each direction
    """

    centres: tuple[tuple[float, float], ...]
    sd: float

    def contents(self) -> Contents:
        """x and the number of its mode, drawn with a fixed seed."""
        draw = np.random.RandomState(0)  # its stream is frozen, so that a stored SHA-256 stays true
        centres, digest = np.array(self.centres), hashlib.sha256()
        parts: dict[str, dict[str, np.ndarray]] = {}
        for part, rows in ROWS.items():
            label = draw.randint(len(centres), size=rows).astype(np.int64)
            x = (centres[label] + self.sd * draw.standard_normal((rows, 2))).astype(np.float32)
            digest.update(x.tobytes() + label.tobytes())
            parts[part] = {"x": x, "label": label}
        fields: dict[str, Kind] = {"x": Vector(2), "label": Category(len(centres))}
        return Contents(fields, parts, digest.hexdigest(), "of train, valid, test: x as float32, then label as int64")


# As in VEEGAN (Srivastava et al., 2017, arXiv 1705.07761), with the numbers of PacGAN (Lin et al., 2018, arXiv 1712.04086, section 4.1),
# which trains on 100,000 points too.
KNOWN = {
    "ring": Modes(tuple((math.cos(2 * math.pi * i / 8), math.sin(2 * math.pi * i / 8)) for i in range(8)), 0.01),
    "grid": Modes(tuple((x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)), 0.05),
}


def stacked_kinds(fields: dict[str, Kind], channels: int, spec: str) -> dict[str, Kind]:
    """The kinds of the fields when so many grey pictures make the channels of one: its label is the number that their labels spell.

    Stacked MNIST (Metz et al., 2017, arXiv 1611.02163; Srivastava et al., 2017, arXiv 1705.07761) has three digits and 1000 modes.

    Args:
        fields: of the grey pictures
        channels: how many
        spec: for messages

    Example:
        >>> from pofx.kinds import Image
        >>> stacked_kinds({"x": Image(1, 28, 28), "label": Category(10)}, 3, "mnist")
        {'x': Image(channels=3, height=28, width=28, levels=256), 'label': Category(classes=1000, names=())}
    """
    kinds: dict[str, Kind] = {}
    for name, kind in fields.items():
        if kind.classes:
            if kind.classes**channels > 10**6:
                raise UserError(f"{spec}: {channels} labels of {kind.classes} classes make more than a million: pass a smaller --stacked")
        elif not kind.levels or len(kind.shape) != 3:
            raise UserError(f"{spec} has {name}: {kind}; only grey pictures and their labels are stacked: remove --stacked")
        elif kind.shape[0] != 1:
            raise UserError(f"{spec} has {name}: {kind}; only grey pictures are stacked: pass --channels grey, or remove --stacked")
        kinds[name] = kind.stacked(channels)
    return kinds


class Stacked(Column):
    """A column whose every row is made of several rows of another: their pictures as channels, their labels as one number.

    Args:
        single: grey pictures, or labels
        kind: as `stacked_kinds` has it
        seed: the rows are drawn anew, with replacement, as many as there are: a function of the seed and the split
        split: name of the split that the rows are of, and stay in
        channels: rows in each new one; the first is the first channel, and its label the first digit
        options: binarize and key, as in `Column`
    """

    def __init__(self, single: Column, kind: Kind, *, seed: int, split: str, channels: int, **options: Any):
        super().__init__(kind, single.values[:0], levels=single.levels, **options)
        self.single, self.length = single, len(single)
        self.picks = torch.randint(len(single), (len(single), channels), generator=generator(("stacked", seed, split)))

    def raw(self, rows: Tensor) -> Tensor:
        picked = self.picks[rows]
        values = self.single.raw(picked.flatten()).unflatten(0, picked.shape)
        if not self.single.kind.classes:
            return values.flatten(1, 2)
        places = self.single.kind.classes ** torch.arange(picked.shape[1] - 1, -1, -1)
        return (values * places).sum(1)
