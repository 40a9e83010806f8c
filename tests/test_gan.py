"""The GAN: its discriminator's optimum and value on known densities, its networks against slow ones, and a game that finds the density.

Shapes: B examples, U units, K pieces of a maxout unit, G points of a grid.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from pofx.data import load
from pofx.distributions.priors import Gaussian, Uniform
from pofx.errors import UserError
from pofx.kinds import Binary, Image, Vector
from pofx.models.adversarial.gan import GAN, MaxoutDiscriminator
from pofx.randomness import Noise, generator
from pofx.run import seeded
from pofx.train import Training, train
from pofx.train.loop import Trainer

ONE = (torch.tensor([1.0]), torch.tensor([[0.7]]))  # mean and factor of the generator's density, where real x are N(0, I)
TWO = (torch.tensor([0.8, 0.5]), torch.tensor([[1.0, 0.0], [0.6, 0.5]]))


def affine(mean: Tensor, factor: Tensor, **rules) -> GAN:
    """A GAN whose generator draws from N(mean, factor factor') exactly."""
    with seeded(0):
        gan = GAN(Vector(len(mean)), latent=len(mean), hidden=(), discriminator_hidden=(32, 32), **rules)
    (layer,) = (module for module in gan.generator.modules() if isinstance(module, torch.nn.Linear))
    layer.weight.data.copy_(factor)
    layer.bias.data.copy_(mean)
    return gan


def train_the_discriminator(gan: GAN, dims: int, steps: int = 500) -> None:
    """The generator stands still; real x are N(0, I)."""
    optimizer = torch.optim.Adam(gan.discriminator.parameters(), lr=5e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * (1 - step / steps)
        noise = Noise((0, step), slice(0, 1000), 1000)
        parts = gan.discriminator_loss({"x": noise.normal(dims)}, noise)
        optimizer.zero_grad()
        (parts["real"] + parts["fake"]).mean().backward()
        optimizer.step()


@pytest.mark.parametrize(("mean", "factor"), [ONE, TWO], ids=["1-D", "2-D"])
def test_the_trained_discriminator_is_p_over_p_plus_q_and_its_value_2_jsd_minus_log_4(mean, factor):
    """Numerical integration on a grid: D within .02 of D* on average over both densities, V within .005 of its greatest, never above."""
    dims = len(mean)
    gan = affine(mean, factor)
    train_the_discriminator(gan, dims)
    axis = torch.linspace(-6, 6, 2001 if dims == 1 else 201)
    x = torch.cartesian_prod(*[axis] * dims).view(-1, dims)
    cell = (axis[1] - axis[0]).item() ** dims
    p = MultivariateNormal(torch.zeros(dims), torch.eye(dims)).log_prob(x).exp().double() * cell
    q = MultivariateNormal(mean, scale_tril=factor).log_prob(x).exp().double() * cell
    assert (p.sum().item(), q.sum().item()) == pytest.approx((1, 1), abs=1e-4)
    with torch.no_grad():
        s = gan.discriminator(x)[:, 0].double()
    best = p / (p + q)
    assert ((p + q) / 2 * (s.sigmoid() - best).abs()).nansum().item() < 0.02

    middle = (p + q) / 2
    jsd = (torch.special.xlogy(p, p / middle) + torch.special.xlogy(q, q / middle)).nansum().item() / 2
    greatest = 2 * jsd - math.log(4)
    value = -(p * torch.nn.functional.softplus(-s) + q * torch.nn.functional.softplus(s)).sum().item()
    assert greatest - 0.005 < value <= greatest + 1e-4

    noise = Noise((1,), slice(0, 50_000), 50_000)  # and the loss that trains the discriminator is an estimate of - V
    with torch.no_grad():
        parts = gan.discriminator_loss({"x": noise.normal(dims)}, noise)
    assert (parts["real"] + parts["fake"]).mean().item() == pytest.approx(-value, abs=0.02)
    assert parts["right_on_real"].values.mean().item() == pytest.approx((p * (s > 0)).sum().item(), abs=0.02)
    assert parts["right_on_fake"].values.mean().item() == pytest.approx((q * (s < 0)).sum().item(), abs=0.02)


def test_a_game_between_affine_generator_and_discriminator_finds_the_mean():
    """With a linear discriminator the training is about means alone. Under r1 it settles where generated x have the mean of the data."""
    data = load("grid")
    with seeded(0):
        gan = GAN(Vector(2), latent=2, hidden=(), penalty="r1", penalty_weight=1.0, lr_generator=0.02, lr_discriminator=0.02, beta1=0.0)
    bias = gan.generator[-3].bias
    bias.data.copy_(torch.tensor([2.0, -1.0]))
    trainer = Trainer(gan, data, Training(steps=300, batch_size=200, schedule="linear"))
    trainer.run()
    assert bias.detach().norm() < 0.4
    assert (data.splits["train"].read(range(1000))["x"].mean(0)).norm() < 0.3


def test_each_player_has_its_own_rate():
    """The first step of Adam moves a weight by its rate, whatever the gradient."""
    gan = GAN(Vector(2), latent=3, hidden=(8,), lr_generator=1e-4, lr_discriminator=4e-4).double()
    before = {name: tensor.clone() for name, tensor in gan.named_parameters()}
    Trainer(gan, load("grid"), Training(steps=1, batch_size=50, device="cpu")).run()
    for player, rate in (("generator", 1e-4), ("discriminator", 4e-4)):
        moved = [(p - before[name]).abs().max().item() for name, p in gan.named_parameters() if name.startswith(player)]
        assert moved == pytest.approx([rate] * len(moved), rel=1e-2)


def test_the_discriminator_moves_as_often_as_it_is_told():
    discriminator, player = GAN(Vector(2), discriminator_steps=5).stages()[0].players
    assert (discriminator.name, discriminator.repeat, player.name, player.repeat) == ("discriminator", 5, "generator", 1)


def test_a_batch_that_cannot_be_packed_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(UserError, match="discriminator takes 3 rows together: batch_size must be a multiple of 3"):
        train(GAN(Vector(2), packing=3), load("ring"), Training(steps=2, batch_size=100, device="cpu"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(GAN(Vector(2), packing=3), load("ring"), Training(steps=2, batch_size=99, device="cpu"), tmp_path / "run")


def test_a_batch_of_one_has_nothing_to_normalise_over_and_is_refused_before_anything_is_written(tmp_path):
    model, data = GAN(Vector(2), hidden=(4,), batch_norm=True), load("ring")
    with pytest.raises(UserError, match="gan is normalised over the batch: batch_size must be 2 or more, not 1"):
        train(model, data, Training(steps=1, batch_size=1, device="cpu"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(model, data, Training(steps=1, batch_size=2, device="cpu"), tmp_path / "run")


# Networks


def slow_maxout(discriminator: MaxoutDiscriminator, x: Tensor) -> list[float]:
    """Unit by unit: the largest of K affine functions of the layer below."""
    scores = []
    for row in x.flatten(1):
        h = row
        for layer in discriminator.layers:
            K, pieces = discriminator.pieces, []
            for unit in range(layer.out_features // K):
                values = [layer.weight[unit * K + k] @ h + layer.bias[unit * K + k] for k in range(K)]
                pieces.append(max(values))
            h = torch.stack(pieces)
        scores.append((discriminator.last[-1].weight[0] @ h + discriminator.last[-1].bias[0]).item())
    return scores


def test_maxout_is_the_largest_of_its_pieces():
    with seeded(0):
        discriminator = MaxoutDiscriminator(6, (4, 3), pieces=5).double()
    x = torch.randn(3, 1, 2, 3, dtype=torch.float64, generator=generator(0))
    with torch.no_grad():
        assert discriminator(x)[:, 0].tolist() == pytest.approx(slow_maxout(discriminator, x), abs=1e-12)


def test_dropout_takes_a_fifth_of_the_inputs_and_half_of_the_units():
    """Each row by its own noise. With weights of 1 and no bias, what is left can be counted in the score."""
    discriminator = MaxoutDiscriminator(1000, (1,), pieces=1)
    for p in discriminator.parameters():
        torch.nn.init.ones_(p) if p.ndim > 1 else torch.nn.init.zeros_(p)
    with torch.no_grad():
        s = discriminator(torch.ones(400, 1000), Noise((0,), slice(0, 400), 400))[:, 0]
        kept = s[s > 0]
        assert len(kept) == pytest.approx(200, abs=50)  # of 400, by the unit's own dropout
        assert kept.mean().item() == pytest.approx(2000, rel=0.01)  # 800 inputs at 1 / .8, doubled
        assert (kept * 0.8 / 2).std().item() == pytest.approx(math.sqrt(1000 * 0.16), rel=0.25)
        assert len(kept.unique()) > 30
        assert (discriminator(torch.ones(2, 1000)) == 1000).all()  # without noise nothing is dropped


def test_a_discriminator_without_dropout_says_in_training_what_it_says_afterwards():
    x, noise = torch.rand(50, 6, generator=generator(0)), Noise((0,), slice(0, 50), 50)
    for options, dropped in (({"body": "maxout"}, True), ({"body": "maxout", "dropout": False}, False), ({"body": "mlp"}, False)):
        with seeded(0):
            gan = GAN(Vector(6), hidden=(8,), **options)
        with torch.no_grad():
            assert torch.equal(gan.scores(x, noise), gan.discriminator(x)[:, 0]) != dropped


def test_the_papers_network_has_the_papers_sizes():
    gan = GAN(Image(1, 28, 28), body="maxout", hidden=(1200, 1200))
    shapes = [tuple(p.shape) for p in gan.generator.parameters() if p.ndim == 2]
    assert shapes == [(1200, 100), (1200, 1200), (784, 1200)]
    assert [tuple(p.shape) for p in gan.discriminator.parameters() if p.ndim == 2] == [(1200, 784), (1200, 240), (1, 240)]


@pytest.mark.parametrize("x", [Image(1, 4, 4), Binary(9)])
def test_pictures_and_bits_are_made_between_0_and_1_and_vectors_anywhere(x):
    with seeded(0):
        gan = GAN(x, hidden=(8,))
        free = GAN(Vector(9), hidden=(8,))
    for model in (gan, free):
        for p in model.generator.parameters():
            p.data.mul_(30)
    sample = gan.sample(50, generator=generator(0))
    assert sample.shape == (50, *x.shape)
    assert ((sample >= 0) & (sample <= 1)).all()
    assert free.sample(50, generator=generator(0)).abs().max() > 1


@pytest.mark.parametrize("body", ["mlp", "maxout"])
def test_batch_norm_is_of_the_generators_hidden_layers(body):
    """In training a hidden unit has mean 0 and variance 1 over the batch before it is rectified; afterwards a code's x is its own."""
    with seeded(0):
        gan = GAN(Vector(3), latent=4, hidden=(8, 8), body=body, batch_norm=True).double()
    rectified = []
    for module in gan.generator.modules():
        if isinstance(module, (nn.ReLU, nn.LeakyReLU)):
            module.register_forward_pre_hook(lambda _, inputs: rectified.append(inputs[0].detach()))
    z = 5 * torch.randn(50, 4, generator=generator(0), dtype=torch.float64) + 2
    gan.train().generate(z)
    assert [h.shape for h in rectified] == [(50, 8), (50, 8)]
    for h in rectified:
        torch.testing.assert_close(h.mean(0), torch.zeros(8, dtype=torch.float64))
        torch.testing.assert_close(h.var(0, unbiased=False), torch.ones(8, dtype=torch.float64), rtol=1e-3, atol=0)
    gan.eval()
    torch.testing.assert_close(gan.generate(z)[:1], gan.generate(z[:1]))
    assert not any(isinstance(module, nn.BatchNorm1d) for module in (*GAN(Vector(3), body=body).modules(), *gan.discriminator.modules()))


def test_samples_are_generated_from_the_prior_that_was_asked_for():
    for name, prior in (("gaussian", Gaussian), ("uniform", Uniform)):
        gan = GAN(Vector(2), latent=5, prior=name)
        assert type(gan.prior) is prior
        z = gan.prior.sample(7, torch.zeros(1), generator(3))
        assert torch.equal(gan.sample(7, generator=generator(3)), gan.generate(z).detach())
    assert GAN(Vector(2)).config["prior"] == "gaussian"


def test_minibatch_std_shows_the_discriminator_a_collapse():
    """The same x, alone among different ones and among copies of itself: only a discriminator that sees the spread can tell."""
    x = torch.randn(8, 3, generator=generator(0))
    alike = x[:1].expand(8, 3)
    for shown in (False, True):
        for body in ("mlp", "maxout"):
            with seeded(0):
                gan = GAN(Vector(3), hidden=(8,), body=body, minibatch_std=shown)
            with torch.no_grad():
                one, other = (gan.scores(rows, Noise((0,), slice(0, 8), 8))[0].item() for rows in (x, alike))
            assert (abs(one - other) > 1e-3) == shown
