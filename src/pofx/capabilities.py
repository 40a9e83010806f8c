"""Capabilities: what may be asked of a model, as protocols. A model has the capabilities whose methods it defines."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from pofx.kinds import Kind

if TYPE_CHECKING:
    from pofx.distributions.priors import Prior


@runtime_checkable
class Samples(Protocol):
    """Draws x."""

    def sample(self, n: int, *, given: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor: ...


@runtime_checkable
class Scores(Protocol):
    """log p(x) in nats, shape (B,): exact or a lower bound, as the class's `density` says."""

    density: ClassVar[Literal["exact", "bound"] | None]

    def log_prob(self, x: Tensor, *, given: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Encodes(Protocol):
    """x to a code of kind `codes`, (B, d): deterministic."""

    codes: Kind

    def encode(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Decodes(Protocol):
    """A code (B, d) to x, (B, *shape): the mean."""

    def decode(self, z: Tensor) -> Tensor: ...


@runtime_checkable
class Generates(Protocol):
    """x of a code z (B, d) from a prior whose parts may have names: what a sample is made of, open to be steered."""

    prior: Prior

    def generate(self, z: Tensor) -> Tensor: ...


@runtime_checkable
class Clusters(Protocol):
    """x to the number of its group, int64 (B,), from 0 to `clusters` - 1: groups that were found without labels."""

    clusters: int

    def cluster(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Completes(Protocol):
    """x with the parts where `known` is False filled in; what is known is kept."""

    def complete(self, x: Tensor, known: Tensor, *, generator: torch.Generator | None = None) -> Tensor: ...


@runtime_checkable
class Translates(Protocol):
    """A source of one kind to a target of another."""

    def translate(self, source: Tensor) -> Tensor: ...


@runtime_checkable
class Classifies(Protocol):
    """x to logits (B, classes)."""

    def classify(self, x: Tensor) -> Tensor: ...


@runtime_checkable
class Hashes(Protocol):
    """x to packed bits, uint8 (B, bits / 8)."""

    def hash(self, x: Tensor) -> Tensor: ...


CAPABILITIES: dict[str, tuple[type, str]] = {  # shown name -> protocol, the method that shows it
    "samples": (Samples, "sample"),
    "scores": (Scores, "log_prob"),
    "encodes": (Encodes, "encode"),
    "decodes": (Decodes, "decode"),
    "generates": (Generates, "generate"),
    "clusters": (Clusters, "cluster"),
    "completes": (Completes, "complete"),
    "translates": (Translates, "translate"),
    "classifies": (Classifies, "classify"),
    "hashes": (Hashes, "hash"),
}
