"""Encoder and decoder bodies: shapes at odd sizes, and layers equal to torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Series, Vector
from pofx.layers.bodies import ACTIVATIONS, Doubling, Residual, Tanh, decoder, encoder

PICTURES = [Image(1, 8, 8), Image(1, 28, 28), Image(3, 32, 32), Image(3, 7, 11), Image(2, 1, 5), Binary(1, 28, 28)]


@pytest.mark.parametrize(
    ("x", "body", "hidden"),
    [(x, "conv", (4, 6, 8)) for x in PICTURES]
    + [(x, "mlp", (6,)) for x in (*PICTURES[:1], Vector(5), Binary(4), Series(6, 2))]
    + [(Vector(5), "mlp", ()), (Series(6, 2), "recurrent", (5, 4)), (Image(3, 64, 64), "conv", (4, 4, 4, 4, 4, 4, 4, 8))],
)
def test_to_the_code_and_back(x, body, hidden):
    into = encoder(x, body, 3, hidden=hidden)
    out = decoder(x, body, 3, per_element=2, hidden=hidden)
    z = into(torch.rand(2, *x.shape))
    params = out(z)
    assert z.shape == (2, 3)
    assert params.shape == (2, 2, *x.shape)
    params.square().sum().backward()
    still = [name for net in (into, out) for name, p in net.named_parameters() if p.grad is None]
    assert not still


@pytest.mark.parametrize(("x", "body"), [(Image(1, 8, 8), "conv"), (Vector(4), "mlp"), (Series(5, 2), "recurrent")])
def test_rows_do_not_meet(x, body):
    both = nn.Sequential(encoder(x, body, 3), decoder(x, body, 3)).double()
    data = torch.rand(4, *x.shape, dtype=torch.float64)
    torch.testing.assert_close(both(data)[1:2], both(data[1:2]), rtol=1e-12, atol=1e-12)


def test_doubling_is_a_transposed_convolution():
    """6 x 6, of stride 2: the corner (a, b) of the square at (i, j) sees the input at (i + di, j + dj) by the weight at a + 2 - 2 di."""
    doubling = Doubling(3, 2, 9, 14).double()
    h = torch.randn(2, 3, 5, 7, dtype=torch.float64)
    weight = torch.zeros(3, 2, 6, 6, dtype=torch.float64)
    for o in range(2):
        for a in range(2):
            for b in range(2):
                for di in (-1, 0, 1):
                    for dj in (-1, 0, 1):
                        weight[:, o, a + 2 - 2 * di, b + 2 - 2 * dj] = doubling.corners.weight[
                            4 * o + 2 * a + b, :, di + 1, dj + 1
                        ].detach()
    whole = F.conv_transpose2d(h, weight, stride=2, padding=2) + F.pixel_shuffle(doubling.corners.bias[None, :, None, None], 2).repeat(
        1, 1, 5, 7
    )
    torch.testing.assert_close(doubling(h), whole[:, :, :9, :14])


def test_a_residual_block_begins_as_the_identity():
    h = torch.randn(2, 4, 5, 5)
    assert torch.equal(Residual(4, nn.SiLU)(h), h)


def test_the_tangent_without_gradients_is_the_tangent():
    h = torch.linspace(-30, 30, 1001, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(Tanh()(h), torch.tanh(h), rtol=0, atol=1e-15)
        torch.testing.assert_close(Tanh()(h.float()), torch.tanh(h.float()), rtol=0, atol=2e-7)
    assert torch.equal(h, torch.linspace(-30, 30, 1001, dtype=torch.float64))  # its input is left alone


def test_a_recurrent_body_is_torch_s_gru():
    into = encoder(Series(6, 2), "recurrent", 3, hidden=(5,))
    x = torch.randn(4, 6, 2)
    _, last = into[0].layers[0](x)
    torch.testing.assert_close(into(x), into[2](last[0]))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_used(name):
    torch.manual_seed(0)
    net = encoder(Vector(3), "mlp", 2, hidden=(4,), activation=name)
    x = torch.randn(5, 3)
    want = getattr(F if name != "tanh" else torch, name)
    torch.testing.assert_close(net(x), net[3](want(net[1](x))))


@pytest.mark.parametrize(
    ("x", "body", "hidden", "words"),
    [(Vector(5), "conv", None, "mlp"), (Image(1, 8, 8), "conv", (5,), "32 64 256"), (Image(1, 8, 8), "recurrent", None, "Series")],
)
def test_what_does_not_fit_says_what_to_use(x, body, hidden, words):
    for network in (encoder, decoder):
        with pytest.raises(UserError, match=words):
            network(x, body, 3, hidden=hidden)
