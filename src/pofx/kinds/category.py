"""Labels."""

from __future__ import annotations

from dataclasses import dataclass

from pofx.errors import UserError
from pofx.kinds.kind import Kind, require_positive


@dataclass(frozen=True)
class Category(Kind):
    """One of `classes` labels: int64, shape (). `names` gives the labels' own names, in order, where they have some."""

    classes: int
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_positive(self, classes=self.classes)
        if self.names and len(self.names) != self.classes:
            raise UserError(f"Category: {len(self.names)} names for {self.classes} classes")

    @property
    def shape(self) -> tuple[int, ...]:
        return ()
