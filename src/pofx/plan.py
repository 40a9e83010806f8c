"""Training goes in stages, each of one player or several: what a model tells the engine about its training.

A `Stage` has players; a `Player` owns modules and moves them with its own loss and optimizer. One player and one stage is an
autoencoder; two players are a GAN; several stages are layer-wise pretraining. The engine in `pofx.train` plays it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from torch import Tensor, nn

from pofx.randomness import Noise

Batch = dict[str, Tensor]


class Logged(NamedTuple):
    """A part of a loss that is logged (its mean) but not minimised, such as an error rate: `Logged(error_B)`."""

    values: Tensor


class Ratio(NamedTuple):
    """A part of a loss averaged over counted things instead of examples: sum of `total_B` over sum of `counted_B`, as nats a token."""

    total: Tensor
    counted: Tensor


Part = Tensor | Logged | Ratio
Loss = Callable[[Batch, "Noise"], dict[str, Part]]


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


def solved(stages: Sequence[Stage]) -> bool:
    """Whether every player of these stages is solved in closed form, so that one pass over the data is all."""
    return all(isinstance(player.optimizer, ClosedForm) for stage in stages for player in stage.players)


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
        key: what its noise is a function of, beside seed and step: its name, unless it has had another before
    """

    name: str
    modules: Sequence[nn.Module]
    loss: Loss
    optimizer: Optimizer = field(default_factory=Adam)
    every: int = 1
    repeat: int = 1
    together: int = 1
    key: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or self.name)


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
