"""InfoGAN: its bound on the information in the codes, what moves it, and the networks of the paper."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pofx.bases.gan import LOSSES, discriminator_loss
from pofx.distributions.priors import Categorical, Gaussian, Uniform
from pofx.errors import UserError
from pofx.kinds import Binary, Image
from pofx.layers.spatial_transformer import random_affine
from pofx.models.adversarial.infogan import InfoGAN, entropy
from pofx.plan import Logged
from pofx.randomness import Noise, generator

SMALL = {"categorical": (3, 2), "uniform": 1, "gaussian": 1, "latent": 4, "hidden": (2, 3), "dense": 6, "recognition": 5}


def small(**changed):
    torch.manual_seed(0)
    return InfoGAN(Image(1, 8, 8), **{**SMALL, **changed}).double()


def drawn(model, n, key=0):
    return model.prior.sample(n, next(model.parameters()), generator(key))


def test_the_code_stands_after_the_noise_as_the_paper_counts():
    model = small()
    z = drawn(model, 500)
    assert list(model.prior.parts) == ["noise", "c1", "c2", "c3", "c4"]
    assert [model.prior.where(name) for name in model.prior.parts] == [slice(0, 4), slice(4, 7), slice(7, 9), slice(9, 10), slice(10, 11)]
    for columns in (slice(4, 7), slice(7, 9)):
        assert z[:, columns].sum(1).eq(1).all()
        assert z[:, columns].max(1).values.eq(1).all()
    assert -1 <= z[:, 9].min() < -0.9
    assert 0.9 < z[:, 9].max() < 1
    assert z[:, 10].abs().max() > 2
    assert model.codes.dims == 7
    assert model.clusters == 3


def test_the_bound_is_that_of_a_slow_reference():
    model = small()
    z, q = drawn(model, 20), torch.randn(20, 3 + 2 + 2 + 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = {name: [] for name in ("c1", "c2", "c3", "c4")}
    for z_, q_ in zip(z.numpy(), q.numpy(), strict=True):
        for name, c, logits in (("c1", z_[4:7], q_[:3]), ("c2", z_[7:9], q_[3:5])):
            expected[name].append(math.log(math.exp(logits[c.argmax()]) / np.exp(logits).sum()) + math.log(len(c)))
        for name, c, (mean, log_std), h in (
            ("c3", z_[9], q_[5:7], math.log(2)),
            ("c4", z_[10], q_[7:9], 0.5 * math.log(2 * math.pi * math.e)),
        ):
            density = math.exp(-0.5 * ((c - mean) / math.exp(log_std)) ** 2) / (math.exp(log_std) * math.sqrt(2 * math.pi))
            expected[name].append(math.log(density) + h)
    found = model.mutual_information_bound(z, q)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values, rtol=1e-10)
    weighted = sum(np.array(expected[name]) * weight for name, weight in (("c1", 1), ("c2", 1), ("c3", 0.1), ("c4", 0.1)))
    np.testing.assert_allclose(model.weighted(found).numpy(), weighted, rtol=1e-10)


class Copies(nn.Module):
    """A generator that writes z into the first pixels."""

    def forward(self, z):
        return torch.cat([z, z.new_zeros(len(z), 64 - z.shape[1])], dim=1).view(-1, 1, 8, 8)


class Reads(nn.Module):
    """A discriminator whose Q reads the two categorical codes there, and takes the continuous ones for what their priors say, N(0, 1)."""

    def __init__(self, sure):
        super().__init__()
        self.sure = sure

    def score_and_recognise(self, x, dtype):
        logits = self.sure * x.flatten(1)[:, 4:9]
        return x.new_zeros(len(x)), torch.cat([logits, x.new_zeros(len(x), 4)], dim=1)


def test_a_code_that_is_copied_and_read_is_kept_whole_and_never_more_than_whole():
    model = small()
    model.generator, z = Copies(), drawn(model, 4000)
    for sure in (0.0, 1.0, 3.0, 100.0):
        model.discriminator = Reads(sure)
        found = model.information(z)
        assert found["c1"].mean() <= math.log(3) + 1e-12
        assert found["c2"].mean() <= math.log(2) + 1e-12
    assert found["c1"].mean().item() == pytest.approx(math.log(3), abs=1e-9)
    assert found["c2"].mean().item() == pytest.approx(math.log(2), abs=1e-9)
    model.discriminator = Reads(0.0)
    nothing = model.information(z)
    assert nothing["c1"].abs().max() < 1e-12  # Q says what the prior says: nothing is told
    # of a Gaussian code E log N(c; 0, 1) + H = 0; of a uniform one log 2 - (log 2 pi + 1/3) / 2
    assert nothing["c4"].mean().item() == pytest.approx(0, abs=4 * 0.71 / math.sqrt(4000))
    assert nothing["c3"].mean().item() == pytest.approx(math.log(2) - 0.5 * (math.log(2 * math.pi) + 1 / 3), abs=4 * 0.15 / math.sqrt(4000))


def test_entropies_are_those_of_the_priors():
    assert entropy(Categorical(7)) == pytest.approx(math.log(7))
    for prior, log_p in ((Uniform(1), torch.distributions.Uniform(-1.0, 1.0)), (Gaussian(1, 0.1), torch.distributions.Normal(0.0, 0.1))):
        assert entropy(prior) == pytest.approx(log_p.entropy().item(), rel=1e-6)


def test_the_information_moves_generator_body_and_q_but_not_the_score():
    model = small()
    sum(L.sum() for L in model.information(drawn(model, 6)).values()).backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-10}
    assert moved == {name for name, _ in model.named_parameters() if not name.startswith("discriminator.score")}


def test_both_players_lower_the_same_information_and_log_it_beside_its_entropy():
    model = small()
    x, noise = torch.rand(6, 1, 8, 8, dtype=torch.float64), lambda: Noise(("a",), slice(0, 6), 6, dtype=torch.float64)
    with torch.no_grad():
        discriminator, maker = model.discriminator_loss({"x": x}, noise()), model.generator_loss({"x": x}, noise())
        model.train()
        found = model.mutual_information_bound(
            model.prior.draw(noise()), model.discriminator.score_and_recognise(model.generator(model.prior.draw(noise())), x.dtype)[1]
        )
    torch.testing.assert_close(discriminator["information"], maker["information"])
    torch.testing.assert_close(maker["information"], -(found["c1"] + found["c2"] + 0.1 * found["c3"] + 0.1 * found["c4"]))
    for name, L in found.items():
        assert isinstance(maker[f"L_I_{name}"], Logged)
        torch.testing.assert_close(maker[f"L_I_{name}"].values, L)
        assert maker[f"H_{name}"].values.eq(entropy(model.c[name])).all()


def test_q_tells_codes_of_generated_pictures_in_other_poses_and_those_of_x_as_it_is():
    model, level = small(discriminator_augment=0.7), 0.7
    x, noise = torch.rand(6, 1, 8, 8, dtype=torch.float64), Noise(("a",), slice(0, 6), 6, dtype=torch.float64)
    other = Noise(("a",), slice(0, 6), 6, dtype=torch.float64)
    with torch.no_grad():
        discriminator = model.discriminator_loss({"x": x}, noise)
        z = model.prior.draw(other)
        real = model.discriminator(random_affine(x, level, other)).squeeze(1)
        fake, q = model.discriminator.score_and_recognise(random_affine(model.generator(z), level, other), x.dtype)
        torch.testing.assert_close(discriminator["real"], F.softplus(-real))
        torch.testing.assert_close(discriminator["fake"], F.softplus(fake))
        torch.testing.assert_close(discriminator["information"], -model.weighted(model.mutual_information_bound(z, q)))
        maker = model.generator_loss({"x": x}, noise)
        z = model.prior.draw(other)
        fake, q = model.discriminator.score_and_recognise(random_affine(model.generator(z), level, other), x.dtype)
        torch.testing.assert_close(maker["adversarial"], F.softplus(-fake))
        torch.testing.assert_close(maker["information"], -model.weighted(model.mutual_information_bound(z, q)))
        model.eval()
        q = model.discriminator.score_and_recognise(model.generator(z), x.dtype)[1]
        torch.testing.assert_close(model.information(z), model.mutual_information_bound(z, q))
        torch.testing.assert_close(
            model.encode(x)[:, :3], model.recognition(model.discriminator.score_and_recognise(x, x.dtype)[1])["c1"].softmax(1)
        )


def test_being_scored_and_recognised_under_random_affine_maps_moves_the_generator():
    for part in ("adversarial", "information"):
        model = small(discriminator_augment=0.7)
        model.generator_loss({"x": torch.zeros(6, 1, 8, 8)}, Noise(("a",), slice(0, 6), 6, dtype=torch.float64))[part].sum().backward()
        assert all(p.grad.abs().max() > 0 for p in model.generator.parameters()), part


def test_codes_of_x_are_probabilities_and_means():
    model = small().eval()
    x = torch.rand(5, 1, 8, 8, dtype=torch.float64)
    codes, (_, q) = model.encode(x), model.discriminator.score_and_recognise(x, x.dtype)
    torch.testing.assert_close(codes[:, :3], q[:, :3].softmax(1))
    torch.testing.assert_close(codes[:, 3:5], q[:, 3:5].softmax(1))
    torch.testing.assert_close(codes[:, 5:], q[:, [5, 7]])
    torch.testing.assert_close(model.cluster(x), q[:, :3].argmax(1))


def test_the_networks_are_those_of_the_paper_for_mnist():
    model = InfoGAN(Image(1, 28, 28))
    norm = lambda n: 2 * n  # noqa: E731
    assert sum(p.numel() for p in model.generator.parameters()) == (
        74 * 1024 + norm(1024) + 1024 * 6272 + norm(6272) + 128 * 64 * 16 + norm(64) + 64 * 16 + 1
    )
    assert sum(p.numel() for p in model.discriminator.parameters()) == (
        (16 * 64 + 64) + 64 * 128 * 16 + norm(128) + 6272 * 1024 + norm(1024) + (1024 + 1) + 1024 * 128 + norm(128) + (128 * 14 + 14)
    )


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 27, 21), (1, 13, 32)])
def test_pictures_of_any_size_are_made_and_scored(shape):
    model = InfoGAN(Image(*shape), latent=3, hidden=(2, 3), dense=6, recognition=5)
    assert model.sample(4).shape == (4, *shape)
    assert model.encode(model.sample(4)).shape == (4, 12)


def test_what_cannot_be_is_an_error_in_one_line():
    for build, message in (
        (lambda: InfoGAN(Image(1, 8, 8), hidden=(2, 3, 4, 5)), "cannot be halved 4 times"),
        (lambda: InfoGAN(Image(1, 8, 8), hidden=()), "channels in hidden"),
        (lambda: InfoGAN(Image(1, 8, 8), categorical=(), uniform=0), "needs a code"),
        (lambda: InfoGAN(Binary(64)), "gan takes other shapes"),
        (lambda: InfoGAN(Image(1, 8, 8), categorical=(1,)), "must be 2 or more"),
        (lambda: small(categorical=()).cluster(torch.zeros(2, 1, 8, 8).double()), "no categorical code"),
    ):
        with pytest.raises(UserError, match=message):
            build()


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "hinge", "least_squares"])
def test_the_game_is_that_of_a_gan(loss):
    """Beside L_I, the players' parts are what the loss says of the discriminator's scores of real and of generated x."""
    model = small(loss=loss, spectral_norm=True, **({} if loss == "hinge" else {"smoothing": 0.1})).eval()
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)

    def noise():
        return Noise((0,), slice(0, 6), 6, dtype=torch.float64)

    fake = model.generate(model.prior.draw(noise()))
    real_B, fake_B = model.discriminator(x).squeeze(1), model.discriminator(fake).squeeze(1)
    parts, expected = model.discriminator_loss({"x": x}, noise()), discriminator_loss(model.rules, real_B, fake_B)
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value)
    torch.testing.assert_close(model.generator_loss({"x": x}, noise())["adversarial"], LOSSES[loss].generator(fake_B))
    grads = torch.autograd.grad(
        sum(p.sum() for p in parts.values() if isinstance(p, torch.Tensor)), model.generator.parameters(), allow_unused=True
    )
    assert all(g is None for g in grads), "the discriminator's loss moves the generator"


def test_a_normalised_discriminator_has_slope_at_most_one_in_its_last_map_and_no_batch_normalisation_in_its_body():
    model = small(spectral_norm=True)
    assert not any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in model.discriminator.body.modules())
    for _ in range(30):
        model.discriminator(torch.rand(4, 1, 8, 8, dtype=torch.float64))  # each pass in training mode sharpens the estimate
    assert torch.linalg.matrix_norm(model.discriminator.score.weight, 2).item() == pytest.approx(1, abs=1e-3)
    assert not hasattr(model.discriminator.recognise[0], "parametrizations")
