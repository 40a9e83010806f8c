"""Learning is a game in stages: what a model tells the engine about its training.

A `Stage` has players; a `Player` owns modules and moves them with its own loss and optimizer. One player and one stage is an
autoencoder; two players are a GAN; several stages are layer-wise pretraining. The engine in `pofx.train` plays it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Batch = dict[str, Tensor]


class Watched(NamedTuple):
    """A part of a loss that is logged (its mean) but not minimised, such as an error rate: `Watched(error_B)`."""

    values: Tensor


class Ratio(NamedTuple):
    """A part of a loss averaged over counted things instead of examples: sum of `total_B` over sum of `counted_B`, as nats a token."""

    total: Tensor
    counted: Tensor


Part = Tensor | Watched | Ratio
Loss = Callable[[Batch, "Noise"], dict[str, Part]]


class Noise:
    """What a training step knows besides its batch: its randomness, and how far training has come.

    Noise is a function of (seed, step, player) alone. It is drawn for the whole batch and cut to this replica's rows, so two
    processes at half the batch see the noise of one process at the full batch.

    Args:
        key: what the noise is a function of, such as (seed, step, player)
        rows: this replica's rows of the whole batch
        total: rows of the whole batch
        progress: training done so far, from 0 to 1

    Example:
        >>> whole, second = Noise((0, 7, "vae"), slice(0, 4), 4), Noise((0, 7, "vae"), slice(2, 4), 4)
        >>> bool((whole.normal(3)[2:] == second.normal(3)).all())
        True
    """

    def __init__(
        self,
        key: tuple,
        rows: slice,
        total: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        progress: float = 1.0,
    ):
        self.key, self.rows, self.total, self.progress = key, rows, total, progress
        self.device, self.dtype = device, dtype

    @cached_property
    def generator(self) -> torch.Generator:
        """The source of all that is drawn here, made at the first draw."""
        return generator(self.key, self.device)

    @classmethod
    def of(cls, source: torch.Generator | None, n: int, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Noise:
        """The noise of `n` rows from a caller's own generator (torch's global one when None), where nothing is trained."""
        noise = cls((), slice(0, n), n, device=device, dtype=dtype)
        noise.__dict__["generator"] = source
        return noise

    def _cut(self, whole: Tensor) -> Tensor:
        return whole if self.rows.stop - self.rows.start == self.total else whole[self.rows]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise, (B, *shape)."""
        return self._cut(torch.randn(self.total, *shape, generator=self.generator, device=self.device, dtype=self.dtype))

    def uniform(self, *shape: int) -> Tensor:
        """Uniform noise in [0, 1), (B, *shape)."""
        return self._cut(torch.rand(self.total, *shape, generator=self.generator, device=self.device, dtype=self.dtype))

    def integers(self, high: int, *shape: int) -> Tensor:
        """Whole numbers from 0 to `high` - 1, int64 (B, *shape)."""
        return self._cut(torch.randint(high, (self.total, *shape), generator=self.generator, device=self.device))

    def permutation(self, size: int) -> Tensor:
        """One order of 0..size-1, int64 (size,), the same for every row and replica."""
        return torch.randperm(size, generator=self.generator, device=self.device)

    def dropout(self, h: Tensor, probability: float) -> Tensor:
        """`h` (B, ...) with each number zeroed with `probability`, the rest scaled up so that the mean stays; at 1 all are 0."""
        if probability == 0:
            return h
        return h * (self.uniform(*h.shape[1:]) >= probability) / (1 - probability or 1)


def generator(key: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator whose stream is a function of `key` (anything with a stable repr) alone."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little") >> 1)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, 2014, arXiv 1412.6980); with `weight_decay`, decoupled from the gradient (AdamW).

    Weights decay all alike, or `decays` matrices alone: not biases and gains, which have one dimension.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decays: Literal["all", "matrices"] = "all"


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, with momentum if asked."""

    lr: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0


@dataclass(frozen=True)
class ClosedForm:
    """No gradient: sums of statistics over one pass of the training data, and a solution from them.

    The sums are what resume stores and what replicas add up, so a closed form keeps the engine's promises like any other player.

    Args:
        statistics: batch -> named sums over its examples (a fixed shape each; float64 keeps long sums exact)
        solve: named sums over the whole training split -> sets the player's parameters and buffers
    """

    statistics: Callable[[Batch], dict[str, Tensor]]
    solve: Callable[[dict[str, Tensor]], None]


Optimizer = Adam | SGD | ClosedForm


def no_loss(batch: Batch, noise: Noise) -> dict[str, Part]:
    """The loss of a player that has none, because its optimizer is a `ClosedForm`."""
    return {}


@dataclass(frozen=True)
class Player:
    """Who moves: modules, the loss that moves them, and how often.

    Args:
        name: shown in metrics
        modules: what this player owns; their parameters alone take gradients while it moves
        loss: (batch, noise) -> named parts, each per example (B,); the engine minimises the sum of their means
        optimizer: how the modules move
        every: moves in every n-th step only
        repeat: moves this many times in a step, each time on a new batch
        together: rows that its loss takes together; every replica's share of a batch is a multiple of it
    """

    name: str
    modules: Sequence[nn.Module]
    loss: Loss
    optimizer: Optimizer = field(default_factory=Adam)
    every: int = 1
    repeat: int = 1
    together: int = 1


@dataclass(frozen=True)
class Stage:
    """A span of training with fixed players.

    Args:
        name: shown in metrics
        players: move in this order in each step
        until: the share of all steps after which the stage ends, from 0 to 1; the last stage's is 1
        on_enter: called once when the stage begins; may change buffers and parameters, which resume restores
        keep_optimizers: players that also played in the stage before keep their optimizer's state
    """

    name: str
    players: Sequence[Player]
    until: float = 1.0
    on_enter: Callable[[], None] | None = None
    keep_optimizers: bool = False
