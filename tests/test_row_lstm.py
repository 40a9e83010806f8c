"""Row LSTM: what the contract cannot know. A layer pixel by pixel, the triangle that is seen, and errors."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.layers.conv_lstm import lstm_cell
from pofx.models.autoregressive.row_lstm import RowLayer, RowLSTM
from tests.test_diagonal_bilstm import gradients, numbers


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_layer_is_its_equations_row_by_row(kernel: int) -> None:
    """Input-to-state and state-to-state as torch's convolutions along a row."""
    B, C, H, W, h, r = 2, 1, 4, 5, 3, kernel // 2
    layer, f = RowLayer((C, H, W), h, kernel).double(), numbers(H * W, B, 2 * h)
    enter = torch.zeros(4 * h, 2 * h, kernel, dtype=f.dtype)  # mask B: nothing right of the pixel
    weight = layer.enter.weight.detach().view(4 * h, r + 1, 2 * h)
    for o in range(r + 1):
        enter[:, :, r - o] = weight[:, o]
    hear = layer.hear_1KG.detach()[0].view(kernel, h, 4 * h).permute(2, 1, 0)
    state, c, rows = torch.zeros(B, h, W, dtype=f.dtype), torch.zeros(B, W, h, dtype=f.dtype), []
    for i in range(H):
        row = f[i * W : (i + 1) * W].permute(1, 2, 0)
        gates = F.conv1d(row, enter, layer.enter.bias, padding=r) + F.conv1d(state, hear, padding=r)
        new, c = lstm_cell(gates.mT, c)
        state = new.mT
        rows.append(new.transpose(0, 1))
    torch.testing.assert_close(layer(f, f[..., :C]), f + layer.up(torch.cat(rows)))


@pytest.mark.parametrize(("shape", "layers", "kernel"), [((1, 9, 15), 1, 3), ((1, 5, 12), 2, 5), ((1, 5, 12), 2, 1), ((3, 3, 6), 1, 3)])
def test_the_receptive_field_is_what_gradients_see(shape: tuple[int, ...], layers: int, kernel: int) -> None:
    model = RowLSTM(Image(*shape, levels=3), layers=layers, hidden=3, kernel=kernel).double()
    assert torch.equal(gradients(model, shape), model.dependency_matrix())


def test_the_triangle() -> None:
    """From the middle of the last row: three pixels to either side by the first convolution, and one more with each row."""
    model = RowLSTM(Binary(1, 9, 17), hidden=2)
    seen = model.dependency_matrix()[8 * 17 + 8].view(9, 17)
    assert ["".join(".#"[pixel] for pixel in row) for row in seen.tolist()] == [
        "#################",
        "#################",
        "#################",
        "################.",
        "###############..",
        ".#############...",
        "..###########....",
        "...#########.....",
        "....####.........",
    ]


def test_an_even_kernel_is_named() -> None:
    with pytest.raises(UserError, match="kernel must be odd, such as 5, not 4"):
        RowLSTM(Binary(1, 8, 8), kernel=4)
