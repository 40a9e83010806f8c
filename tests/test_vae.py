"""The VAE against closed forms: linear-Gaussian models whose log-likelihood is known, and the arithmetic of its loss."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.decomposition import PCA
from torch.distributions import Normal, kl_divergence

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Vector
from pofx.models.autoencoders.vae import VAE, importance_weighted, kl
from pofx.plan import Logged
from pofx.randomness import Noise


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def noise(rows: int, progress: float = 1.0) -> Noise:
    return Noise(("test",), slice(0, rows), rows, dtype=torch.float64, progress=progress)


class SigmaPoints(Noise):
    """Codes at +-sqrt(Z) along each axis: the mean of anything quadratic over them is its mean under the normal."""

    def normal(self, *shape: int) -> torch.Tensor:
        Z = shape[-1]
        points = math.sqrt(Z) * torch.cat([torch.eye(Z), -torch.eye(Z)])
        return points.repeat(self.total // len(points), 1).view(self.total, *shape)


SCALE = 0.5


def linear(dims: int = 6, latent: int = 2) -> VAE:
    """x = W z + b + SCALE e, whose log p(x) is that of a Gaussian."""
    return VAE(Vector(dims), latent=latent, hidden=(), likelihood="gaussian", scale=SCALE)


def set_to_the_posterior(vae: VAE, W: torch.Tensor, b: torch.Tensor) -> None:
    """Decoder W, b of orthogonal columns, and the encoder that gives its exact posterior (Tipping & Bishop, 1999)."""
    precision = (W.T @ W).diagonal() / SCALE**2 + 1
    into, out = vae.encoder[1], vae.decoder.last
    with torch.no_grad():
        out.weight.copy_(W)
        out.bias.copy_(b)
        mean = W.T / SCALE**2 / precision[:, None]
        into.weight.copy_(torch.cat([mean, torch.zeros_like(mean)]))
        into.bias.copy_(torch.cat([-mean @ b, -0.5 * precision.log()]))


def exact(W: torch.Tensor, b: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    covariance = W @ W.T + SCALE**2 * torch.eye(len(W))
    return torch.distributions.MultivariateNormal(b, covariance).log_prob(x)


@pytest.fixture
def gaussian():
    W = torch.linalg.qr(torch.randn(6, 2))[0] * torch.tensor([2.0, 0.8])
    b = torch.randn(6)
    vae = linear()
    set_to_the_posterior(vae, W, b)
    x = torch.randn(40, 2) @ W.T + b + SCALE * torch.randn(40, 6)
    return vae, x, exact(W, b, x)


def test_kl_in_closed_form():
    mean, log_std = torch.randn(3, 4), torch.randn(3, 4)
    q, p = Normal(mean, log_std.exp()), Normal(0, 1)
    torch.testing.assert_close(kl(mean, log_std), kl_divergence(q, p))
    z = q.sample((20_000,))
    difference = q.log_prob(z) - p.log_prob(z)
    assert ((kl(mean, log_std) - difference.mean(0)).abs() < 5 * difference.std(0) / math.sqrt(len(z))).all()


@pytest.mark.parametrize("samples", [2, 50])
def test_with_the_exact_posterior_the_bound_is_the_exact_log_likelihood(gaussian, samples):
    """Every weight is p(x), so any number of samples gives it to the last digit."""
    vae, x, log_p = gaussian
    torch.testing.assert_close(vae.log_prob(x, samples=samples), log_p, rtol=1e-10, atol=1e-10)
    training = importance_weighted_loss(vae, x, samples)
    torch.testing.assert_close(training, log_p, rtol=1e-10, atol=1e-10)


def importance_weighted_loss(vae: VAE, x: torch.Tensor, samples: int) -> torch.Tensor:
    vae.samples = samples
    return -vae.loss({"x": x}, noise(len(x)))["bound"]


def test_the_elbo_has_the_exact_log_likelihood_as_its_mean(gaussian):
    vae, x, log_p = gaussian
    four = x.repeat_interleave(4, 0)
    parts = vae.loss({"x": four}, SigmaPoints(("test",), slice(0, 160), 160))
    elbo = -(parts["reconstruction"] + parts["kl"]).view(40, 4).mean(1)
    torch.testing.assert_close(elbo, log_p, rtol=1e-10, atol=1e-10)


def test_the_bound_rises_with_samples_to_the_exact_log_likelihood(gaussian):
    vae, x, log_p = gaussian
    with torch.no_grad():
        vae.encoder[1].bias += torch.tensor([0.3, -0.3, 0.5, 0.3])  # a posterior that is off
    source = torch.Generator().manual_seed(0)
    bounds = [vae.log_prob(x.repeat(20, 1), samples=k, generator=source).mean().item() for k in (1, 3, 30, 3000)]
    truth = log_p.mean().item()
    assert bounds[0] + 0.1 < bounds[1]
    assert bounds[1] + 0.05 < bounds[2] < bounds[3] + 1e-3
    assert abs(bounds[3] - truth) < 0.005
    assert bounds[2] < truth


def test_a_density_of_bits_sums_to_one():
    """Importance weights estimate p(x) itself without bias, so their sum over all 2 x 2 pictures is 1."""
    vae = VAE(Binary(1, 2, 2), latent=2, hidden=(8,))
    with torch.no_grad():
        vae.decoder.last.weight *= 5
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4).view(-1, 1, 2, 2)
    for samples in (20, 4000):  # the plain way and the fast one
        copies = 8000 // samples
        total = (
            vae.log_prob(every.repeat(copies, 1, 1, 1), samples=samples, generator=torch.Generator().manual_seed(1)).exp().sum() / copies
        )
        assert abs(total - 1) < 0.03


def test_a_linear_vae_learns_the_principal_subspace():
    """Its best decoder spans the first principal components, scaled as Tipping & Bishop have it, and its ELBO is their likelihood."""
    x = torch.randn(60, 4) @ torch.diag(torch.tensor([3.0, 2.0, 0.6, 0.5])) @ torch.linalg.qr(torch.randn(4, 4))[0]
    vae = linear(4, 2)
    batch = {"x": x.repeat_interleave(4, 0)}
    optimizer = torch.optim.LBFGS(vae.parameters(), max_iter=120, tolerance_grad=1e-8, tolerance_change=0, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        parts = vae.loss(batch, SigmaPoints(("test",), slice(0, 240), 240))
        total = (parts["reconstruction"] + parts["kl"]).mean()
        total.backward()
        return total

    optimizer.step(loss)
    pca = PCA(2).fit(x.numpy())
    U = torch.from_numpy(pca.components_.T)
    span = torch.linalg.qr(vae.decoder.last.weight.detach())[0]
    torch.testing.assert_close(span @ span.T, U @ U.T, rtol=0, atol=1e-5)
    variance = torch.from_numpy(pca.explained_variance_) * 59 / 60
    W = U * (variance - SCALE**2).sqrt()
    torch.testing.assert_close(-loss().detach(), exact(W, x.mean(0), x).mean(), rtol=1e-8, atol=0)


def test_beta_free_bits_and_warm_up_change_a_part_of_their_own():
    x = torch.rand(5, 1, 3, 3).round()
    plain = VAE(Binary(1, 3, 3), latent=3, hidden=(4,))
    weighed = VAE(Binary(1, 3, 3), latent=3, hidden=(4,), beta=2.0, free_bits=0.2, kl_warmup=0.5)
    weighed.load_state_dict(plain.state_dict())
    want = plain.loss({"x": x}, noise(5))
    assert set(want) == {"reconstruction", "kl"}
    kl_BZ = kl(*plain.q(x))
    for progress, weight in ((0.0, 0.0), (0.25, 1.0), (0.5, 2.0), (1.0, 2.0)):
        parts = weighed.loss({"x": x}, noise(5, progress))
        torch.testing.assert_close(parts["reconstruction"], want["reconstruction"])
        torch.testing.assert_close(parts["kl"], want["kl"])
        charged = torch.maximum(kl_BZ, torch.tensor(0.2)).sum(1)
        torch.testing.assert_close(parts["kl"] + parts["kl_weighting"], weight * charged)


def test_the_loss_is_the_negative_bound_of_its_samples():
    """With the posterior, prior and likelihood of torch.distributions; one sample gives the sampled ELBO."""
    x = torch.rand(5, 1, 3, 3).round()
    vae = VAE(Binary(1, 3, 3), latent=2, hidden=(4,), samples=3)
    mean, std = vae.posterior(x)
    e = noise(5).normal(3, 2)
    z = mean[:, None] + std[:, None] * e
    log_q = Normal(mean[:, None], std[:, None]).log_prob(z).sum(2)
    log_prior = Normal(0, 1).log_prob(z).sum(2)
    logits = vae.decoder(z.flatten(0, 1)).view(5, 3, 9)
    log_px = torch.distributions.Bernoulli(logits=logits).log_prob(x.view(5, 1, 9)).sum(2)
    log_w = log_px + log_prior - log_q
    parts = vae.loss({"x": x}, noise(5))
    torch.testing.assert_close(parts["bound"], -(log_w.exp().mean(1).log()))
    assert isinstance(parts["reconstruction"], Logged)
    assert isinstance(parts["kl"], Logged)
    one = importance_weighted(log_px[:, :1], e[:, :1], z[:, :1], std.log())
    torch.testing.assert_close(one, log_w[:, 0])
    gradients = torch.autograd.grad(parts["bound"].sum(), list(vae.parameters()))
    by_weights = torch.autograd.grad(-(log_w.softmax(1).detach() * log_w).sum(), list(vae.parameters()))
    for ours, theirs in zip(gradients, by_weights, strict=True):
        torch.testing.assert_close(ours, theirs)  # each sample's gradient counts by its share of the weight


MODELS = {
    "bits": (Binary(1, 4, 5), {}),
    "bits conv": (Binary(1, 4, 5), {"body": "conv", "hidden": (3, 4)}),
    "levels": (Image(1, 4, 5), {}),
    "dequantised": (Image(1, 4, 5), {"likelihood": "gaussian"}),
    "categories": (Image(1, 4, 5, levels=4), {"likelihood": "categorical"}),
    "vectors": (Vector(3), {}),
}


@pytest.fixture(params=MODELS)
def made(request):
    x, arguments = MODELS[request.param]
    vae = VAE(x, **{"latent": 2, "hidden": (5,), **arguments})
    levels = getattr(x, "levels", 2)
    return vae, torch.randint(levels, (4, *x.shape)) / (levels - 1) if request.param != "vectors" else torch.randn(4, 3)


@pytest.mark.parametrize("samples", [1, 7, 50])
def test_the_bound_is_the_plain_formula_however_it_is_cut(made, samples):
    """By one code at a time, by several examples at a time, and by the fast way that bits have."""
    vae, x = made
    source = torch.Generator().manual_seed(3)
    e = torch.stack([torch.randn(samples, 2, generator=source, dtype=torch.float32) for _ in x]).double()
    mean, std = vae.posterior(x)
    z = mean[:, None] + std[:, None] * e
    log_px = vae.log_likelihood(x, z)
    plain = importance_weighted(log_px, e, z, std.log()) if samples > 1 else log_px[:, 0] - kl(mean, std.log()).sum(1)
    for memory in (1e-6, 0.01, 64.0):
        bound = vae.log_prob(x, samples=samples, memory=memory, generator=torch.Generator().manual_seed(3))
        torch.testing.assert_close(bound, plain.detach(), rtol=1e-9, atol=1e-9)


def test_without_a_generator_a_value_depends_on_no_neighbour(made):
    vae, x = made
    for samples in (1, 7, 50):
        whole = vae.log_prob(x, samples=samples)
        torch.testing.assert_close(torch.cat([vae.log_prob(row[None], samples=samples) for row in x]), whole, rtol=1e-10, atol=1e-10)
        assert torch.equal(vae.log_prob(x, samples=samples), whole)


def test_no_more_codes_at_a_time_than_fit_the_memory():
    vae = VAE(Binary(1, 8, 8), latent=2, body="conv", hidden=(4, 8))
    x = torch.rand(6, 1, 8, 8).round()
    seen = []
    hook = vae.decoder.register_forward_hook(lambda layer, inputs, output: seen.append(len(output)))
    vae.log_prob(x, samples=40, memory=1.0)
    hook.remove()
    fit = 2**20 // vae.bytes_a_code(x)
    assert fit >= 4
    assert max(seen) <= fit
    assert sum(seen) >= 6 * 40


def test_sampling_gives_means_or_draws(made):
    vae, x = made
    source = torch.Generator().manual_seed(0)
    means = vae.sample(5, generator=source)
    z = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(means, vae.decode(z))
    draws = vae.sample(5, generator=source, draw=True)
    assert draws.shape == (5, *x.shape[1:])
    if x.dim() > 2:
        levels = 1 if isinstance(vae.config["x"], Binary) else vae.config["x"].levels - 1
        torch.testing.assert_close(draws * levels, (draws * levels).round(), rtol=0, atol=1e-9)


def test_training_under_dequantisation_bounds_what_log_prob_gives():
    x = torch.randint(4, (1, 1, 2, 2)).expand(4000, -1, -1, -1) / 3
    vae = VAE(Image(1, 2, 2, levels=4), latent=1, hidden=(4,), likelihood="gaussian", scale=0.2)
    with torch.no_grad():
        vae.decoder.last.weight.zero_()  # x does not depend on z
        vae.decoder.last.bias.fill_(0.5)
        parts = vae.loss({"x": x}, noise(4000))
    log_mass = vae.log_prob(x[:1], samples=2)
    assert -parts["reconstruction"].mean() < log_mass + parts["kl"].mean()
    assert -parts["reconstruction"].mean() > log_mass - 1.0


@pytest.mark.parametrize(
    ("x", "arguments", "words"),
    [
        (Image(1, 8, 8), {"likelihood": "bernoulli"}, "--binarize dynamic"),
        (Binary(4), {"samples": 5, "beta": 2.0}, "remove beta"),
        (Vector(4), {"body": "conv"}, "mlp"),
        (Binary(4), {"latent": 0}, "1 or more"),
    ],
)
def test_what_does_not_fit_says_what_to_write(x, arguments, words):
    with pytest.raises(UserError, match=words):
        VAE(x, **arguments)
