"""The monitor of adversarial training: no loss says how it goes; samples held against real rows do, and so do the players' numbers.

A few samples, always of the same codes, are held against as many rows of the validation split (`Watch`). Their numbers, and those that
the players log, tell symptoms (`History`), by the names that any model may use: `<player>.right_on_*`, `<player>.gradient_norm`, and
`watch.*`, as metrics.jsonl has always called them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from pofx.capabilities import Samples, can, require
from pofx.errors import Diverged
from pofx.model import Model
from pofx.randomness import generator

if TYPE_CHECKING:
    from pofx.data import Data
    from pofx.train import Training

BUDGET = 500  # samples, and real rows
NEIGHBOUR = 5  # whose distance is the radius of the ball that a sample has to lie in, for its row to be covered
DIRECTIONS = 50  # of the sliced Wasserstein distance
EVERY = 100  # steps between checks at least, where no number of steps was asked for
PICTURES = 50  # of samples in a run, at most
IDLE: dict[str, Any] = {
    "checked": 0,
    "stage": "",
    "early": {},
    "streaks": {},
    "covered": [],
    "apart": False,
    "known": [],
}  # before any check


@dataclass(frozen=True)
class Thresholds:
    """When what training shows is worth a warning.

    Args:
        warn_rows: real rows; with fewer, coverage is too coarse to warn of
        checks_in_a_row: what samples show is warned of after so many checks in a row
        moves_in_a_row: what players show is warned of after so many rows of metrics in a row; and so many early rows are what later
            ones are compared with
        coverage_fell: of its best coverage: below that, it has fallen
        coverage_had: of the coverage of real rows: what it must have been to fall, and below which a discriminator that wins is warned of
        spread_alike: of the data's spread: samples that differ less are nearly the same
        not_before: of all steps: until then samples that are alike may just not have been pushed apart yet
        precise: share of samples that are near real rows, from which a low coverage means that modes are missing
        coverage_half: of the coverage of real rows: below that, precise samples are of a part of the data
        right_on: share of examples: a discriminator that is right on so many wins outright
        for_long: of all steps: being right for less, or coverage that rests for less, is normal
        gradient_faint: of the early norm of a player's gradient: it hardly learns
        gradient_gone: of the early norm of a player's gradient: it learns no more
    """

    warn_rows: int = 100
    checks_in_a_row: int = 5
    moves_in_a_row: int = 10
    coverage_fell: float = 0.5
    coverage_had: float = 0.2
    spread_alike: float = 0.2
    not_before: float = 1 / 3
    precise: float = 0.9
    coverage_half: float = 0.5
    right_on: float = 0.98
    for_long: float = 0.1
    gradient_faint: float = 1e-2
    gradient_gone: float = 1e-3


class Watch:
    """A generator's samples held against real rows, and what the training's numbers tell.

    Args:
        model: one with a stage in which several players move
        data: its `valid` split is what samples are to look like
        training: `batch_size` samples are drawn at a time; with `eval_every`, at every validation, instead of every `EVERY` steps
    """

    def __init__(self, model: Model, data: Data, training: Training):
        self.model, self.data, self.training, self.history = model, data, training, History()
        self.field = next(iter(model.inputs))
        self.every, self.checked = EVERY if training.eval_every is None else 1, 0  # the step of the last check
        self.rows = min(BUDGET, len(data.splits["valid"]), len(data.splits["train"]))
        numbers = model.inputs[self.field].dtype == "float32"
        alone = "source" not in model.inputs  # a p(x | source) has no samples of its own
        self.draws = can(model, Samples) and numbers and alone and self.rows > NEIGHBOUR
        self.real: Real | None = None

    def due(self, step: int, total: int) -> bool:
        """Whether samples are to be checked at this step."""
        return self.draws and (step - self.checked >= self.every or step == total)

    def check(self, step: int, total: int, folder: Path | None) -> dict[str, float]:
        """Numbers of the samples that the model draws now; at most `PICTURES` times in a run they are drawn into `folder`, too.

        Args:
            step: so many are done
            total: of so many
            folder: where the picture goes, called after the step
        """
        from pofx.model import evaluating

        if self.real is None:
            splits = (self.data.splits[name] for name in ("valid", "train"))
            self.real = Real(*(split.read(np.linspace(0, len(split) - 1, self.rows).astype(int))[self.field].numpy() for split in splits))
        source, size = generator(("watch", self.rows), next(self.model.parameters()).device), self.training.batch_size
        sampler = require(self.model, Samples)
        with evaluating(self.model):
            parts = [sampler.sample(min(size, self.rows - start), generator=source) for start in range(0, self.rows, size)]
        x = torch.cat(parts).double().cpu().numpy()
        if not np.isfinite(x).all():
            raise Diverged(f"step {step}: samples are not finite though the losses are: train again with a lower --lr")
        if folder is not None and step * PICTURES // total > self.checked * PICTURES // total:
            self._draw(x, folder / f"step-{step:0{max(6, len(str(total)))}d}.png")
        self.checked = step
        return self.real.numbers(x)

    def _draw(self, x: np.ndarray, file: Path) -> None:
        from pofx.render.pictures import grid, plane
        from pofx.run import explained

        kind = self.model.inputs[self.field]
        assert self.real is not None
        if kind.picture:
            picture = grid(x[:64], kind)
        elif kind.shape == (2,):
            picture = plane(x, self.real.valid)
        else:
            return
        with explained(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            picture.save(file)

    def warnings(self, row: dict[str, Any], total: int) -> Iterator[str]:
        """A line for each cause that shows itself with this row of metrics for the first time in its stage: what it is, what to try."""
        for cause, what in self.history.add(row, total):
            yield f"step {row['step']}: {what}. {remedies(self.model, cause, self.training.lr)}"

    def state(self) -> dict[str, Any]:
        """What resume needs, as plain values."""
        return {"checked": self.checked, **self.history.__dict__}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `state` gave."""
        self.checked = state["checked"]
        self.history.__dict__ |= {name: value for name, value in state.items() if name in self.history.__dict__}


class Real:
    """Rows that samples are held against, and the numbers of other real rows held against them.

    Args:
        valid: (n, *shape)
        train: (n, *shape)
    """

    def __init__(self, valid: np.ndarray, train: np.ndarray):
        from pofx.metrics.manifold import radii

        self.valid, self.centre = valid, valid.reshape(len(valid), -1).mean(0, dtype=np.float64)
        self.x, self.spread = self._centred(valid), 1.0
        self.spread = self._spread(self.x)
        self.radius = radii(self.x, NEIGHBOUR)
        self.best: dict[str, float] = {}
        found = self.numbers(train)
        self.best = {"watch.real_distance": found["watch.distance"], "watch.real_coverage": found["watch.coverage"]}

    def numbers(self, x: np.ndarray) -> dict[str, float]:
        """Of samples (n, *shape): their sliced Wasserstein distance to the real rows; the share of real rows that have a sample within the
        distance to their own fifth neighbour (coverage); the share of samples that lie so near to one (precision); their standard deviation
        as a share of the real rows' (spread)."""
        from pofx.metrics.manifold import squares
        from pofx.metrics.sliced import sliced_wasserstein

        x = self._centred(x)
        covered, precise = 0, np.zeros(len(x), dtype=bool)
        for rows, square in squares(self.x, x):
            inside = square <= self.radius[rows, None]
            covered += int(inside.any(1).sum())
            precise |= inside.any(0)
        return {
            "watch.distance": sliced_wasserstein(self.x, x, projections=DIRECTIONS),
            "watch.coverage": covered / len(self.x),
            "watch.precision": float(precise.mean()),
            "watch.spread": self._spread(x) / self.spread,
            "watch.rows": len(x),
            **self.best,
        }

    def _centred(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1) - self.centre

    def _spread(self, x: np.ndarray) -> float:
        return math.sqrt(x.var(0).sum()) or 1.0


class History:
    """What the rows of metrics have shown so far, as far as symptoms need it. Its fields are plain values, for resume."""

    thresholds: ClassVar = Thresholds()  # of the class: what resume needs are the fields of an object alone

    def __init__(self) -> None:
        self.stage = ""
        self.early: dict[str, list[float]] = {}  # player -> the first norms of its gradient
        self.streaks: dict[str, list[int]] = {}  # what has held in every row up to now -> its first step, rows
        self.covered: list[float] = []  # coverage: the best, its step, the last, that of real rows; nothing before the first check
        self.apart = False  # whether samples have differed as data do
        self.known: list[str] = []  # causes that have been warned of in this stage

    def add(self, row: dict[str, Any], total: int) -> Iterator[tuple[str, str]]:
        """Take up a row, and give each cause for a warning that it completes, once a stage: which, and what it is in words.

        Args:
            row: of metrics
            total: steps that the whole training takes

        Example:
            >>> history, found = History(), []
            >>> for step in range(100, 2100, 100):
            ...     coverage = 0.8 if step < 1000 else 0.1
            ...     row = {"step": step, "watch.coverage": coverage, "watch.real_coverage": 0.97, "watch.spread": 0.9, "watch.rows": 500}
            ...     found += history.add(row, 3000)
            >>> [cause for cause, _ in found]
            ['fell']
        """
        if row.get("stage", self.stage) != self.stage:  # other players, or the same with another aim
            self.stage, self.early, self.streaks, self.covered, self.known = row["stage"], {}, {}, [], []
        found = [*self._samples(row, total), *self._players(row, total)]
        for cause, what in found:
            if cause not in self.known:
                self.known.append(cause)
                yield cause, what

    def _streak(self, what: str, holds: bool, step: int) -> tuple[int, int]:
        """Since which step, and for how many rows, it has held without a break."""
        if not holds:
            self.streaks.pop(what, None)
            return step, 0
        streak = self.streaks.setdefault(what, [step, 0])
        streak[1] += 1
        return streak[0], streak[1]

    def _samples(self, row: dict[str, Any], total: int) -> Iterator[tuple[str, str]]:
        if "watch.coverage" not in row:
            return
        limits = self.thresholds
        step, coverage, real = row["step"], row["watch.coverage"], row["watch.real_coverage"]
        best, at, *_ = self.covered or (coverage, step)
        fallen = best >= limits.coverage_had * real and coverage < limits.coverage_fell * best
        alike = row["watch.spread"] < limits.spread_alike
        if row["watch.rows"] >= limits.warn_rows:
            since, checks = self._streak("fell", fallen, step)
            if checks >= limits.checks_in_a_row:
                yield (
                    "fell",
                    f"coverage fell from {best:.2g} (step {at:.0f}) to {coverage:.2g}, and has not come back since step {since} "
                    f"(real rows reach {real:.2g}): the generator has dropped much of what it could make",
                )
            partial = (
                row.get("watch.precision", 0) >= limits.precise and coverage < limits.coverage_half * real and not fallen and not alike
            )
            since, checks = self._streak("missing", partial, step)
            if checks >= limits.checks_in_a_row and step >= limits.not_before * total and step - at >= limits.for_long * total:
                yield (
                    "missing",
                    f"modes are missing: {row['watch.precision']:.0%} of the samples are near real rows, but since step {since} they have "
                    f"reached less than {limits.coverage_half:g} of what real rows do (coverage {coverage:.2g}, of real rows {real:.2g})",
                )
        self.apart = self.apart or not alike
        since, checks = self._streak("alike", alike, step)
        if checks >= limits.checks_in_a_row and step >= limits.not_before * total:
            yield (
                "alike",
                f"samples are nearly all the same: their spread has been below {limits.spread_alike:g} of the data's since step {since}, "
                f"and is {row['watch.spread']:.2g}{'' if self.apart else '; they were never apart: more steps or a higher --lr may do'}",
            )
        self.covered = [*((coverage, step) if coverage > best else (best, at)), coverage, real]

    def _players(self, row: dict[str, Any], total: int) -> Iterator[tuple[str, str]]:
        limits, step = self.thresholds, row["step"]
        if not any(".right_on_" in name for name in row):
            return  # nobody scores another: players who learn for themselves, and a gradient fades as there is less to learn
        faint = set()
        for name in [name for name in row if name.endswith(".gradient_norm")]:
            player, norm = name.removesuffix(".gradient_norm"), row[name]
            early = self.early.setdefault(player, [])
            if len(early) < limits.moves_in_a_row:
                early.append(norm)
                continue
            if self._streak(f"{player} faint", norm <= limits.gradient_faint * median(early), step)[1] >= limits.moves_in_a_row:
                faint.add(player)
            since, rows = self._streak(f"{player} gone", norm <= limits.gradient_gone * median(early), step)
            if rows >= limits.moves_in_a_row:
                yield (
                    "vanishing",
                    f"the gradient of player {player} has vanished: its norm is {norm:.2g}, and was {median(early):.2g} at first: "
                    "it learns no more",
                )
        right: dict[str, list[float]] = {}
        for name, value in row.items():
            player, _, part = name.partition(".")
            if part.startswith("right_on_"):
                right.setdefault(player, []).append(value)
        stuck = False
        if self.covered:
            _, at, coverage, real = self.covered
            stuck = step >= limits.not_before * total and coverage < limits.coverage_had * real and step - at >= limits.for_long * total
        for player, shares in right.items():
            since, rows = self._streak(f"{player} right", min(shares) >= limits.right_on, step)
            if rows >= limits.moves_in_a_row and step - since >= limits.for_long * total and (faint - {player} or stuck):
                why = (
                    f"the gradient of {' and '.join(sorted(faint - {player}))} is {limits.gradient_faint:g} of its early norm, or less"
                    if faint - {player}
                    else f"coverage is {coverage:.2g} and has not risen since step {at}"
                )
                yield (
                    "discriminator",
                    f"player {player} wins outright: it has been right on {limits.right_on:.0%} of examples or more "
                    f"since step {since}, and {why}",
                )


def remedies(model: Model, cause: str, lr: float | None = None) -> str:
    """What to try: options that the model has and that are off.

    Args:
        model: whose hyper-parameters are read
        cause: alike, fell, missing, discriminator or vanishing
        lr: the learning rate that was asked for in place of the players' own

    Example:
        >>> from pofx.kinds import Vector
        >>> from pofx.models import find
        >>> remedies(find("gan")(Vector(2), penalty="r1"), "missing")
        'Train again with one of: --packing 2, --minibatch-std, --spectral-norm'
    """
    config = model.config
    steps, slower = config.get("discriminator_steps", 1), f"--lr-discriminator {config.get('lr_discriminator', 0) / 2:g}"
    if lr is not None:  # which overrides every player's own
        rates = {name: lr / 2 if name == "lr_discriminator" else lr for name in config if name.startswith("lr_")}
        flags = [f"--{name.replace('_', '-')} {rate:g}" for name, rate in rates.items()]
        slower = f"{' '.join(flags)} in place of --lr"
    options: dict[str, tuple[Callable[[Any], bool], str]] = {  # where it helps, and how it is written
        "packing": (lambda value: value == 1, "--packing 2"),
        "minibatch_std": (lambda value: value is False, "--minibatch-std"),
        "loss": (lambda value: value == "minimax", "--loss non_saturating"),
        "penalty": (lambda value: value == "none", "--penalty r1"),
        "spectral_norm": (lambda value: value is False, "--spectral-norm"),
        "smoothing": (lambda value: value == 0 and config.get("loss") in ("minimax", "non_saturating"), "--smoothing 0.1"),
        "discriminator_steps": (lambda value: value > 1, f"--discriminator-steps {steps // 2}"),
        "lr_discriminator": (lambda value: True, slower),
    }
    against = {
        **dict.fromkeys(("alike", "fell", "missing"), ("packing", "minibatch_std", "penalty", "spectral_norm")),
        "discriminator": ("loss", "penalty", "spectral_norm", "smoothing", "discriminator_steps", "lr_discriminator"),
        "vanishing": ("loss", "penalty", "spectral_norm", "discriminator_steps", "lr_discriminator"),
    }
    found = [options[name][1] for name in against[cause] if name in config and options[name][0](config[name])]
    return f"Train again with one of: {', '.join(found)}" if found else "Train again with a lower --lr"
