"""What is asked of a discriminator besides its loss: penalties where its slope is known, packing, normalisation, the batch's spread."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from pofx.bases.gan import Adversarial, MinibatchStd, pack, packed
from pofx.distributions.priors import Gaussian
from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Vector
from pofx.layers.spatial_transformer import random_affine
from pofx.models.adversarial.gan import GAN
from tests.three_numbers import DOUBLE, Half, game, rows

# Penalties


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize(("penalty", "of"), [("wgan_gp", lambda w: (w - 1) ** 2), ("r1", lambda w: w**2 / 2)])
def test_penalty_of_a_linear_discriminator_is_that_of_its_weight(penalty, of, packing):
    """Whatever x are, and so is the penalty's own slope in the weight: it is what trains the discriminator."""
    model = game(penalty=penalty, packing=packing)
    model.discriminator = nn.Linear(3 * packing, 1).double()
    w = model.discriminator.weight
    found = model.penalty(rows(0).normal(3), rows(1).normal(3), rows(2))
    assert found.shape == (6,)
    torch.testing.assert_close(found, of(w.norm()).expand(6), rtol=1e-6, atol=1e-6)
    (slope,) = torch.autograd.grad(found.mean(), w, retain_graph=True)
    (expected,) = torch.autograd.grad(of(w.norm()), w)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-6)


def test_r1_is_taken_at_real_x_and_wgan_gp_between():
    x, fake = rows(0).normal(3), rows(1).normal(3)
    discriminator = Half()
    torch.testing.assert_close(game(discriminator, penalty="r1").penalty(x, fake, rows(2)), x.square().sum(1) / 2)
    assert torch.equal(discriminator.at, x)
    found = game(discriminator, penalty="wgan_gp").penalty(x, fake, rows(2))
    at = discriminator.at.detach()
    torch.testing.assert_close(found, (at.norm(dim=1) - 1) ** 2)
    share = ((at - x) / (fake - x)).mean(1, keepdim=True)
    torch.testing.assert_close(at, torch.lerp(x, fake, share.expand(6, 3)))  # on the line from real to generated, each at its own place
    assert 0 < share.min() < share.max() < 1
    assert len(share.unique()) == 6


def test_x_that_are_scored_together_lie_between_together():
    x, fake = rows(0).normal(3), rows(1).normal(3)
    discriminator = Half()
    found = game(discriminator, penalty="wgan_gp", packing=2).penalty(x, fake, rows(2))
    share = ((discriminator.at.detach() - pack(x, 2)) / (pack(fake, 2) - pack(x, 2))).mean(1, keepdim=True)
    torch.testing.assert_close(discriminator.at, torch.lerp(pack(x, 2), pack(fake, 2), share.expand(3, 6)))
    torch.testing.assert_close(found, ((discriminator.at.norm(dim=1) - 1) ** 2).repeat_interleave(2))


def test_a_penalty_counts_with_its_weight_and_not_at_all_by_default():
    model = game(penalty="r1", penalty_weight=3.0)
    x, noise = rows(0).normal(3), rows(1)
    assert "penalty" not in game().discriminator_loss({"x": x}, rows(1))
    found = model.discriminator_loss({"x": x}, noise)["penalty"]
    torch.testing.assert_close(found, 3 * model.penalty(x, x, rows(2)))


# Packing


def test_pack_puts_neighbours_side_by_side():
    x = torch.arange(4 * 2 * 1 * 3.0).view(4, 2, 1, 3)
    found = pack(x, 2)
    assert found.shape == (2, 4, 1, 3)
    assert torch.equal(found[1, :2], x[2])
    assert torch.equal(found[1, 2:], x[3])
    assert pack(x, 1) is x
    assert packed(Vector(3), 4) == Vector(12)
    assert packed(Binary(2, 5, 5), 3) == Binary(6, 5, 5)
    assert packed(Image(1, 4, 6, 17), 2) == Image(2, 4, 6, 17)
    with pytest.raises(UserError, match="multiple of it, not 4: change batch_size"):
        pack(x, 3)
    with pytest.raises(UserError, match="remove packing"):
        packed(Category(3), 2)


def test_a_packed_score_depends_on_the_partner_and_is_shared_with_it():
    x = rows(0).normal(3)
    other = x.clone()
    other[1] += 1
    alone, together = game(), game(packing=2)
    changed = alone.scores(other, rows(1)) != alone.scores(x, rows(1))
    assert changed.tolist() == [False, True, False, False, False, False]
    changed = together.scores(other, rows(1)) != together.scores(x, rows(1))
    assert changed.tolist() == [True, True, False, False, False, False]
    scores = together.scores(x, rows(1))
    assert torch.equal(scores[::2], scores[1::2])
    assert len(scores.unique()) == 3
    parts = together.discriminator_loss({"x": x}, rows(1))
    assert all(torch.equal(parts[name][::2], parts[name][1::2]) for name in ("real", "fake"))


# Poses


@pytest.mark.parametrize("packing", [1, 2])
def test_the_discriminator_sees_real_and_generated_pictures_in_poses_drawn_anew(packing):
    """Each picture has its own, in both players' losses, and the slope that is penalised is the one there."""
    pictures = GAN(Image(1, 4, 4), latent=2, hidden=(4,), discriminator_augment=0.7, packing=packing, penalty="r1").double()
    pictures.discriminator = Half()
    x = rows(1).uniform(1, 4, 4)

    def score(x, drawn):
        """Half the square of all numbers of a pack in its poses, which is also the r1 penalty of this discriminator."""
        return (random_affine(x, 0.7, drawn).square().flatten(1).sum(1) / 2).view(-1, packing).sum(1).repeat_interleave(packing)

    parts, drawn = pictures.discriminator_loss({"x": x}, rows(0)), rows(0)
    fake = pictures.generate(pictures.prior.draw(drawn))
    real = score(x, drawn)
    torch.testing.assert_close(parts["real"], softplus(-real))
    torch.testing.assert_close(parts["penalty"], 10 * real)
    torch.testing.assert_close(parts["fake"], softplus(score(fake, drawn)))
    found, drawn = pictures.generator_loss({"x": x}, rows(0))["adversarial"], rows(0)
    torch.testing.assert_close(found, softplus(-score(pictures.generate(pictures.prior.draw(drawn)), drawn)))


def test_only_pictures_have_poses():
    with pytest.raises(UserError, match=r"discriminator_augment turns and moves pictures .*: remove it"):
        GAN(Vector(3), discriminator_augment=0.4)


# Normalisation, and the batch's own spread


class Convolutional(Adversarial):
    """A discriminator with both kinds of affine map that are normalised."""

    def __init__(self, x: Image, *, spectral_norm: bool = True):
        super().__init__()
        generator = nn.Sequential(nn.Linear(2, x.size), nn.Unflatten(1, x.shape))
        discriminator = nn.Sequential(nn.Conv2d(x.channels, 4, 3), nn.Flatten(), nn.Linear(4 * (x.height - 2) * (x.width - 2), 1))
        self.play(x, Gaussian(2), generator, discriminator)


def test_spectral_norm_divides_by_the_largest_singular_value():
    model = Convolutional(Image(2, 5, 5)).double()
    with torch.no_grad():
        for layer in (model.discriminator[0], model.discriminator[2]):
            layer.parametrizations.weight.original.mul_(7)
        for _ in range(200):  # one step of power iteration each
            model.discriminator(torch.zeros(1, 2, 5, 5, dtype=DOUBLE))
        model.eval()
        for layer in (model.discriminator[0], model.discriminator[2]):
            original = layer.parametrizations.weight.original
            largest = torch.linalg.svdvals(original.flatten(1))[0]
            torch.testing.assert_close(layer.weight, original / largest, rtol=1e-6, atol=1e-9)
            assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(1, abs=1e-6)
    assert not hasattr(model.generator[0], "parametrizations")
    assert not hasattr(Convolutional(Image(2, 5, 5), spectral_norm=False).discriminator[0], "parametrizations")


def test_a_normalised_discriminator_of_a_game_has_slope_1_at_most():
    """Leaky ReLUs have slope 1 at most, so the whole discriminator has."""
    model = game(spectral_norm=True, discriminator_hidden=(16, 16))
    with torch.no_grad():
        for p in model.discriminator.parameters():
            p.mul_(10)
        for _ in range(200):
            model.discriminator(rows(0).normal(3))
    model.eval()
    x, y = rows(1, 500).normal(3), rows(2, 500).normal(3)
    assert ((model.discriminator(x) - model.discriminator(y)).abs().squeeze(1) <= (x - y).norm(dim=1) * (1 + 1e-6)).all()


def test_minibatch_std_is_the_mean_standard_deviation_of_the_batch():
    h = rows(0, 8).normal(3, 2, 2)
    found = MinibatchStd()(h)
    assert found.shape == (8, 4, 2, 2)
    assert torch.equal(found[:, :3], h)
    expected = torch.stack([h[:, c, i, j].std(unbiased=False) for c in range(3) for i in range(2) for j in range(2)]).mean()
    torch.testing.assert_close(found[:, 3], expected.expand(8, 2, 2), rtol=1e-6, atol=0)
    assert MinibatchStd()(h[:1].expand(8, 3, 2, 2))[:, 3].max() < 1e-3  # all alike: what a generator that has collapsed shows
    assert MinibatchStd()(h.flatten(1)).shape == (8, 13)
