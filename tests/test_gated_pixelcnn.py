"""Gated PixelCNN: what the contract cannot know. No blind spot, and classes that matter."""

from __future__ import annotations

import math

import pytest
import torch

from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image
from pofx.models.autoregressive.gated_pixelcnn import GatedPixelCNN


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
    assert torch.equal(seen, model.depends())


def test_the_receptive_field_is_a_rectangle_that_grows_with_the_layers() -> None:
    torch.manual_seed(0)
    model = GatedPixelCNN(Image(1, 8, 13, levels=2), layers=2, hidden=24).double()
    seen = gradients(model, torch.rand(1, 1, 8, 13, dtype=torch.float64)) != 0
    assert torch.equal(seen, model.depends())
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
