"""Averages of the weights: what they are of, the mean of the last few, and how one takes the model's place.

A mean of the last few (Vaswani et al., 2017) is of the weights at the last validations, begun anew in each stage. An average that is
resumed is copied into memory of the engine's own: where a tensor begins decides how a product is summed, and so its last digits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pofx.model import Model
from pofx.train.torch_private import add_, div_

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


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
        if isinstance(module, BATCH_NORMS):
            statistics = {"running_mean": module.running_mean, "running_var": module.running_var}
            found |= {f"{name}.{key}": tensor for key, tensor in statistics.items() if tensor is not None}
    return found


class Recent:
    """The weights at the last so many validations; their mean is kept.

    References:
        Attention Is All You Need (Vaswani et al., 2017), arXiv 1706.03762, section 6.1: the mean of the last 5 checkpoints

    Args:
        live: what is averaged, by name; it moves
        most: how many are remembered; 0 remembers none

    Example:
        >>> import torch
        >>> weight = torch.tensor([1.0])
        >>> recent = Recent({"weight": weight}, 2)
        >>> for _ in range(3):
        ...     recent.add()
        ...     _ = weight.mul_(2)
        >>> recent.mean()
        {'weight': tensor([3.])}
    """

    def __init__(self, live: Mapping[str, Tensor], most: int):
        self.live, self.most, self.held = live, most, list[dict[str, Tensor]]()

    def add(self) -> None:
        """Remember the weights as they are now, in place of the oldest if there are enough."""
        if self.most:
            self.held = [*self.held, {name: tensor.detach().clone() for name, tensor in self.live.items()}][-self.most :]

    def mean(self) -> dict[str, Tensor]:
        """Summed from the oldest to the newest, and divided; nothing where nothing is remembered."""
        if not self.held:
            return {}
        first, *others = self.held
        total = {name: tensor.clone() for name, tensor in first.items()}
        for other in others:
            add_(list(total.values()), list(other.values()))
        div_(list(total.values()), len(self.held))
        return total

    def state(self) -> dict[str, Tensor]:
        """What resume needs: number/name -> tensor, the oldest first."""
        return {f"{number}/{name}": tensor for number, held in enumerate(self.held) for name, tensor in held.items()}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave."""
        count = 1 + max((int(key.partition("/")[0]) for key in state), default=-1)
        self.held = [
            {name: torch.empty_like(t).copy_(state[f"{number}/{name}"]) for name, t in self.live.items()} for number in range(count)
        ]


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
