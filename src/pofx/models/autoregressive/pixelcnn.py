"""PixelCNN.

Shapes: B examples, C channels, H height, W width, P parameters of the likelihood for each number of x, h the features inside a block,
F = 2h those between blocks.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn, channels_last

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Size
from pofx.nn.autoregressive import Autoregressive
from pofx.nn.likelihoods import likelihood as likelihood_of
from pofx.nn.masked import MaskedConv2d


class PixelCNN(Autoregressive):
    """PixelCNN: a stack of masked convolutions gives every p(x_d | x_<d) of a picture in one pass.

    The first convolution, 7x7, has mask A: a pixel does not see itself. Residual blocks with mask B follow. The features belong to the
    picture's channels in turn, so that green sees red, and blue sees both.

    The masks leave a blind spot: pixels above and to the right that no chain of convolutions reaches (`depends`).

    References:
        Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), arXiv 1601.06759

    Args:
        x: pictures, or bits in the shape of a picture
        blocks: residual blocks
        hidden: features inside a block, h; there are 2h between blocks
        likelihood: of each number given those before it; None: bernoulli for bits, categorical for pictures
        components: of a logistic_mixture
    """

    paper: ClassVar = ("van den Oord et al.", 2016, "1601.06759")
    small: ClassVar = {"blocks": 2, "hidden": 4}

    def __init__(
        self,
        x: Image | Binary,
        *,
        blocks: Size = 7,
        hidden: Size = 16,
        likelihood: Literal["bernoulli", "categorical", "logistic_mixture"] | None = None,
        components: Size = 5,
    ):
        if len(x.shape) != 3:
            raise UserError(f"pixelcnn needs pictures (channels, height, width), not x of shape {x.shape}")
        if likelihood is None:
            likelihood = "bernoulli" if isinstance(x, Binary) else "categorical"
        super().__init__(x, likelihood_of(x, likelihood, components=components))
        C, F = x.shape[0], 2 * hidden
        self.first = MaskedConv2d(C, F, 7, "A", C)
        self.blocks = nn.Sequential(*[Block(hidden, C) for _ in range(blocks)])
        self.head = nn.Sequential(
            nn.ReLU(), MaskedConv2d(F, F, 1, "B", C), nn.ReLU(), MaskedConv2d(F, C * self.likelihood.per_element, 1, "B", C)
        )

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h_BFHW = self.first(2 * x - 1).contiguous(memory_format=channels_last)
        return self.head(self.blocks(h_BFHW)).unflatten(1, (self.shape[0], -1)).transpose(1, 2)


class Block(nn.Module):
    """h + conv1x1(relu(conv3x3(relu(conv1x1(relu(h)))))), 2h features to h, h to h and back."""

    def __init__(self, hidden: int, channels: int):
        super().__init__()
        self.down = MaskedConv2d(2 * hidden, hidden, 1, "B", channels)
        self.conv = MaskedConv2d(hidden, hidden, 3, "B", channels)
        self.up = MaskedConv2d(hidden, 2 * hidden, 1, "B", channels)

    def forward(self, h_BFHW: Tensor) -> Tensor:
        return h_BFHW + self.up(self.conv(self.down(h_BFHW.relu()).relu()).relu())
