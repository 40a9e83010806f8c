"""Masked convolutions, and the step that computes only the newest pixel of one from a window of its past input.

Shapes: B examples, C channels of the picture, F features in, G features out, k the kernel's width, R = k // 2 + 1 its rows (those below
its own see nothing), H height, W width.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

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


class MaskedConv2d(nn.Module):
    """A k x k convolution (B, F, H, W) to (B, G, H, W) that sees the pixels before its own in raster order, and of its own pixel the groups
    of channels before its own (mask A) or up to its own (mask B).

    Only the taps of the R rows that are seen are stored and computed. Outside the picture all is zero.

    References:
        Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), arXiv 1601.06759

    Args:
        inputs: F
        outputs: G
        kernel: k, odd
        mask: A or B
        channels: of the picture

    Example:
        >>> conv = MaskedConv2d(1, 1, 3, "A")
        >>> (conv.mask[0, 0] * torch.tensor([[1, 2, 3], [4, 5, 6]])).tolist()
        [[1.0, 2.0, 3.0], [4.0, 0.0, 0.0]]
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, kernel: int, mask: Literal["A", "B"], channels: int = 1):
        super().__init__()
        self.kernel, self.rows, self.channels = kernel, kernel // 2 + 1, channels
        out_G, in_F = groups(outputs, channels)[:, None], groups(inputs, channels)
        mask_GFRk = torch.ones(outputs, inputs, self.rows, kernel)
        mask_GFRk[:, :, -1, kernel // 2] = (out_G > in_F if mask == "A" else out_G >= in_F).float()
        mask_GFRk[:, :, -1, kernel // 2 + 1 :] = 0
        self.register_buffer("mask", mask_GFRk, persistent=False)
        seen_G = mask_GFRk.sum((1, 2, 3)).clamp(min=1)
        self.weight = nn.Parameter((2 * torch.rand(mask_GFRk.shape) - 1) * seen_G.rsqrt()[:, None, None, None])
        self.bias = nn.Parameter((2 * torch.rand(outputs) - 1) * seen_G.rsqrt())

    def forward(self, h_BFHW: Tensor) -> Tensor:
        p = self.kernel // 2
        return F.conv2d(F.pad(h_BFHW, (p, p, p, 0)) if p else h_BFHW, self.weight * self.mask, self.bias)
