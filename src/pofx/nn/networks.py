"""Encoder and decoder bodies that the models share: from x to numbers, and from a code to the parameters of p(x | code).

Shapes: B examples, P parameters for each number of x, C channels, H and W height and width, T steps, U units.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from pofx.errors import UserError
from pofx.kinds import Kind, Series

Body = Literal["mlp", "conv", "recurrent"]
Activation = Literal["tanh", "relu", "elu", "silu", "gelu", "leaky_relu"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
}
HIDDEN: dict[str, tuple[int, ...]] = {"mlp": (200, 200), "conv": (32, 64), "recurrent": (128,)}
ACTIVATION: dict[str, Activation] = {"mlp": "tanh", "conv": "silu", "recurrent": "tanh"}


def encoder(
    x: Kind, body: Body, outputs: int, *, hidden: tuple[int, ...] | None = None, activation: Activation | None = None
) -> nn.Sequential:
    """A network from x (B, *shape) to (B, outputs).

    Args:
        x: what goes in; `conv` needs a shape (channels, height, width) of any height and width, `recurrent` a `Series`
        body: `mlp`, `conv` (a strided convolution and a residual block for each of `hidden`), or `recurrent` (stacked GRUs)
        outputs: numbers that come out
        hidden: units of each layer (mlp), channels after each halving of the picture (conv), units of each GRU (recurrent);
            None: (200, 200), (32, 64) and (128,)
        activation: None: tanh for the mlp, silu for conv; the recurrent body has that of the GRU

    Example:
        >>> from pofx.kinds import Image
        >>> encoder(Image(3, 9, 7), "conv", 10)(torch.zeros(2, 3, 9, 7)).shape
        torch.Size([2, 10])
    """
    hidden, active = hidden or HIDDEN[body], ACTIVATIONS[activation or ACTIVATION[body]]
    if body == "conv":
        sizes = _halvings(x, len(hidden))
        channels = (sizes[0][0], *hidden)
        layers: list[nn.Module] = []
        for c_in, c_out in zip(channels[:-1], channels[1:], strict=True):
            layers += [nn.Conv2d(c_in, c_out, 3 if layers else 5, stride=2, padding=1 if layers else 2), active(), Residual(c_out, active)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(hidden[-1] * math.prod(sizes[-1][1:]), outputs))
    if body == "recurrent":
        _series(x)
        return nn.Sequential(Recurrent(x.shape[1], hidden), Last(), nn.Linear(hidden[-1], outputs))
    return nn.Sequential(nn.Flatten(), *_dense((x.size, *hidden), active), nn.Linear(hidden[-1], outputs))


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
    hidden, active = tuple(reversed(hidden or HIDDEN[body])), ACTIVATIONS[activation or ACTIVATION[body]]
    if body == "conv":
        sizes = _halvings(x, len(hidden))
        smallest = (hidden[0], *sizes[-1][1:])
        layers: list[nn.Module] = [nn.Linear(inputs, math.prod(smallest)), nn.Unflatten(1, smallest), active()]
        for c_in, c_out, size in zip(hidden[:-1], hidden[1:], reversed(sizes[1:-1]), strict=True):
            layers += [Residual(c_in, active), Doubling(c_in, c_out, 3, size[1:]), active()]
        layers += [Residual(hidden[-1], active)]
        last: nn.Module = Doubling(hidden[-1], per_element * x.shape[0], 5, x.shape[1:])
        shape: nn.Module = nn.Unflatten(1, (per_element, x.shape[0]))
    elif body == "recurrent":
        _series(x)
        length, channels = x.shape
        layers, last = [Repeat(length), Recurrent(inputs, hidden)], nn.Linear(hidden[-1], per_element * channels)
        shape = ParametersFirst(per_element)
    else:
        layers, last = _dense((inputs, *hidden), active), nn.Linear(hidden[-1], per_element * x.size)
        shape = nn.Unflatten(1, (per_element, *x.shape))
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers), last=last, shape=shape))


def _dense(sizes: tuple[int, ...], active: type[nn.Module]) -> list[nn.Module]:
    return [layer for a, b in zip(sizes[:-1], sizes[1:], strict=True) for layer in (nn.Linear(a, b), active())]


def _halvings(x: Kind, times: int) -> list[tuple[int, int, int]]:
    """The shape of x, and its channels, height and width after each of `times` halvings, rounded up."""
    if len(x.shape) != 3:
        raise UserError(f"body conv needs pictures (channels, height, width), not x of shape {x.shape}: use body mlp")
    channels, height, width = x.shape
    return [(channels, -(-height // 2**i), -(-width // 2**i)) for i in range(times + 1)]


def _series(x: Kind) -> None:
    if not isinstance(x, Series):
        raise UserError(f"body recurrent needs a Series, not {type(x).__name__}: use body mlp" + (" or conv" if len(x.shape) == 3 else ""))


class Residual(nn.Module):
    """h + conv(act(conv(act(h)))), 3x3 convolutions of the same number of channels; close to the identity at first (the second starts at zero).

    References:
        Identity Mappings in Deep Residual Networks (He et al., 2016), arXiv 1603.05027, without its batch normalisation
    """

    def __init__(self, channels: int, active: type[nn.Module]):
        super().__init__()
        last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.branch = nn.Sequential(active(), nn.Conv2d(channels, channels, 3, padding=1), active(), last)

    def forward(self, h_BCHW: Tensor) -> Tensor:
        return h_BCHW + self.branch(h_BCHW)


class Doubling(nn.ConvTranspose2d):
    """A transposed convolution of stride 2 to exactly `size` (height, width): twice that of its input, or one less."""

    def __init__(self, c_in: int, c_out: int, kernel: int, size: tuple[int, ...]):
        super().__init__(c_in, c_out, kernel, stride=2, padding=kernel // 2, output_padding=tuple(1 - s % 2 for s in size))


class Recurrent(nn.Module):
    """Stacked GRUs over h (B, T, channels), to the last one's states (B, T, U)."""

    def __init__(self, channels: int, hidden: tuple[int, ...]):
        super().__init__()
        sizes = (channels, *hidden)
        self.layers = nn.ModuleList(nn.GRU(a, b, batch_first=True) for a, b in zip(sizes[:-1], sizes[1:], strict=True))

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
