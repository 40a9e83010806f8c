"""The autoencoder's losses are torch's, and a linear one is PCA."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Series, Vector
from pofx.models.autoencoders.autoencoder import AutoEncoder
from pofx.models.autoencoders.pca import PCA
from pofx.randomness import Noise

NOISE = Noise((0, 0, "autoencoder"), slice(0, 6), 6)
KINDS: list[Any] = [Image(1, 8, 8), Image(3, 5, 7), Binary(11), Vector(9), Series(6, 2)]


def mse(model, x):
    return model.loss({"x": x}, NOISE)["mse"]


@pytest.mark.parametrize("kind", KINDS)
def test_mse_is_torchs(kind):
    model, x = AutoEncoder(kind, latent=2, hidden=(6,), reconstruction="mse").double(), torch.rand(6, *kind.shape, dtype=torch.float64)
    loss = mse(model, x)
    restored = model.decode(model.encode(x))
    assert_close(loss, torch.stack([F.mse_loss(a, b) for a, b in zip(restored, x, strict=True)]))
    assert restored.shape == x.shape


@pytest.mark.parametrize("kind", KINDS[:3])
def test_bernoulli_is_torchs_cross_entropy_of_the_decoded(kind):
    model, x = (
        AutoEncoder(kind, latent=2, hidden=(6,), reconstruction="bernoulli").double(),
        torch.rand(6, *kind.shape, dtype=torch.float64),
    )
    restored = model.decode(model.encode(x))
    expected = F.binary_cross_entropy(restored, x, reduction="none").flatten(1).sum(1)
    assert_close(model.loss({"x": x}, NOISE)["bernoulli"], expected)


def test_default_loss_is_that_of_the_kind():
    for kind in KINDS:
        x = torch.rand(6, *kind.shape).round()
        assert list(AutoEncoder(kind, hidden=(3,)).loss({"x": x}, NOISE)) == ["bernoulli" if isinstance(kind, (Binary, Image)) else "mse"]


def test_pictures_and_bits_are_decoded_within_their_range():
    """Far codes: the ends of the range are reached and never passed. Vectors have no range to keep to."""
    z = 1e4 * torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    for kind in KINDS:
        decoded = AutoEncoder(kind, latent=2, hidden=(6,), activation="relu").decode(z)
        inside = bool(((decoded >= 0) & (decoded <= 1)).all())
        assert inside == isinstance(kind, (Image, Binary)), kind


def test_a_linear_autoencoder_is_pca():
    """Baldi & Hornik (1989): its only minimum spans the leading components, so gradient descent must end at PCA's error, from anywhere."""
    spread = torch.tensor([2.0, 1.5, 1.0] + [0.3] * 5, dtype=torch.float64)  # three components stand out
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * spread
    pca = PCA(Vector(8), latent=3).double()
    pca.solve(pca.statistics({"x": x}))
    least = F.mse_loss(pca.decode(pca.encode(x)), x)

    torch.manual_seed(0)
    model = AutoEncoder(Vector(8), latent=3)
    model.encoder = nn.Sequential(nn.Linear(8, 3))
    model.decoder = nn.Sequential(nn.Linear(3, 8), nn.Unflatten(1, (1, 8)))
    model.double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=100, history_size=20, tolerance_change=0, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = mse(model, x).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    reached = closure()
    assert least <= reached <= least * (1 + 1e-5)
    spanned = torch.linalg.qr(model.decoder[0].weight)[0]  # and its columns span the same subspace
    assert_close(spanned @ spanned.T, pca.components.T @ pca.components, rtol=0, atol=1e-3)


def test_recurrent_body_reads_the_sequence_in_order():
    kind = Series(7, 2)
    model = AutoEncoder(kind, latent=3, body="recurrent", hidden=(8,)).double()
    x = torch.randn(6, 7, 2, dtype=torch.float64)
    z = model.encode(x)
    assert z.shape == (6, 3)
    assert model.decode(z).shape == x.shape
    assert not torch.allclose(model.encode(x.flip(1)), z)
    for step in range(7):  # no step is left out
        moved = x.clone()
        moved[:, step] += 1
        assert (model.encode(moved) - z).abs().amax() > 1e-6
    assert mse(model, x).shape == (6,)


def test_what_the_user_must_mend():
    with pytest.raises(UserError, match="bernoulli needs x in"):
        AutoEncoder(Vector(3), reconstruction="bernoulli")
    with pytest.raises(UserError, match="use body mlp"):
        AutoEncoder(Vector(3), body="conv")
    with pytest.raises(UserError, match="body recurrent needs a Series"):
        AutoEncoder(Image(1, 4, 4), body="recurrent")
    with pytest.raises(AttributeError, match="no distribution over its codes"):
        AutoEncoder(Vector(3), hidden=(3,)).sample(2)
