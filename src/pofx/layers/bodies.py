"""Encoder and decoder bodies that the models share: from x to numbers, and from a code to the parameters of p(x | code).

Shapes: B examples, D dimensions of a code, P parameters for each number of x, C channels, H and W height and width, T steps, U units.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Kind

Body = Literal["mlp", "conv", "recurrent"]
Activation = Literal["tanh", "relu", "elu", "silu", "gelu", "leaky_relu"]


class Tanh(nn.Tanh):
    """The hyperbolic tangent; where no gradient is wanted, by way of the sigmoid, several times as fast on a CPU.

    Example:
        >>> with torch.no_grad():
        ...     Tanh()(torch.tensor([0.0, 100.0]))
        tensor([0., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return torch.tanh(input) if torch.is_grad_enabled() else (2 * input).sigmoid_().mul_(2).sub_(1)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
}
HIDDEN: dict[str, tuple[int, ...]] = {"mlp": (200, 200), "conv": (32, 64, 256), "recurrent": (128,)}
ACTIVATION: dict[str, Activation] = {"mlp": "tanh", "conv": "silu", "recurrent": "tanh"}


def encoder(
    x: Kind, body: Body, outputs: int, *, hidden: tuple[int, ...] | None = None, activation: Activation | None = None
) -> nn.Sequential:
    """A network from x (B, *shape) to (B, outputs).

    Args:
        x: what goes in; `conv` needs a shape (channels, height, width) of any height and width, `recurrent` a `Series`
        body: `mlp`; `conv`, strided convolutions with a residual block after each, then a dense layer; or `recurrent`, stacked GRUs
        outputs: numbers that come out
        hidden: units of each layer (mlp); channels after each halving of the picture and last the units of the dense layer (conv);
            units of each GRU (recurrent); None: (200, 200), (32, 64, 256) or (128,)
        activation: None: tanh for mlp, silu for conv; a GRU has its own

    Example:
        >>> from pofx.kinds import Image
        >>> encoder(Image(3, 9, 7), "conv", 10)(torch.zeros(2, 3, 9, 7)).shape
        torch.Size([2, 10])
    """
    hidden, active = _layers(body, hidden), ACTIVATIONS[activation or ACTIVATION[body]]
    if body == "conv":
        *channels, units = hidden
        sizes = _halvings(x, len(channels))
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise((sizes[0][0], *channels)):
            kernel = 3 if layers else 5
            layers += [nn.Conv2d(c_in, c_out, kernel, stride=2, padding=kernel // 2), ChannelsLast(), Residual(c_out, active)]
        smallest = math.prod((channels[-1:] or [x.shape[0]]) + list(sizes[-1][1:]))
        return nn.Sequential(*layers, active(), nn.Flatten(), nn.Linear(smallest, units), active(), nn.Linear(units, outputs))
    if body == "recurrent":
        _, channels_of_x = _series(x)
        return nn.Sequential(Recurrent(channels_of_x, hidden), Last(), nn.Linear(hidden[-1], outputs))
    return nn.Sequential(nn.Flatten(), *_dense((x.size, *hidden), active), nn.Linear((x.size, *hidden)[-1], outputs))


def decoder(
    x: Kind,
    body: Body,
    inputs: int,
    *,
    per_element: int = 1,
    hidden: tuple[int, ...] | None = None,
    activation: Activation | None = None,
) -> nn.Sequential:
    """A network from a code (B, inputs) to the parameters of p(x | code), (B, per_element, *shape).

    Its parts are named: `features`, the affine map `last`, and `shape`. The arguments are those of `encoder`, which it mirrors: give
    both the same `hidden`.

    Example:
        >>> from pofx.kinds import Image
        >>> decoder(Image(3, 9, 7), "conv", 10, per_element=2)(torch.zeros(4, 10)).shape
        torch.Size([4, 2, 3, 9, 7])
    """
    hidden, active = _layers(body, hidden)[::-1], ACTIVATIONS[activation or ACTIVATION[body]]
    shape: nn.Module = nn.Unflatten(1, (per_element, *x.shape))
    if body == "conv":
        units, *channels = hidden
        channels.append(per_element * x.shape[0])
        sizes = _halvings(x, len(channels) - 1)
        smallest = (channels[0], *sizes[-1][1:])
        dense = [*_dense((inputs, units), active), nn.Linear(units, math.prod(smallest)), nn.Unflatten(1, smallest)]
        layers: list[nn.Module] = []
        for (c_in, c_out), (_, height, width) in zip(pairwise(channels), reversed(sizes[:-1]), strict=True):
            layers += [ChannelsLast(), Residual(c_in, active), active(), Doubling(c_in, c_out, height, width)]
        *features, last = [*dense, *layers]
        shape = nn.Unflatten(1, (per_element, x.shape[0]))
    elif body == "recurrent":
        length, channels_of_x = _series(x)
        features, last = [Repeat(length), Recurrent(inputs, hidden)], nn.Linear(hidden[-1], per_element * channels_of_x)
        shape = ParametersFirst(per_element)
    else:
        features, last = _dense((inputs, *hidden), active), nn.Linear((inputs, *hidden)[-1], per_element * x.size)
    return nn.Sequential(OrderedDict(features=nn.Sequential(*features), last=last, shape=shape))


def _layers(body: Body, hidden: tuple[int, ...] | None) -> tuple[int, ...]:
    hidden = HIDDEN[body] if hidden is None else tuple(hidden)
    if body == "conv" and len(hidden) < 2:
        raise UserError(f"body conv needs channels and then units in hidden, such as 32 64 256, not {hidden}")
    if body == "recurrent" and not hidden:
        raise UserError("body recurrent needs units in hidden, such as 128")
    return hidden


def _dense(sizes: tuple[int, ...], active: type[nn.Module]) -> list[nn.Module]:
    return [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), active())]


def _halvings(x: Kind, times: int) -> list[tuple[int, ...]]:
    """The shape of x, and what each of `times` halvings, rounded up, makes of its height and width."""
    if len(x.shape) != 3:
        raise UserError(f"body conv needs pictures (channels, height, width), not x of shape {x.shape}: use body mlp")
    channels, height, width = x.shape
    return [(channels, -(-height // 2**i), -(-width // 2**i)) for i in range(times + 1)]


def _series(x: Kind) -> tuple[int, int]:
    if len(x.shape) != 2 or x.levels:
        raise UserError(f"body recurrent needs a Series, not {type(x).__name__}: use body mlp")
    length, channels = x.shape
    return length, channels


class Residual(nn.Module):
    """h + conv(act(conv(act(h)))) with 3x3 convolutions; the identity at first, as the second one starts at zero.

    References:
        Identity Mappings in Deep Residual Networks (He et al., 2016), arXiv 1603.05027, without its batch normalisation
    """

    def __init__(self, channels: int, active: type[nn.Module]):
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]  # it has one
        self.branch = nn.Sequential(active(), nn.Conv2d(channels, channels, 3, padding=1), active(), last)

    def forward(self, h_BCHW: Tensor) -> Tensor:
        return h_BCHW + self.branch(h_BCHW)


class Doubling(nn.Module):
    """A transposed convolution, 6x6 of stride 2, to `height` x `width`: twice its input's, or one less.

    It is computed as a 3x3 convolution to four times the channels, one for each corner of a 2x2 square, which is the same map.

    References:
        Is the deconvolution layer the same as a convolutional layer? (Shi et al., 2016), arXiv 1609.07009
    """

    def __init__(self, c_in: int, c_out: int, height: int, width: int):
        super().__init__()
        self.corners = nn.Conv2d(c_in, 4 * c_out, 3, padding=1)
        self.height, self.width = height, width

    def forward(self, h_BCHW: Tensor) -> Tensor:
        return F.pixel_shuffle(self.corners(h_BCHW), 2)[:, :, : self.height, : self.width]


class ChannelsLast(nn.Module):
    """The same numbers with the channels next to each other in memory, which convolutions are twice as fast with."""

    def forward(self, h_BCHW: Tensor) -> Tensor:
        return h_BCHW.contiguous(memory_format=torch.channels_last)


class Recurrent(nn.Module):
    """Stacked GRUs over h (B, T, channels), to the last one's states (B, T, U)."""

    def __init__(self, channels: int, hidden: tuple[int, ...]):
        super().__init__()
        sizes = (channels, *hidden)
        self.layers = nn.ModuleList(nn.GRU(a, b, batch_first=True) for a, b in pairwise(sizes))

    def forward(self, h_BTU: Tensor) -> Tensor:
        for layer in self.layers:
            h_BTU, _ = layer(h_BTU)
        return h_BTU


class Last(nn.Module):
    """(B, T, U) to its last step (B, U)."""

    def forward(self, h_BTU: Tensor) -> Tensor:
        return h_BTU[:, -1]


class Repeat(nn.Module):
    """A code (B, d) to one copy a step (B, T, d)."""

    def __init__(self, length: int):
        super().__init__()
        self.length = length

    def forward(self, z_BD: Tensor) -> Tensor:
        return z_BD[:, None].expand(-1, self.length, -1)


class ParametersFirst(nn.Module):
    """(B, T, P C) to (B, P, T, C)."""

    def __init__(self, per_element: int):
        super().__init__()
        self.per_element = per_element

    def forward(self, h_BTU: Tensor) -> Tensor:
        return h_BTU.unflatten(2, (self.per_element, -1)).transpose(1, 2)
