"""Multi-scale PixelRNN: what the contract cannot know. The small picture's own density, what is seen of it, and errors."""

from __future__ import annotations

import pytest
import torch

from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.models.autoregressive.multiscale_pixelrnn import MultiScale
from pofx.testing.cases import every
from tests.test_diagonal_bilstm import gradients


def test_the_first_network_is_the_density_of_the_small_picture() -> None:
    """Summed over all other pixels, the density of the whole is p(small)."""
    model, x = MultiScale(Binary(1, 3, 3), hidden=4).double(), every(Binary(1, 3, 3))
    small = x[:, :, ::2, ::2]
    number = (small.flatten(1).long() << torch.arange(4)).sum(1)
    with torch.no_grad():
        total = torch.zeros(16, dtype=x.dtype).index_add(0, number, model.log_prob(x).exp())
        own = model.likelihood.log_prob(model.first(every(Binary(1, 2, 2))), every(Binary(1, 2, 2)))
    torch.testing.assert_close(total, own.exp())


@pytest.mark.parametrize(("shape", "factor"), [((1, 7, 8), 2), ((1, 7, 8), 3), ((3, 3, 4), 2), ((1, 5, 1), 4), ((1, 2, 3), 9)])
def test_the_receptive_field_is_what_gradients_see(shape: tuple[int, ...], factor: int) -> None:
    model = MultiScale(Image(*shape, levels=3), factor=factor, hidden=4).double()
    assert torch.equal(gradients(model, shape), model.dependency_matrix())


def test_the_order_is_small_first() -> None:
    model = MultiScale(Image(3, 2, 3, levels=2), factor=2)
    assert model.order.tolist() == [0, 6, 12, 2, 8, 14, *[1, 7, 13], *[3, 9, 15], *[4, 10, 16], *[5, 11, 17]]


def test_a_single_pixel_is_refused() -> None:
    with pytest.raises(UserError, match="more than one pixel"):
        MultiScale(Binary(1, 1, 1))
    with pytest.raises(UserError, match="factor must be 2 or more"):
        MultiScale(Binary(1, 8, 8), factor=1)
