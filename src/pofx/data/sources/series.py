"""Time series: a table whose rows are steps in time, and its windows, cut into splits that follow each other in time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pofx.data.contents import Contents
from pofx.errors import TooFewRows, UserError

CUSTOMARY = 0.1  # of the steps, for each of valid and test


@dataclass(frozen=True)
class TimeSeries:
    """One series, whole.

    Attributes:
        spec: what it was read from
        values: (n, C) float32, first step first
        channels: the C channels' names
        times: of each step, as the source writes them; empty where it has none
    """

    spec: str
    values: np.ndarray = field(repr=False)
    channels: tuple[str, ...]
    times: list[str] = field(repr=False)

    @staticmethod
    def of(contents: Contents, spec: str) -> TimeSeries:
        """The series whose steps are the rows of `contents`; a UserError if they are none."""
        x = contents.fields["x"]
        if len(x.shape) != 1 or x.levels or set(contents.parts) != {"all"}:
            raise UserError(f"{spec} has x: {x}, which is no series of numbers in one piece: remove --window")
        channels = tuple(contents.columns) or tuple(str(c + 1) for c in range(x.size))
        return TimeSeries(spec, contents.parts["all"]["x"], channels, contents.names.get("all", []))

    def windows(self, length: int) -> np.ndarray:
        """Every `length` steps in a row, (n - length + 1, length, C): a view, so that overlapping windows cost nothing.

        Example:
            >>> TimeSeries("counting", np.arange(4.0)[:, None], ("n",), []).windows(3)[..., 0]
            array([[0., 1., 2.],
                   [1., 2., 3.]])
        """
        return np.lib.stride_tricks.sliding_window_view(self.values, length, axis=0).transpose(0, 2, 1)


def cut(
    steps: int, window: int, stride: int, valid: float | None, test: float | None, spec: str, *, uncut: bool = False
) -> dict[str, tuple[int, int]]:
    """Split -> (its first step, the step after its last): train, then valid, then test, so that none is trained on what comes after.

    Args:
        steps: of the whole series
        window: steps of a window, of which each split holds at least one, and two by default
        stride: steps from one window to the next
        valid: fraction of the steps; by default a tenth
        test: fraction of the steps; by default a tenth
        spec: for messages
        uncut: all steps are one split `all`

    Raises:
        UserError: the series is shorter than a window
        TooFewRows: a split would be

    Example:
        >>> cut(100, window=5, stride=1, valid=None, test=0.2, spec="x.csv")
        {'train': (0, 70), 'valid': (70, 80), 'test': (80, 100)}
    """
    if steps < window:
        raise UserError(f"{spec} has {steps} steps, fewer than a window of {window}: pass --window {max(1, steps // 3)} or less")
    if uncut:
        return {"all": (0, steps)}
    if valid == 0:
        raise UserError(f"{spec}: --valid must be above 0: a model is chosen on its validation split, so there always is one")
    customary = max(round(CUSTOMARY * steps), window + stride)
    sizes = {"valid": customary if valid is None else round(steps * valid), "test": customary if test is None else round(steps * test)}
    sizes = {"train": steps - sum(sizes.values()), **sizes}
    if test == 0:
        del sizes["test"]
    if min(sizes.values()) < window:
        shown = ", ".join(f"{max(size, 0)} for {name}" for name, size in sizes.items())
        raise TooFewRows(
            f"{spec}: its {steps} steps are cut into {shown}, and each must hold a window of {window}: "
            "pass a shorter --window, another --valid or --test, or add data"
        )
    ends = np.cumsum(list(sizes.values())).tolist()
    return {name: (end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
