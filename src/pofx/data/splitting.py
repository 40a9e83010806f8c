"""Splits of a source whose rows are in no order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pofx.errors import TooFewRows, UserError
from pofx.randomness import generator

CUSTOMARY = 0.1  # of a source that has no splits of its own, for each of valid and test
Rows = dict[str, tuple[str, np.ndarray | None]]  # split -> the part it comes from, its rows in order (None for all of them)


def cut(
    parts: dict[str, int],
    valid: float | None,
    test: float | None,
    seed: int,
    spec: str,
    *,
    shuffled: bool = False,
    groups: Sequence[int] = (),
) -> Rows:
    """The splits of a source whose parts have so many rows.

    Args:
        parts: "all", or the source's own "train" and perhaps "valid" and "test" -> its rows
        valid: fraction of the rows held out for validation; None for what is customary
        test: likewise for testing
        seed: of the draw of what is held out
        spec: for messages
        shuffled: whether the rows come in no particular order, so that nothing is drawn: the last ones are held out
        groups: what each row shows, numbered from 0, where several show one: those stay together, and fractions are of groups

    Raises:
        TooFewRows: a split would have none

    Example:
        >>> {name: (part, len(rows)) for name, (part, rows) in cut({"all": 50}, 0.2, None, 0, "example").items()}
        {'train': ('all', 35), 'valid': ('all', 10), 'test': ('all', 5)}
    """
    for name, fraction in (("valid", valid), ("test", test)):
        if name in parts and fraction is not None:
            raise UserError(f"{spec} has its own {name} split of {parts[name]} rows: remove --{name}")
    splits: Rows = {part: (part, None) for part in parts if part != "all"}
    part = "all" if "all" in parts else "train"
    rows = np.arange(max(groups) + 1 if groups else parts[part])
    sizes = {}
    if "test" not in parts:
        sizes["test"] = round(len(rows) * (test if test is not None else CUSTOMARY if part == "all" else 0))
    if "valid" not in parts:
        customary = min(CUSTOMARY * len(rows), len(rows)) if "test" not in parts else min(parts["test"], len(rows) / 5)
        sizes["valid"] = max(1, round(len(rows) * valid if valid is not None else customary))
    if sizes:
        left = len(rows) - sum(sizes.values())
        if valid == 0:
            raise UserError(f"{spec}: --valid must be above 0: a model is chosen on its validation split, so there always is one")
        if left < 1 or (test and not sizes["test"]):
            shown = ", ".join(f"{n} for {name}" for name, n in sizes.items())
            what = "group" if groups else "row"
            counts = f"{len(rows)} {what}{' gives' if len(rows) == 1 else 's give'} {shown} and {max(left, 0)} to train on"
            raise TooFewRows(f"{spec}: too few rows to cut: {counts}; change --valid or --test, or add data")
        if not shuffled:
            rows = torch.randperm(len(rows), generator=generator(("split", seed))).numpy()

        def rows_of(drawn: np.ndarray) -> np.ndarray:
            return np.flatnonzero(np.isin(groups, drawn)) if groups else np.sort(drawn)

        splits["train"] = (part, rows_of(rows[:left]))
        for name in ("valid", "test"):
            if sizes.get(name):
                splits[name] = (part, rows_of(rows[left : left + sizes[name]]))
                left += sizes[name]
    return {name: splits[name] for name in ("train", "valid", "test") if name in splits}


def stratified_subset(labels: np.ndarray, rows: np.ndarray | None, count: int, seed: int, spec: str) -> np.ndarray:
    """The `count` of these rows whose labels may be known, as many of each class (one more of some, which are drawn), in order."""
    rows = np.arange(len(labels)) if rows is None else rows
    of = np.asarray(labels)[rows]
    classes, source = np.unique(of), generator(("labelled", seed))
    if count < len(classes):
        raise UserError(f"{spec} has {len(classes)} classes: --labelled must be {len(classes)} or more, one of each, not {count}")
    each, more = divmod(count, len(classes))
    extra = set(torch.randperm(len(classes), generator=source)[:more].tolist())
    chosen = []
    for i, label in enumerate(classes):
        wanted, here = each + (i in extra), rows[of == label]
        if wanted > len(here):
            raise UserError(f"{spec}: --labelled {count} takes {wanted} rows of each class, but train has {len(here)} of class {label}")
        chosen.append(here[torch.randperm(len(here), generator=source)[:wanted].numpy()])
    return np.sort(np.concatenate(chosen))
