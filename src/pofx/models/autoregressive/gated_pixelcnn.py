"""Gated PixelCNN.

Shapes: B examples, C channels, H height, W width, F features of each stack, P parameters of the likelihood for each number of x, Y classes.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import PixelName, pixel_likelihood
from pofx.kinds import Binary, Category, Image
from pofx.layers.masked import MaskedConv2d, Place, Window, receptive_field
from pofx.options import Size
from pofx.plan import Adam, Player, Stage


class GatedPixelCNN(Autoregressive):
    """Gated PixelCNN: a stack of convolutions over the rows above and one over the row's own past; together they see all that came before.

    In each layer, with v of the vertical and h of the horizontal stack:

        v_k = conv(v) + bias of the class        v = tanh(v_k[0]) * sigmoid(v_k[1])
        h_k = conv(h) + conv1x1(v_k) + bias      h = h + conv1x1(tanh(h_k[0]) * sigmoid(h_k[1]))

    There is no blind spot, unlike PixelCNN's: the field is a rectangle above and a line to the left (`dependency_matrix`).

    References:
        Conditional Image Generation with PixelCNN Decoders (van den Oord et al., 2016), arXiv 1606.05328

    Args:
        x: pictures, or bits in the shape of a picture
        label: the classes, where the model is conditional
        layers: gated layers, the first of which is 7 wide and the others 3
        hidden: features of each stack
        likelihood: of each number given those before it; None: bernoulli for bits, categorical for pictures
        components: of a logistic_mixture
        location: adds a learned number for each place and feature to h of the first layer, so that a pixel knows where it is even if the
            edges lie outside its field; without classes the paper has none

    Example:
        >>> gated = GatedPixelCNN(Binary(1, 8, 8), Category(10), layers=2, hidden=4)
        >>> gated.sample(3, given=torch.tensor([7, 7, 1])).shape, gated.log_prob(torch.zeros(3, 1, 8, 8)).shape
        (torch.Size([3, 1, 8, 8]), torch.Size([3]))
    """

    paper: ClassVar = ("van den Oord et al.", 2016, "1606.05328")
    small: ClassVar = {"layers": 2, "hidden": 16, "location": True}

    def __init__(
        self,
        x: Image | Binary,
        label: Category | None = None,
        *,
        layers: Size = 8,
        hidden: Size = 16,
        likelihood: PixelName | None = None,
        components: Size = 5,
        location: bool = False,
    ):
        super().__init__(x, pixel_likelihood(self.title(), x, likelihood, components), label)
        C, Y = x.shape[0], label.classes if label is not None else 0
        self.layers = nn.ModuleList(Layer(hidden if k else C, hidden, C, Y, first=k == 0) for k in range(layers))
        self.location_FHW = nn.Parameter(torch.zeros(hidden, *x.shape[1:])) if location else None
        self.head = nn.Sequential(
            nn.ReLU(), MaskedConv2d(hidden, hidden, 1, "B", C), nn.ReLU(), MaskedConv2d(hidden, C * self.likelihood.per_element, 1, "B", C)
        )

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        v = h = (2 * x - 1).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            v, h = layer(v, h, given)
            if layer is self.layers[0] and self.location_FHW is not None:
                h = h + self.location_FHW
        return self.head(h).unflatten(1, (self.shape[0], -1)).transpose(1, 2)

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        C, _, W = self.shape
        layers = [Cached(layer, x, given) for layer in self.layers]  # type: ignore[arg-type]  # a list of modules does not say of which
        head = [Window(conv, x) for conv in self.head if isinstance(conv, MaskedConv2d)]

        def step(d: int) -> Tensor:
            at = Place.of(d, W, C)
            if at.channel == at.column == 0:  # the vertical stack sees only the rows above, so it is done for a whole row
                v_BF1W = 2 * x[:, :, at.row - 1, None] - 1 if d else torch.zeros_like(x[:, :, :1])
                for layer in layers:
                    v_BF1W = layer.above(v_BF1W)
            if d:
                newest = Place.of(d - 1, W, C)
                torch.sub(2 * x[:, newest.channel, newest.row, newest.column, None], 1, out=layers[0].past.slot(newest))
            h_BF = layers[0].gated(at)
            if self.location_FHW is not None:
                h_BF = h_BF + self.location_FHW[layers[0].out.index[at.channel], at.row, at.column]
            for layer in layers[1:]:
                layer.past.slot(at).copy_(h_BF)
                h_BF = h_BF + layer.gated(at)
            for conv in head:
                h_BF = conv.after(self.head[0], h_BF, at)
            return h_BF

        return step

    def stages(self) -> list[Stage]:
        return [Stage("train", [Player(self.title(), [self], self.loss, Adam(lr=3e-3))])]

    def dependency_matrix(self) -> Tensor:
        """Whether the conditional of number i depends on number j, bool (D, D): all before it in a square that grows with the layers.

        The first layer sees 3 rows up and 3 columns to either side, and each other a row and a column more.
        """
        radius = 2 + len(self.layers)

        def visible(up: Tensor, right: Tensor) -> Tensor:
            return (right.abs() <= radius) & (up <= radius) & ((up > 0) | ((up == 0) & (right < 0)))

        return receptive_field(self.shape, visible)


class Layer(nn.Module):
    """A gated layer of both stacks. The first one does not see its own pixel and has nothing to add to.

    Args:
        inputs: features of v and h
        hidden: F
        channels: of the picture
        classes: Y; 0 where the model has no classes
        first: of all layers
    """

    def __init__(self, inputs: int, hidden: int, channels: int, classes: int, *, first: bool):
        super().__init__()
        k = 7 if first else 3
        self.first, self.padding = first, (k // 2, k // 2, k // 2, -1 if first else 0)  # the first layer sees nothing of its own row
        self.above = nn.Conv2d(inputs, 2 * hidden, (k // 2 if first else k // 2 + 1, k))
        self.link = nn.Conv2d(2 * hidden, 2 * hidden, 1)
        self.past = MaskedConv2d(inputs, 2 * hidden, k, "A" if first else "B", channels, rows=1, parts=2)
        self.out = MaskedConv2d(hidden, hidden, 1, "B", channels)
        self.label = nn.Embedding(classes, 4 * hidden) if classes else None

    def forward(self, v_BFHW: Tensor, h_BFHW: Tensor, given: Tensor | None) -> tuple[Tensor, Tensor]:
        v_bias, h_bias = self.biases(given)
        v_BGHW = self.above(F.pad(v_BFHW, self.padding)) + v_bias
        h_BGHW = self.past(h_BFHW) + self.link(v_BGHW) + h_bias
        out_BFHW = self.out(gate(h_BGHW))
        return gate(v_BGHW), out_BFHW if self.first else h_BFHW + out_BFHW

    def biases(self, given: Tensor | None) -> tuple[Tensor | int, Tensor | int]:
        """What a class adds to v and to h before their gates, (B, 2F, 1, 1) each."""
        if self.label is None or given is None:
            return 0, 0
        v_BG11, h_BG11 = self.label(given)[:, :, None, None].chunk(2, 1)
        return v_BG11, h_BG11


def gate(h_BG: Tensor) -> Tensor:
    """tanh of the first half of the features times the sigmoid of the second, (B, G / 2, ...)."""
    value_BF, gate_BF = h_BG.chunk(2, 1)
    return value_BF.tanh() * gate_BF.sigmoid()


class Cached:
    """A layer computed for a row of v, and for a number of h, at a time, where that row or number is the newest."""

    def __init__(self, layer: Layer, x: Tensor, given: Tensor | None):
        self.layer, (self.v_bias, self.h_bias) = layer, layer.biases(given)
        rows, inputs = layer.above.kernel_size[0], layer.above.in_channels
        self.v_BFRW = x.new_zeros(len(x), inputs, rows, x.shape[3])
        self.past, self.out = Window(layer.past, x), Window(layer.out, x)

    def above(self, v_BF1W: Tensor) -> Tensor:
        """The next row of v, (B, F, 1, W), from that of the layer before."""
        layer = self.layer
        self.v_BFRW = torch.cat([self.v_BFRW[:, :, 1:], v_BF1W], 2)
        v_BG1W = layer.above(F.pad(self.v_BFRW, layer.padding[:2])) + self.v_bias
        bias_WBG = (layer.link(v_BG1W) + self.h_bias).squeeze(2).permute(2, 0, 1) + layer.past.bias
        self.bias_CWB = [bias_WBG[:, :, index_G].unbind() for index_G in self.past.index]
        return gate(v_BG1W)

    def gated(self, at: Place) -> Tensor:
        """What the layer adds to h at a place for its channel, (B, F of the channel)."""
        value_BF, gate_BF = self.past(at, self.bias_CWB[at.channel][at.column]).chunk(2, 1)
        torch.mul(value_BF.tanh(), gate_BF.sigmoid(), out=self.out.slot(at))
        return self.out(at)
