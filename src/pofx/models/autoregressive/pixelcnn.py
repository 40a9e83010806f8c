"""PixelCNN.

Shapes: B examples, C channels, H height, W width, P parameters of the likelihood for each number of x, h the features inside a block,
F = 2h those between blocks.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import PixelName, pixel_likelihood
from pofx.kinds import Binary, Image
from pofx.layers.bodies import ACTIVATIONS, Activation
from pofx.layers.masked import MaskedConv2d, Place, Window, receptive_field
from pofx.options import Size
from pofx.plan import Adam, Player, Stage


class PixelCNN(Autoregressive):
    """PixelCNN: a stack of masked convolutions gives every p(x_d | x_<d) of a picture in one pass.

    The first convolution, 7x7, has mask A: a pixel does not see itself. Residual blocks with mask B follow. The features belong to the
    picture's channels in turn, so that green sees red, and blue sees both.

    The masks leave a blind spot: pixels above and to the right that no chain of convolutions reaches (`dependency_matrix`).

    References:
        Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), arXiv 1601.06759

    Args:
        x: pictures, or bits in the shape of a picture
        blocks: residual blocks
        hidden: features inside a block, h; there are 2h between blocks
        likelihood: of each number given those before it; None: bernoulli for bits, categorical for pictures
        components: of a logistic_mixture
        activation: before each convolution but the first; the paper's is relu, most of whose units die at the rate silu learns best with
        location: adds a learned number for each place and feature after the first convolution, so that a pixel knows where it is even
            if the edges lie outside its field; the paper has none

    Example:
        >>> pixelcnn = PixelCNN(Binary(1, 8, 8), blocks=2, hidden=4)
        >>> pixelcnn.sample(3).shape, pixelcnn.log_prob(torch.zeros(3, 1, 8, 8)).shape
        (torch.Size([3, 1, 8, 8]), torch.Size([3]))
    """

    paper: ClassVar = ("van den Oord et al.", 2016, "1601.06759")
    small: ClassVar = {"blocks": 2, "hidden": 4, "location": True}

    def __init__(
        self,
        x: Image | Binary,
        *,
        blocks: Size = 7,
        hidden: Size = 16,
        likelihood: PixelName | None = None,
        components: Size = 5,
        activation: Activation = "silu",
        location: bool = False,
    ):
        super().__init__(x, pixel_likelihood(self.title(), x, likelihood, components))
        C, F = x.shape[0], 2 * hidden
        self.first = MaskedConv2d(C, F, 7, "A", C)
        self.location_FHW = nn.Parameter(torch.zeros(F, *x.shape[1:])) if location else None
        self.active = ACTIVATIONS[activation]()
        self.blocks = nn.Sequential(*[Block(hidden, C, self.active) for _ in range(blocks)])
        self.head = nn.Sequential(
            self.active, MaskedConv2d(F, F, 1, "B", C), self.active, MaskedConv2d(F, C * self.likelihood.per_element, 1, "B", C)
        )

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        h_BFHW = self.first(2 * x - 1).contiguous(memory_format=torch.channels_last)
        if self.location_FHW is not None:
            h_BFHW = h_BFHW + self.location_FHW
        return self.head(self.blocks(h_BFHW)).unflatten(1, (self.shape[0], -1)).transpose(1, 2)

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        first, head = Window(self.first, x), [Window(conv, x) for conv in self.head if isinstance(conv, MaskedConv2d)]
        blocks = [[Window(conv, x) for conv in (block.down, block.conv, block.up)] for block in self.blocks]  # type: ignore[arg-type]  # Blocks
        C, W, active = self.shape[0], self.shape[2], self.active

        def step(d: int) -> Tensor:
            if d:
                newest = Place.of(d - 1, W, C)
                torch.sub(2 * x[:, newest.channel, newest.row, newest.column, None], 1, out=first.slot(newest))
            at = Place.of(d, W, C)
            h_BF = first(at)
            if self.location_FHW is not None:
                h_BF = h_BF + self.location_FHW[first.index[at.channel], at.row, at.column]
            for down, conv, up in blocks:
                h_BF = h_BF + up.after(active, conv.after(active, down.after(active, h_BF, at), at), at)
            for conv in head:
                h_BF = conv.after(active, h_BF, at)
            return h_BF

        return step

    def stages(self) -> list[Stage]:
        return [Stage("train", [Player(self.title(), [self], self.loss, Adam(lr=3e-3))])]

    def dependency_matrix(self) -> Tensor:
        """Whether the conditional of number i depends on number j, bool (D, D): all that some chain of convolutions reaches.

        The first one reaches 3 rows up and 3 columns to either side, and each block a row or a column more. To the right it is 3 columns in
        the row above and one more in each row above that, since only a step up can go with a step to the right.
        """
        radius = 3 + len(self.blocks)

        def visible(up: Tensor, right: Tensor) -> Tensor:
            past = (up == 0) & (right < 0)
            above = (up > 0) & (right <= up + 2)
            return (past | above) & (up <= radius) & (right.abs() <= radius)

        return receptive_field(self.shape, visible)


class Block(nn.Module):
    """h + conv1x1(active(conv3x3(active(conv1x1(active(h)))))), 2h features to h, h to h and back."""

    def __init__(self, hidden: int, channels: int, active: nn.Module):
        super().__init__()
        self.active = active
        self.down = MaskedConv2d(2 * hidden, hidden, 1, "B", channels)
        self.conv = MaskedConv2d(hidden, hidden, 3, "B", channels)
        self.up = MaskedConv2d(hidden, 2 * hidden, 1, "B", channels)

    def forward(self, h_BFHW: Tensor) -> Tensor:
        return h_BFHW + self.up(self.active(self.conv(self.active(self.down(self.active(h_BFHW))))))
