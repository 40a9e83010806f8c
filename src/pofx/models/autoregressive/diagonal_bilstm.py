"""PixelRNN with diagonal bidirectional LSTMs.

Shapes: B examples, C channels, H height, W width, N = H W pixels in raster order, h units of a state, F = 2h features between layers,
G = 4h sums of gates. Where 2 leads, it counts the directions: from the left, from the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from pofx.bases.pixel_rnn import Layer, LayerStep, MaskedLinear, Network, PixelRNN
from pofx.distributions.likelihoods import PixelName
from pofx.kinds import Binary, Image
from pofx.layers.conv_lstm import Lines, lstm_cell, scan
from pofx.options import Size


class DiagonalBiLSTM(PixelRNN):
    """PixelRNN with diagonal bidirectional LSTMs: a pixel's distribution depends on all pixels before it.

    One state depends on those of the left and the upper neighbour, another one those of the right and the upper neighbour. Both go through
    the picture diagonal by diagonal, whose pixels are computed at once; the one from the right is then shifted down by a row, where all
    that it has seen is past.

    References:
        Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner & Kavukcuoglu, 2016), arXiv 1601.06759

    Args:
        x: pictures, or bits in the shape of a picture
        layers: of LSTMs
        hidden: units of a state, h; there are 2h features between layers
        likelihood: of each number given those before it; None: bernoulli for bits, categorical for pictures
        components: of a logistic_mixture

    Example:
        >>> model = DiagonalBiLSTM(Binary(1, 2, 3), hidden=4)
        >>> every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 6).view(-1, 1, 2, 3)
        >>> round(model.log_prob(every).exp().sum().item(), 4)
        1.0
    """

    paper: ClassVar = ("van den Oord et al.", 2016, "1601.06759")
    small: ClassVar = {"layers": 2, "hidden": 4}

    def __init__(
        self, x: Image | Binary, *, layers: Size = 1, hidden: Size = 32, likelihood: PixelName | None = None, components: Size = 5
    ):
        super().__init__(x, hidden, likelihood, components)
        self.network = Network(x.shape, [DiagonalLayer(x.shape, hidden) for _ in range(layers)], hidden, self.likelihood.per_element)


class DiagonalLayer(Layer):
    """f + up(h from the left + h from the right, shifted down), all of them maps."""

    places_2N: Tensor

    def __init__(self, shape: tuple[int, ...], hidden: int):
        super().__init__()
        C, H, W = self.shape = shape
        self.hidden = hidden
        diagonals = tuple((max(0, t - W + 1), min(H - 1, t) + 1) for t in range(H + W - 1))
        # on the diagonal before, the left neighbour has the same row, the upper one the row before
        self.lines = Lines(diagonals, taps=(0, -1))
        row_N = torch.cat([torch.arange(*span) for span in diagonals])
        column_N = torch.cat([torch.arange(t, t - H, -1)[slice(*span)] for t, span in enumerate(diagonals)])
        self.register_buffer("places_2N", torch.stack([row_N * W + column_N, row_N * W + W - 1 - column_N]), persistent=False)
        self.enter_left = MaskedLinear(2 * hidden, hidden, C, tuples=4)
        # Mask A hides a pixel from its own features, and so the last pixel of a row from all features of the row. To the states from the
        # right the pixels themselves come in too, which are past by the time that these states are used.
        self.enter_right = MaskedLinear(2 * hidden, hidden, C, tuples=4, free=C)
        self.hear_2KG = nn.Parameter((2 * hidden) ** -0.5 * (2 * torch.rand(2, 2 * hidden, 4 * hidden) - 1))
        self.up = MaskedLinear(hidden, 2 * hidden, C)
        with torch.no_grad():
            for enter in (self.enter_left, self.enter_right):
                enter.bias[hidden : 2 * hidden] += 1  # cells keep what they have at first

    def forward(self, f_NBF: Tensor, x_NBC: Tensor, more: Sequence[Tensor] = ()) -> Tensor:
        gates = [self.enter_left(f_NBF), self.enter_right(torch.cat([f_NBF, x_NBC], 2))]
        if more:
            gates = [g + m for g, m in zip(gates, more, strict=True)]
        left_NBh, right_NBh = scan(gates, self.hear_2KG, self.lines, self.places_2N)
        W = self.shape[2]
        return f_NBF + self.up(torch.cat([left_NBh[:W], left_NBh[W:] + right_NBh[:-W]]))

    def stepper(self, x_HWBC: Tensor, more: Sequence[Tensor] = ()) -> LayerStep:
        _, W, B, _ = x_HWBC.shape
        h = self.hidden
        side_left_hG, above_left_hG, side_right_hG, above_right_hG = self.hear_2KG.view(4, h, -1)
        f_WBF, left_WBh, c_WBh = x_HWBC.new_zeros(W, B, 2 * h), x_HWBC.new_zeros(W, B, h), x_HWBC.new_zeros(W, B, h)
        right_WBh = torch.zeros_like(left_WBh)  # of the row above
        heard_WBG = x_HWBC.new_zeros(W, B, 4 * h)  # by the left state, of the row above
        row = 0

        def finish() -> None:
            """Go back through the row that is now complete, from its right end."""
            gates_WBG = self.enter_right(torch.cat([f_WBF, x_HWBC[row]], 2)) + right_WBh @ above_right_hG
            if more:
                gates_WBG += more[1][row * W : (row + 1) * W]
            state, c = lstm_cell(gates_WBG[-1], 0)
            right_WBh[-1] = state
            for j in range(W - 2, -1, -1):
                state, c = lstm_cell(torch.addmm(gates_WBG[j], state, side_right_hG), c)
                right_WBh[j] = state
            torch.matmul(left_WBh, above_left_hG, out=heard_WBG)

        def step(i: int, j: int, f_BF: Tensor) -> Tensor:
            nonlocal row
            if i > row:
                finish()
                row = i
            gates_BG = heard_WBG[j] + self.enter_left(f_BF)
            if more:
                gates_BG += more[0][i * W + j]
            if j:
                gates_BG.addmm_(left_WBh[j - 1], side_left_hG)
            left_WBh[j], c_WBh[j] = lstm_cell(gates_BG, c_WBh[j - 1] if j else 0)
            f_WBF[j] = f_BF
            return f_BF + self.up(left_WBh[j] + right_WBh[j] if i else left_WBh[j])

        return step
