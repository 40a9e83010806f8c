"""PixelCNN: what the contract cannot know. Masks, the receptive field with its blind spot, and errors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pofx.distributions.likelihoods import Categorical
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.layers.masked import MaskedConv2d, Place, Window, groups
from pofx.models.autoregressive.pixelcnn import PixelCNN


def sensitivity(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Whether the gradient of any parameter of number i by number j is not zero, bool (D, D), all weights being made positive, so that no
    ReLU is shut and nothing cancels."""
    with torch.no_grad():
        for p in model.parameters():
            p.abs_()
    D = x.numel()
    jacobian = torch.autograd.functional.jacobian(lambda x: model.params(x).flatten(2).sum((0, 1)), x.double())
    return jacobian.view(D, D) != 0


@pytest.mark.parametrize("shape", [(1, 12, 9), (3, 4, 4)])
@pytest.mark.parametrize("blocks", [1, 3])
def test_the_receptive_field_is_what_gradients_see(shape: tuple[int, ...], blocks: int) -> None:
    model = PixelCNN(Image(*shape, levels=3), blocks=blocks, hidden=3, activation="relu").double()
    assert torch.equal(sensitivity(model, 0.5 + torch.rand(1, *shape) / 2), model.dependency_matrix())


def test_the_blind_spot() -> None:
    """From the middle of the last row: a wedge of earlier pixels to the right is not seen, though as near as those to the left."""
    model = PixelCNN(Binary(1, 8, 15), blocks=7, hidden=2)
    seen = model.dependency_matrix()[7 * 15 + 7].view(8, 15)
    rows = ["".join(".#"[pixel] for pixel in row) for row in seen.tolist()]
    assert rows == [
        "###############",
        "###############",
        "###############",
        "##############.",
        "#############..",
        "############...",
        "###########....",
        "#######........",
    ]


def test_a_masked_convolution_is_a_convolution_with_zeros_in_its_kernel() -> None:
    conv = MaskedConv2d(4, 6, 5, "B", channels=3).double()
    h = torch.rand(2, 4, 7, 6, dtype=torch.float64)
    kernel = torch.zeros(6, 4, 5, 5, dtype=torch.float64)
    kernel[:, :, :3] = conv.weight.detach()
    kernel[:, :, 2, 3:] = 0
    for g, own in enumerate(groups(6, 3)):
        for f, other in enumerate(groups(4, 3)):
            if other > own:
                kernel[g, f, 2, 2] = 0
    torch.testing.assert_close(conv(h), F.conv2d(h, kernel, conv.bias, padding=2))


@pytest.mark.parametrize(("kernel", "mask", "rows"), [(7, "A", None), (3, "B", None), (1, "B", None), (7, "A", 1), (3, "B", 1)])
def test_a_window_gives_the_convolution_number_by_number(kernel: int, mask: str, rows: int | None) -> None:
    conv, (C, H, W) = MaskedConv2d(7, 10, kernel, mask, 3, rows=rows, parts=2).double(), (3, 5, 4)
    h = torch.rand(2, 7, H, W, dtype=torch.float64)
    window, whole = Window(conv, torch.zeros(2, C, H, W, dtype=torch.float64)), conv(h)
    for d in range(C * H * W):
        at = Place.of(d, W, C)
        if mask == "B":
            window.slot(at).copy_(h[:, groups(7, C) == at.channel, at.row, at.column])
        torch.testing.assert_close(window(at), whole[:, groups(5, C).repeat(2) == at.channel, at.row, at.column])
        if mask == "A":
            window.slot(at).copy_(h[:, groups(7, C) == at.channel, at.row, at.column])


def test_fewer_features_than_channels() -> None:
    model = PixelCNN(Image(3, 2, 3, levels=2), blocks=1, hidden=1, activation="relu")
    x = model.sample(4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(x, model.sample(4, generator=torch.Generator().manual_seed(0), sampler="naive"))


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"needs pictures \(channels, height, width\), not x of shape \(784,\)"):
        PixelCNN(Binary(784))
    with pytest.raises(UserError, match="likelihood bernoulli is for bits"):
        PixelCNN(Image(1, 8, 8), likelihood="bernoulli")
    with pytest.raises(UserError, match=r"made for x of shape \(1, 8, 8\), not \(1, 9, 8\)"):
        PixelCNN(Image(1, 8, 8)).log_prob(torch.zeros(2, 1, 9, 8))


def test_the_softmax_over_levels_is_the_same_in_either_layout() -> None:
    params, x = torch.randn(4, 7, 3, 5, 6, dtype=torch.float64), torch.randint(7, (4, 3, 5, 6)) / 6
    levels_last = params.movedim(1, -1).contiguous().movedim(-1, 1)
    assert (levels_last.stride(1), params.stride(1)) == (1, 90)
    torch.testing.assert_close(Categorical(7).each(levels_last, x), Categorical(7).each(params, x))


def test_the_network_is_its_equations() -> None:
    """One channel, by torch's own convolutions with zeros where a mask is, in the order of the paper's figure."""
    torch.manual_seed(0)
    model = PixelCNN(Binary(1, 6, 7), blocks=2, hidden=3, activation="relu").double()
    x = torch.bernoulli(torch.full((2, 1, 6, 7), 0.5, dtype=torch.float64))

    def convolve(conv: MaskedConv2d, h: torch.Tensor, own: bool) -> torch.Tensor:
        *_, rows, k = conv.weight.shape
        kernel = torch.zeros(*conv.weight.shape[:2], k, k, dtype=torch.float64)
        kernel[:, :, :rows] = conv.weight
        kernel[:, :, k // 2, k // 2 + (1 if own else 0) :] = 0
        return F.conv2d(h, kernel, conv.bias, padding=k // 2)

    h = convolve(model.first, 2 * x - 1, own=False)
    for block in model.blocks:
        inner = convolve(block.down, h.relu(), own=True)
        inner = convolve(block.conv, inner.relu(), own=True)
        h = h + convolve(block.up, inner.relu(), own=True)
    for conv in (model.head[1], model.head[3]):
        h = convolve(conv, h.relu(), own=True)
    torch.testing.assert_close(model.params(x)[:, 0], h)
