"""ConvNADE: a convolutional network that takes what is known, and which pixels those are, and predicts all others.

Shapes: B examples, C channels of the picture, F features, H height, W width, P parameters of the likelihood for each number of x.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.order_agnostic import OrderAgnostic, Step
from pofx.distributions import likelihoods
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.layers.bodies import Residual
from pofx.options import Size


class ConvNADE(OrderAgnostic):
    """Convolutional NADE, agnostic to the order: trained on random orders, exact in each of them.

    The picture with its unknown numbers at zero and the mask of the known ones go in as channels, through a 7x7 convolution and residual
    blocks of 3x3 convolutions, all at the picture's own size. What comes out at a pixel sees the pixels up to 3 + 2 `blocks` away.

    Scoring goes through the D conditionals of an order one by one, and computes of each layer only the features that this one sees.

    References:
        Neural Autoregressive Distribution Estimation (Uria et al., 2016), arXiv 1605.02226, section 5; its blocks are not residual
        Deep Residual Learning for Image Recognition (He et al., 2015), arXiv 1512.03385

    Args:
        x: bits of pictures (channels, height, width), or pictures of any number of levels
        features: of each pixel in each layer
        blocks: of two convolutions each
        likelihood: of each number; None: bernoulli for bits, logistic_mixture for pictures
        components: of a logistic_mixture

    Example:
        >>> model = ConvNADE(Binary(1, 2, 2), features=4, blocks=1)
        >>> every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(-1, 1, 2, 2)
        >>> [round(model.log_prob(every, orders=n).exp().sum().item(), 4) for n in (1, 5)]
        [1.0, 1.0]
    """

    paper: ClassVar = ("Uria et al.", 2016, "1605.02226")
    small: ClassVar = {"features": 4, "blocks": 1, "components": 2}

    def __init__(
        self,
        x: Binary | Image,
        *,
        features: Size = 32,
        blocks: Size = 4,
        likelihood: Literal["bernoulli", "categorical", "logistic_mixture"] | None = None,
        components: Size = 5,
    ):
        super().__init__(x, likelihoods.likelihood(x, likelihood, components=components))
        if len(x.shape) != 3:
            raise UserError(f"conv_nade needs pictures (channels, height, width), not x of shape {x.shape}: use deep_nade")
        C = x.shape[0]
        self.into = nn.Conv2d(2 * C, features, 7, padding=3)
        self.blocks = nn.Sequential(*(Residual(features, nn.ReLU) for _ in range(blocks)))
        self.out = nn.Conv2d(features, self.likelihood.per_element * C, 1)

    def params(self, x: Tensor, known: Tensor) -> Tensor:
        m_BCHW = known.to(x.dtype)
        h_BFHW = self.into(torch.cat([x * m_BCHW, m_BCHW], 1).contiguous(memory_format=torch.channels_last))
        return self.out(self.blocks(h_BFHW).relu()).unflatten(1, (-1, self.shape[0]))

    def stepper(self, x: Tensor, known: Tensor) -> Step:
        C, H, W = self.shape
        R = 3 + 2 * len(self.blocks)  # what comes out at a pixel sees the pixels up to R away
        convolutions = [layer for layer in self.blocks.modules() if isinstance(layer, nn.Conv2d)]
        picture_HW = F.pad(x.new_ones(1, 1, H, W), [R] * 4)  # 1 in the picture, 0 around it

        def step(place: int) -> Tensor:
            c, i, j = place // (H * W), place // W % H, place % W
            window = (..., slice(i, i + 2 * R + 1), slice(j, j + 2 * R + 1))

            def conv(layer: nn.Conv2d, h_BFHW: Tensor) -> Tensor:
                """A smaller window of what the layer makes of a window, zero around the picture as the next layer's padding is."""
                smaller = F.conv2d(h_BFHW, layer.weight, layer.bias)
                return smaller * F.pad(picture_HW[window], [smaller.shape[-1] // 2 - R] * 4)  # a negative padding cuts off

            m_BCHW = known.to(x.dtype)
            h_BFHW = conv(self.into, F.pad(torch.cat([x * m_BCHW, m_BCHW], 1), [R] * 4)[window])
            for first, second in zip(convolutions[::2], convolutions[1::2], strict=True):  # of each block
                h_BFHW = F.pad(h_BFHW, [-2] * 4) + conv(second, conv(first, h_BFHW.relu()).relu())
            return self.out(h_BFHW.relu()).view(len(x), self.likelihood.per_element, C)[:, :, c]

        return step
