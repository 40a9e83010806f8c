"""Gated PixelCNN: what the contract cannot know. No blind spot, and classes that matter."""

from __future__ import annotations

import math

import pytest
import torch

from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image
from pofx.models.autoregressive.gated_pixelcnn import GatedPixelCNN, Layer


def gradients(model: GatedPixelCNN, x: torch.Tensor) -> torch.Tensor:
    """The gradient of the parameters of number i, weighed at random, by number j, (D, D)."""
    weight = torch.randn(model.likelihood.per_element, x.numel(), generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    return torch.autograd.functional.jacobian(lambda x: (model.params(x).flatten(2) * weight).sum((0, 1)), x).reshape(x.numel(), -1)


@pytest.mark.parametrize(("shape", "layers"), [((1, 6, 6), 4), ((3, 3, 3), 2)])
def test_every_earlier_number_is_seen(shape: tuple[int, ...], layers: int) -> None:
    torch.manual_seed(0)
    model = GatedPixelCNN(Image(*shape, levels=3), layers=layers, hidden=24).double()
    seen = gradients(model, torch.rand(1, *shape, dtype=torch.float64)) != 0
    rank = model.order.argsort()
    assert torch.equal(seen, rank[:, None] > rank)
    assert torch.equal(seen, model.dependency_matrix())


def test_the_receptive_field_is_a_rectangle_that_grows_with_the_layers() -> None:
    torch.manual_seed(0)
    model = GatedPixelCNN(Image(1, 8, 13, levels=2), layers=2, hidden=24).double()
    seen = gradients(model, torch.rand(1, 1, 8, 13, dtype=torch.float64)) != 0
    assert torch.equal(seen, model.dependency_matrix())
    rows = ["".join(".#"[pixel] for pixel in row) for row in seen[7 * 13 + 6].view(8, 13).tolist()]
    assert rows == [".............", ".............", ".............", *["..#########.."] * 4, "..####......."]


def test_without_a_class_the_density_is_the_mixture() -> None:
    model = GatedPixelCNN(Binary(1, 3, 3), Category(4), layers=2, hidden=4).double()
    x = torch.bernoulli(torch.full((5, 1, 3, 3), 0.5, dtype=torch.float64))
    each = torch.stack([model.log_prob(x, given=torch.full((5,), y)) for y in range(4)])
    assert (each.max(0).values - each.min(0).values).min() > 1e-3
    torch.testing.assert_close(model.log_prob(x), each.logsumexp(0) - math.log(4))


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match=r"needs pictures \(channels, height, width\), not x of shape \(784,\)"):
        GatedPixelCNN(Binary(784))
    with pytest.raises(UserError, match="given must be 2 whole numbers from 0 to 3"):
        GatedPixelCNN(Binary(1, 3, 3), Category(4)).sample(2, given=torch.tensor([0, 4]))
    with pytest.raises(UserError, match="trained without labels"):
        GatedPixelCNN(Binary(1, 3, 3)).sample(2, given=torch.tensor([0, 1]))


@pytest.mark.parametrize("first", [True, False])
def test_a_layer_is_its_equations(first: bool) -> None:
    """Pixel by pixel, tap by tap, for one channel: v sees its row and those above, h the pixels to its left and its own; the first layer
    does not see its own row and pixel."""
    torch.manual_seed(0)
    F, H, W, r = 3, 4, 5, 3 if first else 1
    inputs = 1 if first else F
    layer = Layer(inputs, F, 1, 2, first=first).double()
    v, h = torch.randn(2, 2, inputs, H, W, dtype=torch.float64)
    given = torch.tensor([1, 0])
    found_v, found_h = layer(v, h, given)
    bias_v, bias_h = layer.label(given).chunk(2, 1)
    for i in range(H):
        for j in range(W):
            v_k = layer.above.bias + bias_v
            for up in range(1 if first else 0, r + 1):
                for right in range(-r, r + 1):
                    if up <= i and 0 <= j + right < W:
                        tap = layer.above.weight[:, :, r - up, right + r]
                        v_k = v_k + v[:, :, i - up, j + right] @ tap.T
            h_k = layer.past.bias + bias_h + v_k @ layer.link.weight[:, :, 0, 0].T + layer.link.bias
            for left in range(1 if first else 0, r + 1):
                if j >= left:
                    h_k = h_k + h[:, :, i, j - left] @ layer.past.weight[:, :, 0, r - left].T
            new_v, new_h = (k[:, :F].tanh() * k[:, F:].sigmoid() for k in (v_k, h_k))
            new_h = new_h @ layer.out.weight[:, :, 0, 0].T + layer.out.bias
            torch.testing.assert_close(found_v[:, :, i, j], new_v)
            torch.testing.assert_close(found_h[:, :, i, j], new_h if first else h[:, :, i, j] + new_h)
