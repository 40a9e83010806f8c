"""Every adversarial loss by its optimum and by its scores, in a table of all x.

Shapes: B examples, K values that a discrete x takes, n_K and m_K how often real and generated x take them, D* = n / (n + m).
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pofx.bases.gan import LOSSES, Adversarial, LossName, PenaltyName, Rules, discriminator_loss
from pofx.distributions.priors import Prior
from pofx.kinds import Vector
from pofx.randomness import Noise
from tests.three_numbers import DOUBLE


class Dial(Prior):
    """Codes are whole numbers from 0 to K - 1, the same ones in the same order always: of each k so many as `counts` says."""

    dims = 1

    def __init__(self, counts: tuple[int, ...]):
        self.codes = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))

    def draw(self, noise: Noise) -> Tensor:
        return self.codes[:, None].to(noise.dtype)

    def sweep(self, steps: int) -> Tensor:
        return self.codes.unique()[:, None].float()


class OneHot(nn.Module):
    """Codes (B, 1) of whole numbers to one-hot x (B, K). It has nothing to learn."""

    def __init__(self, K: int):
        super().__init__()
        self.K = K

    def forward(self, z: Tensor) -> Tensor:
        return nn.functional.one_hot(z[:, 0].long(), self.K).to(z.dtype)


class Discrete(Adversarial):
    """A generator of one-hot x whose distribution is given, and a discriminator with one free score for each x: the whole game in a
    table."""

    def __init__(
        self,
        x: Vector,
        *,
        fake: tuple[int, ...] = (1,),
        loss: LossName = "non_saturating",
        penalty: PenaltyName = "none",
        penalty_weight: float = 10.0,
        smoothing: float = 0.0,
        spectral_norm: bool = False,
    ):
        super().__init__()
        self.play(x, Dial(fake), OneHot(x.dims), nn.Linear(x.dims, 1, bias=False))
        nn.init.zeros_(self.discriminator.weight)


REAL, FAKE = (5, 3, 2, 10, 0), (1, 3, 8, 2, 6)  # of 20 each
ONE_HOT = torch.eye(5, dtype=DOUBLE).repeat_interleave(torch.tensor(REAL), 0)


def discriminator_at_its_best(**rules: Any) -> tuple[Tensor, float]:
    """The scores (K,) of a discriminator that the model's own loss has trained to the end against a fixed generator, and its loss there."""
    model = Discrete(Vector(5), fake=FAKE, **rules).double()
    noise = Noise((0,), slice(0, 20), 20, dtype=DOUBLE)
    optimizer = torch.optim.LBFGS(
        model.discriminator.parameters(), max_iter=200, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        parts = model.discriminator_loss({"x": ONE_HOT}, noise)
        total = (parts["real"] + parts["fake"]).mean()
        total.backward()
        return total

    optimizer.step(loss)
    return model.discriminator.weight[0].detach(), loss().item()


n_K, m_K = (torch.tensor(counts, dtype=DOUBLE) for counts in (REAL, FAKE))
BOTH = n_K > 0  # where real x are: elsewhere the best score is - infinity


@pytest.mark.parametrize("loss", ["minimax", "non_saturating"])
def test_the_best_discriminator_is_p_over_p_plus_q_and_its_value_2_jsd_minus_log_4(loss):
    s_K, value = discriminator_at_its_best(loss=loss)
    best = n_K / (n_K + m_K)
    torch.testing.assert_close(s_K.sigmoid(), best, atol=1e-5, rtol=0)
    p, q = n_K / 20, m_K / 20
    middle = (p + q) / 2
    jsd = (torch.special.xlogy(p, p / middle) + torch.special.xlogy(q, q / middle)).sum().item() / 2
    assert -value == pytest.approx(2 * jsd - math.log(4), abs=1e-5)  # V(D*, G), as the discriminator minimises - V


def test_against_a_perfect_generator_the_best_discriminator_knows_nothing():
    model = Discrete(Vector(5), fake=REAL).double()
    parts = model.discriminator_loss({"x": ONE_HOT}, Noise((0,), slice(0, 20), 20, dtype=DOUBLE))
    (slope,) = torch.autograd.grad((parts["real"] + parts["fake"]).mean(), model.discriminator.weight)
    assert slope.abs().max() < 1e-12  # all scores 0, D = 1/2 everywhere: the optimum
    assert (parts["real"] + parts["fake"]).mean().item() == pytest.approx(math.log(4))


def test_smoothing_lowers_the_best_discriminator_to_its_share_and_leaves_generated_x_alone():
    s_K, _ = discriminator_at_its_best(smoothing=0.2)
    torch.testing.assert_close(s_K.sigmoid()[BOTH], (0.8 * n_K / (n_K + m_K))[BOTH], atol=1e-5, rtol=0)


def test_least_squares_has_the_same_best_discriminator_and_smoothing_moves_its_target():
    s_K, value = discriminator_at_its_best(loss="least_squares")
    torch.testing.assert_close(s_K, n_K / (n_K + m_K), atol=1e-6, rtol=0)
    assert value == pytest.approx((n_K * m_K / (n_K + m_K)).sum().item() / 40)  # half of E D (1 - D) under both
    smoothed, _ = discriminator_at_its_best(loss="least_squares", smoothing=0.1)
    torch.testing.assert_close(smoothed, 0.9 * n_K / (n_K + m_K), atol=1e-6, rtol=0)


def test_hinge_sends_the_best_discriminator_to_the_side_that_is_likelier():
    """p max(0, 1 - s) + q max(0, 1 + s) is least at s = sign(p - q), where it is 2 min(p, q)."""
    s = torch.linspace(-3, 3, 601, dtype=DOUBLE)
    for p, q in ((0.3, 0.1), (0.1, 0.3), (0.2, 0.19)):
        value = p * LOSSES["hinge"].real(s) + q * LOSSES["hinge"].fake(s)
        assert s[value.argmin()].item() == pytest.approx(math.copysign(1, p - q), abs=1e-6)
        assert value.min().item() == pytest.approx(2 * min(p, q))


def test_wasserstein_is_the_difference_of_means():
    s = torch.tensor([1.5, -0.5, 2.0], dtype=DOUBLE)
    loss = LOSSES["wasserstein"]
    assert (loss.real(s).mean() + loss.fake(s + 1).mean()).item() == pytest.approx(1)
    assert loss.generator(s).tolist() == (-s).tolist()


def test_where_the_discriminator_is_sure_minimax_gives_the_generator_nothing_and_non_saturating_everything():
    """d/ds log(1 - D) = - D and d/ds (- log D) = - (1 - D), at every score."""
    for name, slope in (("minimax", lambda s: -s.sigmoid()), ("non_saturating", lambda s: -(-s).sigmoid())):
        s = torch.linspace(-20, 20, 9, dtype=DOUBLE, requires_grad=True)
        (found,) = torch.autograd.grad(LOSSES[name].generator(s).sum(), s)
        torch.testing.assert_close(found, slope(s.detach()))
        assert (found[0].abs() < 1e-8) == (name == "minimax")
    s = torch.linspace(-4, 4, 9, dtype=DOUBLE)
    torch.testing.assert_close(LOSSES["minimax"].generator(s), torch.log(1 - s.sigmoid()))
    torch.testing.assert_close(LOSSES["non_saturating"].generator(s), -torch.log(s.sigmoid()))
    torch.testing.assert_close(LOSSES["hinge"].generator(s), -s)
    torch.testing.assert_close(LOSSES["least_squares"].generator(s), 0.5 * (s - 1) ** 2)


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "hinge", "least_squares", "wasserstein"])
def test_whether_the_discriminator_was_right_is_watched(loss):
    """The table's scores are 1 for x = 0 and -1 for x = 4: real x of the first kind and generated x of the last are told right."""
    model = Discrete(Vector(5), fake=(0, 0, 0, 5, 15), loss=loss, penalty="r1").double()
    model.discriminator.weight.data[0] = torch.tensor([1.0, 0, 0, -1, -1])
    x = torch.eye(5, dtype=DOUBLE)[torch.tensor([0] * 15 + [4] * 5)]
    parts = model.discriminator_loss({"x": x}, Noise((0,), slice(0, 20), 20, dtype=DOUBLE))
    assert parts["right_on_real"].values.mean().item() == pytest.approx(0.75)
    assert parts["right_on_fake"].values.mean().item() == pytest.approx(0.75 if loss == "wasserstein" else 1)


SCORES = torch.tensor([-1.5, -0.2, 0.3, 0.7, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_what_a_discriminator_minimises_by_its_scores(loss: Any, smoothing: float) -> None:
    """Each part is the loss of its own scores, in the order real, fake; it was right where real lies above the boundary, and fake below."""
    if smoothing and LOSSES[loss].flipped is None:
        pytest.skip("no labels to smooth")
    real, fake = SCORES, SCORES.flip(0) - 0.1
    parts = discriminator_loss(Rules(loss=loss, smoothing=smoothing, penalty="r1"), real, fake)
    flipped = LOSSES[loss].flipped or LOSSES[loss].real
    torch.testing.assert_close(parts["real"], (1 - smoothing) * LOSSES[loss].real(real) + smoothing * flipped(real))
    torch.testing.assert_close(parts["fake"], LOSSES[loss].fake(fake))
    right_real, right_fake = {
        "least_squares": ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1]),
        "wasserstein": ([0, 0, 1, 1, 1], [0, 0, 1, 1, 1]),
    }.get(loss, ([0, 0, 1, 1, 1], [0, 0, 0, 1, 1]))
    assert [list(map(int, parts[f"right_on_{side}"].values)) for side in ("real", "fake")] == [right_real, right_fake]
