"""A moving average of the weights: what it is of, and how it takes the model's place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from pofx.model import Model


def averageable(model: Model) -> dict[str, Tensor]:
    """What an average of the model is of, by name: every parameter, and the mean and variance that batch normalisation has seen.

    Averaged weights beside statistics of the newest weights would be a network that never was.

    Example:
        >>> import torch
        >>> from pofx.kinds import Vector
        >>> class Normalised(Model):
        ...     def __init__(self, x: Vector):
        ...         super().__init__()
        ...         self.layer = torch.nn.BatchNorm1d(x.dims)
        >>> list(averageable(Normalised(Vector(2))))
        ['layer.weight', 'layer.bias', 'layer.running_mean', 'layer.running_var']
    """
    found: dict[str, Tensor] = dict(model.named_parameters())
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm):
            statistics = {"running_mean": module.running_mean, "running_var": module.running_var}
            found |= {f"{name}.{key}": tensor for key, tensor in statistics.items() if tensor is not None}
    return found


@contextmanager
def swapped(live: Mapping[str, Tensor], average: Mapping[str, Tensor]) -> Iterator[None]:
    """The tensors of `average` in place of those of the same name, for as long as the block lasts."""

    def swap() -> None:
        for name, other in average.items():
            live[name].data, other.data = other.data, live[name].data

    swap()
    try:
        yield
    finally:
        swap()
