"""Masked convolutions, and windows onto the past that compute one only where the newest number changes it.

Shapes: B examples, C channels of the picture, F features in, G features out, k the kernel's width, R its rows, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def groups(features: int, channels: int) -> Tensor:
    """The channel that each feature belongs to: the features are cut into as many groups in a row as the picture has channels, int64 (F,).

    Example:
        >>> groups(7, 3).tolist()
        [0, 0, 0, 1, 1, 2, 2]
    """
    return torch.arange(features) * channels // features


def receptive_field(shape: tuple[int, ...], visible: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Whether number i of a picture (C, H, W) sees number j, bool (D, D), where channels are seen in order and pixels by a rule.

    Args:
        shape: of the picture
        visible: from how far up and how far to the right a pixel lies to whether it is seen

    Example:
        >>> receptive_field((2, 1, 2), lambda up, right: right == -1).int().tolist()  # red red green green
        [[0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 1, 0]]
    """
    C, H, W = shape
    row, column = torch.arange(H * W) // W, torch.arange(H * W) % W
    visible_PP = visible(row[:, None] - row, column - column[:, None])
    own_PP, earlier_CC = torch.eye(H * W, dtype=torch.bool), torch.ones(C, C).tril(-1).bool()
    visible_CPCP = visible_PP[:, None] | (earlier_CC[:, None, :, None] & own_PP[:, None])
    return visible_CPCP.reshape(C * H * W, -1)


class MaskedConv2d(nn.Module):
    """A convolution (B, F, H, W) to (B, G, H, W) that sees the pixels before its own in raster order, and of its own pixel the features of
    the channels before its own (mask A), or up to its own (mask B).

    Only taps that some feature sees are stored: R = kernel // 2 + 1 rows, or, where `rows` is 1, the left half of one. Outside the
    picture all is zero.

    References:
        Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), arXiv 1601.06759

    Args:
        inputs: F
        outputs: G
        kernel: height and width of the whole kernel, odd
        mask: A or B
        channels: of the picture
        rows: R; None: all that are seen
        parts: the features out come in so many parts of equal size, each cut into groups by itself

    Example:
        >>> conv = MaskedConv2d(1, 1, 3, "A")
        >>> (conv.mask[0, 0] * torch.tensor([[1, 2, 3], [4, 5, 6]])).tolist()
        [[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]
    """

    mask: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int, mask: Literal["A", "B"], channels: int = 1, *, rows: int | None = None, parts: int = 1
    ):
        super().__init__()
        self.left = kernel // 2
        self.above = self.left if rows is None else rows - 1
        self.right = self.left if self.above else 0
        self.group_G, group_F = groups(outputs // parts, channels).repeat(parts), groups(inputs, channels)
        mask_GFRk = torch.ones(outputs, inputs, self.above + 1, self.left + 1 + self.right)
        own_G, before_F = self.group_G[:, None], group_F + (mask == "A")
        mask_GFRk[:, :, -1, self.left] = (before_F <= own_G).float()
        mask_GFRk[:, :, -1, self.left + 1 :] = 0
        self.register_buffer("mask", mask_GFRk, persistent=False)
        bound_G = mask_GFRk.sum((1, 2, 3)).clamp(min=1).rsqrt()  # as of torch's convolutions, for the taps that are seen
        self.weight = nn.Parameter((2 * torch.rand_like(mask_GFRk) - 1) * bound_G[:, None, None, None])
        self.bias = nn.Parameter((2 * torch.rand(outputs) - 1) * bound_G)

    def forward(self, h_BFHW: Tensor) -> Tensor:
        padding = (self.left, self.right, self.above, 0)
        return F.conv2d(F.pad(h_BFHW, padding) if any(padding) else h_BFHW, self.weight * self.mask, self.bias)


class Place(NamedTuple):
    """Where a number of a picture is."""

    row: int
    column: int
    channel: int

    @classmethod
    def of(cls, d: int, width: int, channels: int) -> Place:
        """The d-th in raster order.

        Example:
            >>> Place.of(13, width=2, channels=3)
            Place(row=2, column=0, channel=1)
        """
        pixel, channel = divmod(d, channels)
        return cls(*divmod(pixel, width), channel)


class Window:
    """A masked convolution computed number by number in raster order: write what is new at a place into `slot`, then call.

    Of its input it keeps the last R rows, column by column, so that all that a pixel sees is one slice of memory, and one product gives a
    channel's features. Row r lies in slot r modulo R of each column. What is older there than it should be meets weights that are zero.

    Args:
        conv: the convolution
        x: (B, C, H, W), of the dtype and on the device to compute with

    Example:
        >>> conv, h = MaskedConv2d(2, 4, 3, "B"), torch.rand(1, 2, 5, 5)
        >>> window = Window(conv, torch.zeros(1, 1, 5, 5))
        >>> for d in range(13):
        ...     at = Place.of(d, width=5, channels=1)
        ...     _ = window.slot(at).copy_(h[:, :, at.row, at.column])
        ...     y = window(at)
        >>> torch.allclose(y, conv(h)[:, :, 2, 2])
        True
    """

    def __init__(self, conv: MaskedConv2d, x: Tensor):
        (B, C, _, W), (_, inputs, R, k) = x.shape, conv.weight.shape
        self.R, self.left, self.C = R, conv.left, C
        memory_BX = x.new_zeros(B, (W + k - 1) * R * inputs)
        self.seen = [memory_BX[:, w * R * inputs : (w + k) * R * inputs] for w in range(W)]
        self.slots = memory_BX.split(torch.bincount(groups(inputs, C), minlength=C).tolist() * ((W + k - 1) * R), dim=1)
        weight_kRFG = (conv.weight * conv.mask).detach().to(x.dtype).permute(3, 2, 1, 0)
        self.index = [(conv.group_G == c).nonzero().flatten().to(x.device) for c in range(C)]  # the features of each channel
        self.bias = [conv.bias.detach()[index_G] for index_G in self.index]
        self.weight = [  # of row r modulo R, and of a channel
            [weight_kRFG.roll(r + 1, dims=1).flatten(0, 2)[:, index_G].contiguous() for index_G in self.index] for r in range(R)
        ]

    def slot(self, at: Place) -> Tensor:
        """Where the input at a place is kept: a view (B, F) of the features of its channel."""
        return self.slots[((at.column + self.left) * self.R + at.row % self.R) * self.C + at.channel]

    def __call__(self, at: Place, bias: Tensor | None = None) -> Tensor:
        """What the convolution gives at a place for its channel, (B, G), with another bias than its own where one is given."""
        return torch.addmm(self.bias[at.channel] if bias is None else bias, self.seen[at.column], self.weight[at.row % self.R][at.channel])

    def after(self, active: nn.Module, h_BF: Tensor, at: Place) -> Tensor:
        """What the convolution gives at a place once active(h) is there, (B, G)."""
        if isinstance(active, nn.ReLU):
            torch.clamp_min(h_BF, 0, out=self.slot(at))
        else:
            self.slot(at).copy_(active(h_BF))
        return self(at)
