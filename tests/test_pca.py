"""PCA from sums equals scikit-learn's, however the sums were made."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA as Reference
from torch.testing import assert_close

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Series, Vector
from pofx.models.autoencoders.pca import PCA
from pofx.plan import ClosedForm


def fitted(x, kind, latent, batch=None):
    """A PCA in float64, trained as its stage says, over batches of uneven size."""
    pca = PCA(kind, latent=latent).double()
    (stage,) = pca.stages()
    (player,) = stage.players
    assert isinstance(player.optimizer, ClosedForm)
    sums: dict[str, torch.Tensor] = {}
    for part in x.split(batch or len(x)):
        for name, value in player.optimizer.statistics({"x": part}).items():
            sums[name] = sums.get(name, 0) + value
    player.optimizer.solve(sums)
    return pca


def digits():
    return torch.from_numpy(load_digits().images).float()[:, None] / 16


@pytest.mark.parametrize("latent", [1, 10, 64])
def test_equals_sklearn(latent):
    x = digits()
    pca = fitted(x, Image(1, 8, 8, levels=17), latent, batch=700)
    reference = Reference(latent, svd_solver="full").fit(x.flatten(1).double().numpy())
    live = reference.explained_variance_ > 1e-9  # border pixels never vary: directions without variance are free
    assert_close(pca.mean, torch.from_numpy(reference.mean_), rtol=1e-12, atol=1e-12)
    assert_close(pca.components[live], torch.from_numpy(reference.components_[live]), rtol=1e-8, atol=1e-8)  # signs too
    assert_close(pca.explained_variance, torch.from_numpy(reference.explained_variance_), rtol=1e-9, atol=1e-12)
    assert_close(pca.explained_variance_ratio, torch.from_numpy(reference.explained_variance_ratio_), rtol=1e-9, atol=1e-12)
    codes = torch.from_numpy(reference.transform(x.flatten(1).double().numpy()))
    assert_close(pca.encode(x.double())[:, live], codes[:, live], rtol=1e-7, atol=1e-7)
    restored = torch.from_numpy(reference.inverse_transform(codes.numpy()))
    assert_close(pca.decode(pca.encode(x.double())), restored.view_as(x), rtol=1e-8, atol=1e-8)


def test_squared_error_is_the_variance_left_out():
    x = digits().double()
    pca = fitted(x, Image(1, 8, 8, levels=17), 12)
    error = (pca.decode(pca.encode(x)) - x).square().sum() / (len(x) - 1)
    assert_close(error, x.flatten(1).var(0).sum() * (1 - pca.explained_variance_ratio.sum()))


@pytest.mark.parametrize("kind", [Image(2, 3, 4), Binary(3, 4), Vector(12), Series(4, 3)])
def test_every_kind_is_restored_by_all_components(kind):
    x = torch.rand(40, *kind.shape, dtype=torch.float64).round(decimals=0 if isinstance(kind, Binary) else 3)
    pca = fitted(x, kind, kind.size, batch=7)
    assert_close(pca.decode(pca.encode(x)), x)
    assert_close(pca.components @ pca.components.T, torch.eye(kind.size, dtype=torch.float64))
    assert pca.codes == Vector(kind.size)


def test_float64_sums_stand_a_mean_far_from_zero():
    """Float32 sums of squares would lose a variance of 1 beside a mean of 10,000 altogether."""
    x = (torch.randn(5000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([2.0, 1.0]) + 1e4).float()
    pca = PCA(Vector(2), latent=2)
    pca.solve(pca.statistics({"x": x}))
    assert_close(pca.explained_variance, torch.from_numpy(Reference(2).fit(x.double().numpy()).explained_variance_).float())


def test_constant_data_have_no_variance():
    pca = fitted(torch.ones(5, 3), Vector(3), 2)
    assert pca.explained_variance_ratio.tolist() == [0, 0]
    assert_close(pca.decode(pca.encode(torch.ones(2, 3).double())), torch.ones(2, 3).double())


def test_what_the_user_must_mend():
    with pytest.raises(UserError, match="latent must be 4 or less"):
        PCA(Vector(4), latent=5)
    with pytest.raises(UserError, match="make it smaller, or train autoencoder"):
        PCA(Image(3, 128, 128))
    with pytest.raises(UserError, match="needs 2 training examples and as many as latent"):
        fitted(torch.rand(3, 8), Vector(8), 4)
    with pytest.raises(AttributeError, match="not a distribution over it: train vae"):
        PCA(Vector(4), latent=1).sample(3)
