"""PixelRNN: what its kinds of layers share.

Shapes: B examples, C channels, H height, W width, N = H W pixels in raster order, h units of a state, F = 2h features between layers,
G = 4h sums of gates, P parameters of the likelihood for each number of x.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.autoregressive import Autoregressive, Step
from pofx.distributions.likelihoods import PixelName, pixel_likelihood
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.layers.masked import MaskedConv2d, groups

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
    """A layer of LSTMs over the map with a residual connection around it: features (N, B, F) to features (N, B, F).

    `more` is added to the sums of the gates: of each direction that the layer scans in, (N, B, G); nothing where it is empty.
    """

    @abstractmethod
    def forward(self, f_NBF: Tensor, x_NBC: Tensor, more: Sequence[Tensor] = ()) -> Tensor: ...

    @abstractmethod
    def stepper(self, x_HWBC: Tensor, more: Sequence[Tensor] = ()) -> LayerStep:
        """The same pixel by pixel, in raster order, while `x` is filled. A pixel may be computed again before the next one."""


class Network(nn.Module):
    """A masked 7x7 convolution (mask A), layers of convolutional LSTMs, and two 1x1 convolutions after a ReLU each.

    The features belong to the picture's channels in turn, so that green sees red, and blue sees both.

    Args:
        shape: (C, H, W) of x
        layers: each of h units
        hidden: h
        per_element: P
    """

    def __init__(self, shape: tuple[int, ...], layers: Sequence[Layer], hidden: int, per_element: int):
        super().__init__()
        C, features = shape[0], 2 * hidden
        self.first = MaskedConv2d(C, features, 7, "A", C)
        self.layers = nn.ModuleList(layers)
        self.head = nn.Sequential(nn.ReLU(), MaskedLinear(features, features, C), nn.ReLU(), MaskedLinear(features, C * per_element, C))

    def forward(self, x: Tensor, more: Sequence[Sequence[Tensor]] = ()) -> Tensor:
        """The parameters (B, P, C, H, W) for x (B, C, H, W); `more` of each layer, or of none."""
        B, C, H, W = x.shape
        x = 2 * x - 1
        x_NBC = x.permute(2, 3, 0, 1).reshape(H * W, B, C)
        f_NBF = self.first(x).permute(2, 3, 0, 1).reshape(H * W, B, -1)
        for layer, added in zip(self.layers, more or [()] * len(self.layers), strict=True):
            f_NBF = layer(f_NBF, x_NBC, added)
        return self.head(f_NBF).view(H, W, B, C, -1).permute(2, 4, 3, 0, 1)

    def stepper(self, x: Tensor, more: Sequence[Sequence[Tensor]] = ()) -> Step:
        """The same number by number, as in `Autoregressive.stepper`."""
        B, C, H, W = x.shape
        rows, k = self.first.weight.shape[2:]
        weight_FI = (self.first.weight * self.first.mask).flatten(1)
        window_BCHW = x.new_zeros(B, C, H + rows - 1, W + k - 1)  # x, and the zeros around it that the convolution sees
        inside_BCHW = window_BCHW[:, :, rows - 1 :, k // 2 : k // 2 + W]
        inside_HWBC = inside_BCHW.permute(2, 3, 0, 1)
        steps: list[LayerStep] = [
            layer.stepper(inside_HWBC, added)  # type: ignore[operator]
            for layer, added in zip(self.layers, more or [()] * len(self.layers), strict=True)
        ]
        linear = [(m.weight * m.mask, m.bias) for m in self.head if isinstance(m, MaskedLinear)]

        def step(d: int) -> Tensor:
            (i, j), channel = divmod(d // C, W), d % C
            if d:
                (i0, j0), before = divmod((d - 1) // C, W), (d - 1) % C
                inside_BCHW[:, before, i0, j0] = 2 * x[:, before, i0, j0] - 1
            f_BF = F.linear(window_BCHW[:, :, i : i + rows, j : j + k].flatten(1), weight_FI, self.first.bias)
            for layer in steps:
                f_BF = layer(i, j, f_BF)
            for weight, bias in linear:
                f_BF = F.linear(f_BF.relu(), weight, bias)
            return f_BF.view(B, C, -1)[:, channel]

        return step


class PixelRNN(Autoregressive):
    """A picture's numbers in raster order, their conditionals given by a `Network`.

    Args:
        x: pictures, or bits in the shape of a picture
        hidden: h
        likelihood: of each number given those before it; None: bernoulli for bits, categorical for pictures
        components: of a logistic_mixture
    """

    network: Network

    def __init__(self, x: Image | Binary, hidden: int, likelihood: PixelName | None, components: int):
        chosen = pixel_likelihood(self.title(), x, likelihood, components)
        if hidden < x.shape[0]:
            raise UserError(f"{self.title()}: hidden must be {x.shape[0]} or more, one unit for each channel, not {hidden}")
        super().__init__(x, chosen)

    def params(self, x: Tensor, given: Tensor | None = None) -> Tensor:
        return self.network(x)

    def stepper(self, x: Tensor, given: Tensor | None = None) -> Step:
        return self.network.stepper(x)
