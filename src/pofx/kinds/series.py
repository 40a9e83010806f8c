"""Sequences of real numbers."""

from __future__ import annotations

from dataclasses import dataclass

from pofx.kinds.kind import Kind, require_positive


@dataclass(frozen=True)
class Series(Kind):
    """Real-valued sequences: float32, shape (length, channels), first step first."""

    length: int
    channels: int = 1

    def __post_init__(self) -> None:
        require_positive(self, length=self.length, channels=self.channels)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length, self.channels)
