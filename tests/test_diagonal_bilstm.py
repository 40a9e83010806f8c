"""Diagonal BiLSTM, and the scan below it: what the contract cannot know. LSTMs cell by cell, gradients, the whole past, and errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.layers.conv_lstm import Lines, lstm_cell, scan
from pofx.models.autoregressive.diagonal_bilstm import DiagonalBiLSTM, DiagonalLayer


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def gradients(model: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Whether number j moves a parameter of number i, bool (D, D), weights and x being positive, so that no ReLU is shut and nothing
    cancels."""
    with torch.no_grad():
        for p in model.parameters():
            p.abs_().mul_(0.3)
    x = 0.5 + torch.rand(1, *shape, dtype=torch.float64) / 2
    jacobian = torch.autograd.functional.jacobian(lambda x: model.params(x).flatten(2).sum((0, 1)), x, vectorize=False)
    return jacobian.view(x.numel(), x.numel()) != 0


def test_a_step_is_torchs() -> None:
    """With sums that come from an identity, in torch's order of the gates: input, forget, content, output."""
    torch_cell, gates, c = nn.LSTMCell(4 * 3, 3, bias=False).double(), numbers(5, 4 * 3), numbers(5, 3)
    with torch.no_grad():
        torch_cell.weight_ih.copy_(torch.eye(12).view(4, 3, 12)[[0, 1, 3, 2]].flatten(0, 1))
        torch_cell.weight_hh.zero_()
    torch.testing.assert_close(lstm_cell(gates, c), torch_cell(gates, (numbers(5, 3), c)))


def test_a_layer_is_its_equations_pixel_by_pixel() -> None:
    B, C, H, W, h = 2, 3, 4, 5, 6
    layer = DiagonalLayer((C, H, W), h).double()
    f, x = numbers(H * W, B, 2 * h), numbers(H * W, B, C)

    def states(gates: Tensor, hear: Tensor, columns: range) -> Tensor:
        h_at, c_at = torch.zeros(H, W, B, h, dtype=f.dtype), torch.zeros(H, W, B, h, dtype=f.dtype)
        for i in range(H):
            before = None
            for j in columns:
                side = h_at[i, before] if before is not None else torch.zeros_like(h_at[i, j])
                above = h_at[i - 1, j] if i else torch.zeros_like(side)
                c = c_at[i, before] if before is not None else 0
                h_at[i, j], c_at[i, j] = lstm_cell(gates[i * W + j] + torch.cat([side, above], 1) @ hear, c)
                before = j
        return h_at

    with torch.no_grad():
        left = states(layer.enter_left(f), layer.hear_2KG[0], range(W))
        right = states(layer.enter_right(torch.cat([f, x], 2)), layer.hear_2KG[1], range(W - 1, -1, -1))
        both = left.clone()
        both[1:] += right[:-1]
        torch.testing.assert_close(layer(f, x), f + layer.up(both.flatten(0, 1)))


@pytest.mark.parametrize(
    ("spans", "taps", "scans"),
    [(((0, 1), (0, 2), (0, 3), (1, 3)), (0, -1), 2), (((0, 4),) * 3, (-1, 0, 1), 1), (((0, 2), (1, 4), (3, 6)), (1, -1), 1)],
)
def test_the_gradients_of_a_scan(spans: tuple, taps: tuple, scans: int) -> None:
    lines, C = Lines(spans, taps), 2
    N = sum(end - first for first, end in spans)
    places = torch.stack([torch.randperm(N, generator=torch.Generator().manual_seed(s)) for s in range(scans)])
    W = numbers(scans, len(taps) * C, 4 * C).requires_grad_()
    gates = [numbers(N, 2, 4 * C).requires_grad_() for _ in range(scans)]
    assert torch.autograd.gradcheck(lambda W, *gates: scan(gates, W, lines, places), (W, *gates))


def test_under_autocast_a_scan_keeps_all_digits() -> None:
    lines, places, W = Lines(((0, 3),) * 4, (0, -1)), torch.arange(12)[None], numbers(1, 8, 16).float().requires_grad_()
    gates = numbers(12, 2, 16).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        (h,) = scan([gates], W, lines, places)
        h.sum().backward()
    (expected,) = scan([gates.double()], W.double(), lines, places)
    torch.testing.assert_close(h, expected.float())
    torch.testing.assert_close(W.grad, torch.autograd.grad(expected.sum(), W)[0])


@pytest.mark.parametrize("shape", [(1, 5, 9), (3, 3, 4)])
def test_all_earlier_numbers_are_seen(shape: tuple[int, ...]) -> None:
    model = DiagonalBiLSTM(Image(*shape, levels=3), hidden=4).double()
    rank = model.order.argsort()
    assert torch.equal(gradients(model, shape), rank[:, None] > rank)
    assert torch.equal(model.dependency_matrix(), rank[:, None] > rank)


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"needs pictures \(channels, height, width\), not x of shape \(784,\)"):
        DiagonalBiLSTM(Binary(784))
    with pytest.raises(UserError, match="hidden must be 3 or more"):
        DiagonalBiLSTM(Image(3, 4, 4), hidden=2)
    with pytest.raises(UserError, match="likelihood bernoulli is for bits"):
        DiagonalBiLSTM(Image(1, 8, 8), likelihood="bernoulli")
