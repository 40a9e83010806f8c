"""PixelRNN: what its kinds of layers share.

Shapes: B examples, C channels, H height, W width, N = H W pixels in raster order, h units of a state, F = 2h features between layers,
P parameters of the likelihood for each number of x.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.nn.autoregressive import Autoregressive, Step
from pofx.nn.likelihoods import likelihood as likelihood_of
from pofx.nn.masked import MaskedConv2d, groups

Name = Literal["bernoulli", "categorical", "logistic_mixture"]
LayerStep = Callable[[int, int, Tensor], Tensor]  # row, column, features of that pixel (B, F) -> features (B, F)


class MaskedLinear(nn.Linear):
    """A linear layer, (..., inputs) to (..., outputs), of features in groups by channel: each sees the groups up to its own (mask B).

    Args:
        inputs: numbers in
        outputs: numbers out, or tuples of them one after another (the gates of an LSTM)
        channels: of the picture
        tuples: how many times `outputs` come
        free: more numbers in, which all outputs see

    Example:
        >>> MaskedLinear(3, 3, channels=3).mask
        tensor([[1., 0., 0.],
                [1., 1., 0.],
                [1., 1., 1.]])
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, channels: int, tuples: int = 1, free: int = 0):
        super().__init__(inputs + free, tuples * outputs)
        mask = groups(outputs, channels)[:, None] >= groups(inputs, channels)
        self.register_buffer("mask", F.pad(mask.float(), (0, free), value=1).repeat(tuples, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class Layer(nn.Module):
    """A layer of LSTMs over the map with a residual connection around it: features (N, B, F) to features (N, B, F)."""

    @abstractmethod
    def forward(self, f_NBF: Tensor, x_NBC: Tensor) -> Tensor: ...

    @abstractmethod
    def stepper(self, x_HWBC: Tensor) -> LayerStep:
        """The same pixel by pixel, in raster order, while `x` is filled. A pixel may be computed again before the next one."""


class PixelRNN(Autoregressive):
    """A masked 7x7 convolution (mask A), layers of convolutional LSTMs, and two 1x1 convolutions after a ReLU each.

    The features belong to the picture's channels in turn, so that green sees red, and blue sees both.

    Args:
        x: pictures, or bits in the shape of a picture
        layer: makes a layer
        layers: how many
        hidden: h
        likelihood: of each number given those before it; None: bernoulli for bits, categorical for pictures
        components: of a logistic_mixture
    """

    def __init__(self, x: Image | Binary, layer: Callable[[], Layer], layers: int, hidden: int, likelihood: Name | None, components: int):
        if len(x.shape) != 3:
            raise UserError(f"{self.title()} needs pictures (channels, height, width), not x of shape {x.shape}")
        C, features = x.shape[0], 2 * hidden
        if hidden < C:
            raise UserError(f"{self.title()}: hidden must be {C} or more, one unit for each channel, not {hidden}")
        if likelihood is None:
            likelihood = "bernoulli" if isinstance(x, Binary) else "categorical"
        super().__init__(x, likelihood_of(x, likelihood, components=components))
        self.first = MaskedConv2d(C, features, 7, "A", C)
        self.layers = nn.ModuleList([layer() for _ in range(layers)])
        self.head = nn.Sequential(
            nn.ReLU(), MaskedLinear(features, features, C), nn.ReLU(), MaskedLinear(features, C * self.likelihood.per_element, C)
        )

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        B, C, H, W = x.shape
        x = 2 * x - 1
        x_NBC = x.permute(2, 3, 0, 1).reshape(H * W, B, C)
        f_NBF = self.first(x).permute(2, 3, 0, 1).reshape(H * W, B, -1)
        for layer in self.layers:
            f_NBF = layer(f_NBF, x_NBC)
        return self.head(f_NBF).view(H, W, B, C, -1).permute(2, 4, 3, 0, 1)

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        B, C, H, W = x.shape
        rows, k = self.first.weight.shape[2:]
        weight_FI = (self.first.weight * self.first.mask).flatten(1)
        window_BCHW = x.new_zeros(B, C, H + rows - 1, W + k - 1)  # x with what the convolution adds around it
        inside_BCHW = window_BCHW[:, :, rows - 1 :, k // 2 : k // 2 + W]
        steps = [layer.stepper(inside_BCHW.permute(2, 3, 0, 1)) for layer in self.layers]  # type: ignore[operator]
        linear = [(m.weight * m.mask, m.bias) for m in self.head if isinstance(m, MaskedLinear)]

        def step(d: int) -> Tensor:
            (i, j), channel = divmod(d // C, W), d % C
            if d:
                (i0, j0), before = divmod((d - 1) // C, W), (d - 1) % C
                torch.sub(2 * x[:, before, i0, j0], 1, out=inside_BCHW[:, before, i0, j0])
            f_BF = F.linear(window_BCHW[:, :, i : i + rows, j : j + k].flatten(1), weight_FI, self.first.bias)
            for layer in steps:
                f_BF = layer(i, j, f_BF)
            for weight, bias in linear:
                f_BF = F.linear(f_BF.relu(), weight, bias)
            return f_BF.view(B, C, -1)[:, channel]

        return step
