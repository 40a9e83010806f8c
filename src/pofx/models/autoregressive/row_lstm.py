"""PixelRNN with row LSTMs.

Shapes: B examples, C channels, H height, W width, N = H W pixels in raster order, h units of a state, F = 2h features between layers,
G = 4h sums of gates, k pixels of the row above that a state depends on, r = k // 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.bases.pixel_rnn import Layer, LayerStep, MaskedLinear, Network, PixelRNN
from pofx.distributions.likelihoods import PixelName
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.layers.conv_lstm import Lines, lstm_cell, scan
from pofx.layers.masked import receptive_field
from pofx.options import Range, Size


class RowLSTM(PixelRNN):
    """PixelRNN with row LSTMs: a pixel's state depends on the k states nearest to it in the row above.

    The rows are computed from top to bottom, all pixels of one at once. A pixel depends on the triangle above it, which widens by
    k // 2 pixels on each side with each row, and on what the convolutions add to it (`dependency_matrix`).

    References:
        Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), arXiv 1601.06759

    Args:
        x: pictures, or bits in the shape of a picture
        layers: of LSTMs
        hidden: units of a state, h; there are 2h features between layers
        kernel: k, odd
        likelihood: of each number given those before it; None: bernoulli for bits, categorical for pictures
        components: of a logistic_mixture

    Example:
        >>> model = RowLSTM(Binary(1, 3, 3), hidden=4)
        >>> every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9).view(-1, 1, 3, 3)
        >>> round(model.log_prob(every).exp().sum().item(), 4)
        1.0
    """

    paper: ClassVar = ("van den Oord et al.", 2016, "1601.06759")
    small: ClassVar = {"layers": 2, "hidden": 4}

    def __init__(
        self,
        x: Image | Binary,
        *,
        layers: Size = 1,
        hidden: Size = 32,
        kernel: Annotated[int, Range(1)] = 3,
        likelihood: PixelName | None = None,
        components: Size = 5,
    ):
        if kernel % 2 == 0:
            raise UserError(f"row_lstm: kernel must be odd, such as {kernel + 1}, not {kernel}")
        super().__init__(x, hidden, likelihood, components)
        self.network = Network(x.shape, [RowLayer(x.shape, hidden, kernel) for _ in range(layers)], hidden, self.likelihood.per_element)

    def dependency_matrix(self) -> Tensor:
        """Whether the conditional of number i may depend on number j, bool (D, D), in places of the flattened example."""
        _, H, W = self.shape

        def visible(up_NN: Tensor, right_NN: Tensor) -> Tensor:
            first_NN = (up_NN >= 0) & (up_NN <= 3) & (right_NN.abs() <= 3) & ((up_NN > 0) | (right_NN < 0))  # mask A, 7 x 7
            visible_HWN = first_NN.view(H, W, -1)
            for layer in self.network.layers:
                assert isinstance(layer, RowLayer)
                visible_HWN = layer.widen(visible_HWN)
            return visible_HWN.view(H * W, -1)

        return receptive_field(self.shape, visible)


class RowLayer(Layer):
    """f + up(h), both maps."""

    places_1N: Tensor

    def __init__(self, shape: tuple[int, ...], hidden: int, kernel: int):
        super().__init__()
        C, H, W = self.shape = shape
        self.hidden, self.kernel, self.r = hidden, kernel, kernel // 2
        self.lines = Lines(((0, W),) * H, taps=tuple(range(-self.r, self.r + 1)))
        self.register_buffer("places_1N", torch.arange(H * W)[None], persistent=False)
        # a masked convolution of width k along the row sees the r pixels before its own, and its own by mask B
        self.enter = MaskedLinear(2 * hidden, hidden, C, tuples=4, free=self.r * 2 * hidden)
        self.hear_1KG = nn.Parameter((kernel * hidden) ** -0.5 * (2 * torch.rand(1, kernel * hidden, 4 * hidden) - 1))
        self.up = MaskedLinear(hidden, 2 * hidden, C)
        with torch.no_grad():
            self.enter.bias[hidden : 2 * hidden] += 1  # cells keep what they have at first

    def forward(self, f_NBF: Tensor, x_NBC: Tensor, more: Sequence[Tensor] = ()) -> Tensor:
        W = self.shape[2]
        f_HWBF = f_NBF.unflatten(0, (-1, W))
        with_before = torch.cat([F.pad(f_HWBF, (0, 0, 0, 0, o, 0))[:, :W] for o in range(self.r + 1)], 3).flatten(0, 1)
        gates_NBG = self.enter(with_before) if not more else self.enter(with_before) + more[0]
        (h_NBh,) = scan([gates_NBG], self.hear_1KG, self.lines, self.places_1N)
        return f_NBF + self.up(h_NBh)

    def widen(self, visible_HWN: Tensor) -> Tensor:
        """Which pixels each place depends on after this layer, given which it depends on before, bool (H, W, N)."""
        H, W = visible_HWN.shape[:2]
        after_HWN = torch.stack([F.pad(visible_HWN, (0, 0, o, 0))[:, :W] for o in range(self.r + 1)]).any(0)
        for i in range(1, H):
            above_WN = F.pad(after_HWN[i - 1], (0, 0, self.r, self.r))
            after_HWN[i] |= above_WN.unfold(0, self.kernel, 1).any(-1)
        return after_HWN

    def stepper(self, x_HWBC: Tensor, more: Sequence[Tensor] = ()) -> LayerStep:
        _, W, B, _ = x_HWBC.shape
        h, r = self.hidden, self.r
        f_BWF = x_HWBC.new_zeros(B, r + W, 2 * h)  # of the row, after r zeros
        state_BWh = x_HWBC.new_zeros(B, r + W + r, h)  # of the row, between zeros
        c_BWh, above_BWh, heard_BWG = (x_HWBC.new_zeros(B, W, n) for n in (h, h, 4 * h))  # above: cells
        weight_GI = self.enter.weight * self.enter.mask
        row = 0

        def finish() -> None:
            """What the next row takes from the row that is now complete."""
            torch.matmul(state_BWh.unfold(1, self.kernel, 1).mT.flatten(2), self.hear_1KG[0], out=heard_BWG)
            above_BWh.copy_(c_BWh)

        def step(i: int, j: int, f_BF: Tensor) -> Tensor:
            nonlocal row
            if i > row:
                finish()
                row = i
            f_BWF[:, r + j] = f_BF
            inputs_BI = f_BWF[:, j : j + r + 1].flip(1).flatten(1)  # the pixel's first, then those before it
            gates_BG = heard_BWG[:, j] + F.linear(inputs_BI, weight_GI, self.enter.bias)
            if more:
                gates_BG += more[0][i * W + j]
            state_BWh[:, r + j], c_BWh[:, j] = lstm_cell(gates_BG, above_BWh[:, j])
            return f_BF + self.up(state_BWh[:, r + j])

        return step
