"""log p(x) of models by annealing, against closed forms and quadrature."""

import json
import math
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from pofx import commands
from pofx.data import Column, Split
from pofx.distributions.priors import Categorical, Gaussian, Joint, Prior, Ring, SwissRoll, Uniform
from pofx.errors import UserError
from pofx.evaluate.decoders import annealed_scores, decoder_of, fitted_sigma
from pofx.kinds import Binary, Vector
from pofx.metrics.annealing import Annealing
from pofx.model import Model
from pofx.models.adversarial.gan import GAN
from pofx.models.autoencoders.pca import PCA
from pofx.models.autoencoders.vae import VAE
from pofx.options import Size
from pofx.randomness import generator

QUICK = Annealing(chains=200, temperatures=40, leapfrog=4)


class Affine(Model):
    """x = z W + b of a code from whichever prior the test puts there."""

    paper: ClassVar = ("nobody", 2026, "")

    def __init__(self, x: Vector, *, latent: Size = 2):
        super().__init__()
        self.prior: Prior = Gaussian(latent)
        self.W = torch.nn.Parameter(torch.eye(latent, x.dims))
        self.b = torch.nn.Parameter(torch.zeros(x.dims))

    def generate(self, z):
        return z @ self.W + self.b

    def sample(self, n, *, given=None, generator=None):
        return self.generate(self.prior.sample(n, self.b, generator))


def affine(prior, dims):
    model = Affine(Vector(dims), latent=prior.dims).double()
    model.prior = prior
    return model


def annealed(model, x, sigma, annealing=QUICK):
    decoder = decoder_of(model, sigma)
    found = annealing.log_prob(decoder.log_px, x, decoder.d, generator(0))
    weight_BC = (found.log_weights - found.log_mean[:, None]).exp()
    return found.log_mean, weight_BC.std(1) / math.sqrt(weight_BC.shape[1])


def of_ring(x, ring, sigma):
    angle_K = 2 * math.pi * torch.arange(ring.components, dtype=torch.float64) / ring.components
    log_p = []
    for angle in angle_K:
        turn = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]], dtype=torch.float64)
        covariance = turn @ torch.diag(torch.tensor([ring.long, ring.thin], dtype=torch.float64) ** 2) @ turn.T
        p = MultivariateNormal(ring.radius * turn[:, 0], covariance + sigma**2 * torch.eye(2))
        log_p.append(p.log_prob(x))
    return torch.stack(log_p).logsumexp(0) - math.log(ring.components)


def of_swiss_roll(x, roll, sigma):
    share = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    wide = math.hypot(sigma, roll.thickness)
    log_p = Normal(roll.at(share), wide).log_prob(x[:, None]).sum(2) + (2 * share).log()
    return torch.trapezoid(log_p.exp(), share, dim=1).log()


def of_uniform(x, _, sigma):
    inside = torch.special.ndtr((x + 1) / sigma) - torch.special.ndtr((x - 1) / sigma)
    return (inside / 2).log().sum(1)


def of_class(x, _, sigma):
    """One of 3 classes as a one-hot code: three Gaussians."""
    return torch.stack([Normal(0.0, sigma).log_prob(x - row).sum(1) for row in torch.eye(3)]).logsumexp(0) - math.log(3)


def of_class_and_number(x, _, sigma):
    return of_class(x[:, :3], _, sigma) + Normal(0.0, math.hypot(1, sigma)).log_prob(x[:, 3])


@pytest.mark.parametrize(
    ("prior", "exact"),
    [
        (Ring(5, radius=1.0, long=0.3, thin=0.2), of_ring),
        (SwissRoll(turns=0.8, radius=1.5), of_swiss_roll),
        (Uniform(2), of_uniform),
        (Categorical(3), of_class),
        (Joint({"c": Categorical(3), "z": Gaussian(1)}), of_class_and_number),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_prior_is_a_function_of_normal_numbers(prior, exact):
    model, sigma = affine(prior, prior.dims), 0.5
    x = torch.tensor([[0.3, -0.2, 0.9, 0.1], [1.1, 0.4, -0.1, -2.0]], dtype=torch.float64)[:, : prior.dims]
    found, error = annealed(model, x, sigma)
    assert error.max() < 0.15
    assert ((found - exact(x, prior, sigma)).abs() < 4 * error).all()


def trained_by_hand():
    """A small VAE whose decoder minds its code, and its log p(x) by quadrature over the plane of codes."""
    torch.manual_seed(0)
    vae = VAE(Binary(1, 4, 4), latent=2, hidden=(8,)).eval()
    with torch.no_grad():
        for weight in vae.decoder.parameters():
            weight.mul_(4)
    return vae


def test_a_vae_s_number_is_the_integral_and_above_its_bound():
    vae = trained_by_hand()
    x = vae.sample(6, generator=generator(1), draw=True)
    line = torch.linspace(-6, 6, 241)
    grid = torch.cartesian_prod(line, line)
    with torch.no_grad():
        log_px = torch.cat([vae.log_likelihood(x, part.expand(6, -1, -1)) for part in grid.split(5000)], 1).double()
    exact = (log_px + Normal(0.0, 1.0).log_prob(grid).sum(1)).logsumexp(1) + 2 * math.log(line[1] - line[0])
    found, error = annealed(vae, x, None, Annealing(chains=64, temperatures=60, leapfrog=4))
    assert error.max() < 0.1
    assert ((found - exact).abs() < 4 * error).all()
    bound = vae.log_prob(x, samples=5000, generator=generator(2)).double()
    assert (found > bound - 4 * error - 0.1).all()


def test_a_generator_s_bits_are_drawn_with_its_probabilities():
    torch.manual_seed(0)
    gan = GAN(Binary(1, 2, 2), latent=1, hidden=(8,)).eval()
    with torch.no_grad():
        for weight in gan.generator.parameters():
            weight.mul_(3)
    grid = torch.linspace(-8, 8, 4001)[:, None]
    x = torch.tensor([[1, 0, 0, 1], [0, 1, 1, 1]]).float().view(2, 1, 2, 2)
    with torch.no_grad():
        p = gan.generate(grid).flatten(1).double().clamp(1e-6, 1 - 1e-6)
    log_px = (x.flatten(1)[:, None] * p.log() + (1 - x.flatten(1)[:, None]) * (-p).log1p()).sum(2)
    exact = torch.trapezoid(log_px.exp() * Normal(0.0, 1.0).log_prob(grid[:, 0]).exp(), grid[:, 0].double(), dim=1).log()
    found, error = annealed(gan, x, None)
    assert ((found - exact).abs() < 4 * error + 1e-3).all()
    drawn = decoder_of(gan).draw(torch.full((40_000, 1), 0.7).double(), generator(0))
    torch.testing.assert_close(drawn.mean(0), gan.generate(torch.full((1, 1), 0.7))[0].detach(), atol=0.012, rtol=0)


def test_sigma_is_fitted_to_the_rows_that_it_is_fitted_to():
    torch.manual_seed(0)
    model = affine(Gaussian(2), 12)
    with torch.no_grad():
        model.W.normal_()
    z = model.prior.sample(30, model.b, generator(0))
    x = model.generate(z).detach() + 0.3 * torch.randn(30, 12, generator=generator(1), dtype=torch.float64)
    tried = np.geomspace(0.2, 0.45, 200)
    covariance = (model.W.T @ model.W).detach()
    exact = [MultivariateNormal(torch.zeros(12).double(), covariance + s**2 * torch.eye(12)).log_prob(x).mean().item() for s in tried]
    best = tried[int(np.argmax(exact))]
    assert fitted_sigma(model, x, annealing=Annealing(chains=8, temperatures=60, leapfrog=4)) == pytest.approx(best, rel=0.04)


def test_scores_say_which_model_they_are_of():
    model = affine(Gaussian(2), 3)
    kind = Vector(3)
    split = Split({"x": Column(kind, np.random.default_rng(0).normal(size=(14, 3)).astype(np.float32))})
    annealing = Annealing(chains=8, temperatures=20, leapfrog=3)
    seen = []
    scores = annealed_scores(
        model, split, rows=12, sigma=0.5, annealing=annealing, simulated=11, about={"split": "test"}, progress=lambda *at: seen.append(at)
    )
    log_p, gap = scores
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert log_p.what == "log p, annealed importance sampling, sigma=0.5, lower bound in expectation"
    assert "affine has no density" in log_p.note.lower()
    assert "Gaussian noise of sd 0.5" in log_p.note
    assert (log_p.protocol["sigma"], log_p.protocol["rows"], log_p.protocol["split"]) == (0.5, 12, "test")
    assert log_p.protocol["annealing"] == {"chains": 8, "temperatures": 20, "leapfrog": 3, "schedule": "sigmoid"}
    decoder, values = decoder_of(model, 0.5), []
    for start in (0, 10):
        x = split.read(np.arange(start, min(12, start + 10)))["x"]
        values += annealing.log_prob(decoder.log_px, x, 2, generator(("annealed", 0, start))).log_mean.tolist()
    assert log_p.value == pytest.approx(np.mean(values), rel=1e-12)
    assert 0 < gap.value < 3
    assert gap.what == "log p, annealed importance sampling, sigma=0.5: upper minus lower bound on simulated x"
    fitted = annealed_scores(model, split, rows=4, valid=split, annealing=annealing, simulated=0)
    assert len(fitted) == 1
    quick = Annealing(chains=4, temperatures=4, leapfrog=3)
    assert fitted[0].protocol["sigma"] == fitted_sigma(model, split.read(np.arange(4))["x"], annealing=quick)


def test_a_model_of_its_own_likelihood_needs_no_note():
    vae = trained_by_hand()
    x = vae.sample(4, generator=generator(1), draw=True).numpy().astype(np.uint8)
    split = Split({"x": Column(Binary(1, 4, 4), x)})
    (score,) = annealed_scores(vae, split, rows=4, annealing=Annealing(chains=4, temperatures=10, leapfrog=2), simulated=0)
    assert (score.what, score.note) == ("log p, annealed importance sampling, lower bound in expectation", None)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: decoder_of(VAE(Binary(4), latent=2), 0.1), "vae has a p.x | z. of its own: remove sigma"),
        (lambda: decoder_of(GAN(Binary(4), latent=2), 0.1), "gan makes bits"),
        (lambda: decoder_of(GAN(Vector(4), latent=2)), "sigma, the noise that gan is given, must be above 0, not None"),
        (lambda: decoder_of(GAN(Vector(4), latent=2), 0.0), "must be above 0, not 0"),
        (lambda: decoder_of(PCA(Vector(4), latent=2)), "pca makes no x of a code"),
    ],
)
def test_bad_input(ask, said):
    with pytest.raises(UserError, match=said):
        ask()


def test_pofx_anneal_stores_its_scores_beside_the_others(tmp_path):
    run = str(tmp_path / "gan")
    commands.train("gan", data="digits", steps=5, latent=2, hidden=(8,), out=run)
    quick = {"rows": 3, "temperatures": 5, "chains": 2, "leapfrog": 2, "simulated": 2}
    first = commands.anneal(run, sigma=0.3, **quick)
    assert [score["what"] for score in first["scores"]] == [
        "log p, annealed importance sampling, sigma=0.3, lower bound in expectation",
        "log p, annealed importance sampling, sigma=0.3: upper minus lower bound on simulated x",
    ]
    assert "another model" in first["notes"][0]
    again, fitted = commands.anneal(run, sigma=0.3, **quick), commands.anneal(run, **quick)
    assert again["scores"] == first["scores"]
    assert fitted["scores"][0]["protocol"]["sigma fitted"]
    assert len(json.loads((tmp_path / "gan" / "scores.json").read_text())) == 4  # the second ones took the place of the first
    with pytest.raises(UserError, match="the data has no split 'tset': did you mean test"):
        commands.anneal(run, split="tset")
    with pytest.raises(UserError, match="rows must be between 2 and the split's 180, not 500"):
        commands.anneal(run, rows=500)
