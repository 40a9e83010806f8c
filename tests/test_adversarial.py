"""The game's arithmetic: every loss' optimum, penalties of critics whose slope is known, and what packing, pool and normalisation do.

Shapes: B examples, K values that a discrete x takes, n_K and m_K how often real and generated x take them, D* = n / (n + m).
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pofx.errors import UserError
from pofx.game import Noise
from pofx.kinds import Binary, Category, Image, Vector
from pofx.models.adversarial.gan import GAN
from pofx.nn.adversarial import LOSSES, Adversarial, LossName, MinibatchStd, PenaltyName, Rules, judgement, pack, packed
from pofx.nn.priors import Gaussian, Prior
from pofx.testing.cases import Case
from pofx.testing.learning import gradients, loss_parts, resume

DOUBLE = torch.float64
DEFAULTS = Rules()  # what a model plays by unless it says otherwise


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
    """A generator of one-hot x whose distribution is given, and a critic with one free score for each x: the whole game in a table."""

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
        nn.init.zeros_(self.critic.weight)


REAL, FAKE = (5, 3, 2, 10, 0), (1, 3, 8, 2, 6)  # of 20 each
ONE_HOT = torch.eye(5, dtype=DOUBLE).repeat_interleave(torch.tensor(REAL), 0)


def critic_at_its_best(**rules: Any) -> tuple[Tensor, float]:
    """The scores (K,) of a critic that the model's own loss has trained to the end against a fixed generator, and its loss there."""
    model = Discrete(Vector(5), fake=FAKE, **rules).double()
    noise = Noise((0,), slice(0, 20), 20, dtype=DOUBLE)
    optimizer = torch.optim.LBFGS(
        model.critic.parameters(), max_iter=200, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        parts = model.critic_loss({"x": ONE_HOT}, noise)
        total = (parts["real"] + parts["fake"]).mean()
        total.backward()
        return total

    optimizer.step(loss)
    return model.critic.weight[0].detach(), loss().item()


n_K, m_K = (torch.tensor(counts, dtype=DOUBLE) for counts in (REAL, FAKE))
BOTH = n_K > 0  # where real x are: elsewhere the best score is - infinity


@pytest.mark.parametrize("loss", ["minimax", "non_saturating"])
def test_the_best_critic_is_p_over_p_plus_q_and_its_value_2_jsd_minus_log_4(loss):
    s_K, value = critic_at_its_best(loss=loss)
    best = n_K / (n_K + m_K)
    torch.testing.assert_close(s_K.sigmoid(), best, atol=1e-5, rtol=0)
    p, q = n_K / 20, m_K / 20
    middle = (p + q) / 2
    jsd = (torch.special.xlogy(p, p / middle) + torch.special.xlogy(q, q / middle)).sum().item() / 2
    assert -value == pytest.approx(2 * jsd - math.log(4), abs=1e-5)  # V(D*, G), as the critic minimises - V


def test_against_a_perfect_generator_the_best_critic_knows_nothing():
    model = Discrete(Vector(5), fake=REAL).double()
    parts = model.critic_loss({"x": ONE_HOT}, Noise((0,), slice(0, 20), 20, dtype=DOUBLE))
    (slope,) = torch.autograd.grad((parts["real"] + parts["fake"]).mean(), model.critic.weight)
    assert slope.abs().max() < 1e-12  # all scores 0, D = 1/2 everywhere: the optimum
    assert (parts["real"] + parts["fake"]).mean().item() == pytest.approx(math.log(4))


def test_smoothing_lowers_the_best_critic_to_its_share_and_leaves_generated_x_alone():
    s_K, _ = critic_at_its_best(smoothing=0.2)
    torch.testing.assert_close(s_K.sigmoid()[BOTH], (0.8 * n_K / (n_K + m_K))[BOTH], atol=1e-5, rtol=0)


def test_least_squares_has_the_same_best_critic_and_smoothing_moves_its_target():
    s_K, value = critic_at_its_best(loss="least_squares")
    torch.testing.assert_close(s_K, n_K / (n_K + m_K), atol=1e-6, rtol=0)
    assert value == pytest.approx((n_K * m_K / (n_K + m_K)).sum().item() / 40)  # half of E D (1 - D) under both
    smoothed, _ = critic_at_its_best(loss="least_squares", smoothing=0.1)
    torch.testing.assert_close(smoothed, 0.9 * n_K / (n_K + m_K), atol=1e-6, rtol=0)


def test_hinge_sends_the_best_critic_to_the_side_that_is_likelier():
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


def test_where_the_critic_is_sure_minimax_gives_the_generator_nothing_and_non_saturating_everything():
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
def test_whether_the_critic_was_right_is_watched(loss):
    """The table's scores are 1 for x = 0 and -1 for x = 4: real x of the first kind and generated x of the last are told right."""
    model = Discrete(Vector(5), fake=(0, 0, 0, 5, 15), loss=loss, penalty="r1").double()
    model.critic.weight.data[0] = torch.tensor([1.0, 0, 0, -1, -1])
    x = torch.eye(5, dtype=DOUBLE)[torch.tensor([0] * 15 + [4] * 5)]
    parts = model.critic_loss({"x": x}, Noise((0,), slice(0, 20), 20, dtype=DOUBLE))
    assert parts["right_on_real"].values.mean().item() == pytest.approx(0.75)
    assert parts["right_on_fake"].values.mean().item() == pytest.approx(0.75 if loss == "wasserstein" else 1)


# Penalties


class Half(nn.Module):
    """|x|^2 / 2 of packed x: a critic whose slope at x is x. It remembers where it was asked."""

    def forward(self, x: Tensor) -> Tensor:
        self.at = x
        return x.square().flatten(1).sum(1, keepdim=True) / 2


def game(critic: nn.Module | None = None, **rules: Any) -> GAN:
    """A game over x of 3 numbers, in double precision."""
    model = GAN(Vector(3), latent=2, hidden=(4,), **rules)
    if critic is not None:
        model.critic = critic
    return model.double()


def rows(key: int, B: int = 6) -> Noise:
    return Noise((key,), slice(0, B), B, dtype=DOUBLE)


@pytest.mark.parametrize("packing", [1, 2])
@pytest.mark.parametrize(("penalty", "of"), [("wgan_gp", lambda w: (w - 1) ** 2), ("r1", lambda w: w**2 / 2)])
def test_penalty_of_a_linear_critic_is_that_of_its_weight(penalty, of, packing):
    """Whatever x are, and so is the penalty's own slope in the weight: it is what trains the critic."""
    model = game(penalty=penalty, packing=packing)
    model.critic = nn.Linear(3 * packing, 1).double()
    w = model.critic.weight
    found = model.penalty(rows(0).normal(3), rows(1).normal(3), rows(2))
    assert found.shape == (6,)
    torch.testing.assert_close(found, of(w.norm()).expand(6), rtol=1e-6, atol=1e-6)
    (slope,) = torch.autograd.grad(found.mean(), w, retain_graph=True)
    (expected,) = torch.autograd.grad(of(w.norm()), w)
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-6)


def test_r1_is_taken_at_real_x_and_wgan_gp_between():
    x, fake = rows(0).normal(3), rows(1).normal(3)
    critic = Half()
    torch.testing.assert_close(game(critic, penalty="r1").penalty(x, fake, rows(2)), x.square().sum(1) / 2)
    assert torch.equal(critic.at, x)
    found = game(critic, penalty="wgan_gp").penalty(x, fake, rows(2))
    at = critic.at.detach()
    torch.testing.assert_close(found, (at.norm(dim=1) - 1) ** 2)
    share = ((at - x) / (fake - x)).mean(1, keepdim=True)
    torch.testing.assert_close(at, torch.lerp(x, fake, share.expand(6, 3)))  # on the line from real to generated, each at its own place
    assert 0 < share.min() < share.max() < 1
    assert len(share.unique()) == 6


def test_x_that_are_judged_together_lie_between_together():
    x, fake = rows(0).normal(3), rows(1).normal(3)
    critic = Half()
    found = game(critic, penalty="wgan_gp", packing=2).penalty(x, fake, rows(2))
    share = ((critic.at.detach() - pack(x, 2)) / (pack(fake, 2) - pack(x, 2))).mean(1, keepdim=True)
    torch.testing.assert_close(critic.at, torch.lerp(pack(x, 2), pack(fake, 2), share.expand(3, 6)))
    torch.testing.assert_close(found, ((critic.at.norm(dim=1) - 1) ** 2).repeat_interleave(2))


def test_a_penalty_counts_with_its_weight_and_not_at_all_by_default():
    model = game(penalty="r1", penalty_weight=3.0)
    x, noise = rows(0).normal(3), rows(1)
    assert "penalty" not in game().critic_loss({"x": x}, rows(1))
    found = model.critic_loss({"x": x}, noise)["penalty"]
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
    with pytest.raises(UserError, match="leave packing out"):
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
    parts = together.critic_loss({"x": x}, rows(1))
    assert all(torch.equal(parts[name][::2], parts[name][1::2]) for name in ("real", "fake"))


# Normalisation, and the batch's own spread


class Convolutional(Adversarial):
    """A critic with both kinds of affine map that are normalised."""

    def __init__(self, x: Image, *, spectral_norm: bool = True):
        super().__init__()
        generator = nn.Sequential(nn.Linear(2, x.size), nn.Unflatten(1, x.shape))
        critic = nn.Sequential(nn.Conv2d(x.channels, 4, 3), nn.Flatten(), nn.Linear(4 * (x.height - 2) * (x.width - 2), 1))
        self.play(x, Gaussian(2), generator, critic)


def test_spectral_norm_divides_by_the_largest_singular_value():
    model = Convolutional(Image(2, 5, 5)).double()
    with torch.no_grad():
        for layer in (model.critic[0], model.critic[2]):
            layer.parametrizations.weight.original.mul_(7)
        for _ in range(200):  # one step of power iteration each
            model.critic(torch.zeros(1, 2, 5, 5, dtype=DOUBLE))
        model.eval()
        for layer in (model.critic[0], model.critic[2]):
            original = layer.parametrizations.weight.original
            largest = torch.linalg.svdvals(original.flatten(1))[0]
            torch.testing.assert_close(layer.weight, original / largest, rtol=1e-6, atol=1e-9)
            assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(1, abs=1e-6)
    assert not hasattr(model.generator[0], "parametrizations")
    assert not hasattr(Convolutional(Image(2, 5, 5), spectral_norm=False).critic[0], "parametrizations")


def test_a_normalised_critic_of_a_game_has_slope_1_at_most():
    """Leaky ReLUs have slope 1 at most, so the whole critic has."""
    model = game(spectral_norm=True, critic_hidden=(16, 16))
    with torch.no_grad():
        for p in model.critic.parameters():
            p.mul_(10)
        for _ in range(200):
            model.critic(rows(0).normal(3))
    model.eval()
    x, y = rows(1, 500).normal(3), rows(2, 500).normal(3)
    assert ((model.critic(x) - model.critic(y)).abs().squeeze(1) <= (x - y).norm(dim=1) * (1 + 1e-6)).all()


def test_minibatch_std_is_the_mean_standard_deviation_of_the_batch():
    h = rows(0, 8).normal(3, 2, 2)
    found = MinibatchStd()(h)
    assert found.shape == (8, 4, 2, 2)
    assert torch.equal(found[:, :3], h)
    expected = torch.stack([h[:, c, i, j].std(unbiased=False) for c in range(3) for i in range(2) for j in range(2)]).mean()
    torch.testing.assert_close(found[:, 3], expected.expand(8, 2, 2), rtol=1e-6, atol=0)
    assert MinibatchStd()(h[:1].expand(8, 3, 2, 2))[:, 3].max() < 1e-3  # all alike: what a generator that has collapsed shows
    assert MinibatchStd()(h.flatten(1)).shape == (8, 13)


# The pool of old ones


def test_the_pool_takes_up_the_first_and_then_exchanges_half():
    model = game(pool=8)
    numbers = iter(torch.arange(1000, dtype=DOUBLE)[:, None].expand(1000, 3).split(6))  # every generated x has its own number
    first, second = next(numbers), next(numbers)
    assert torch.equal(model.recalled(first, rows(0)), first)
    assert int(model.pooled) == 6
    assert torch.equal(model.recalled(second, rows(1)), second)
    assert int(model.pooled) == 8
    assert model.pool[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]  # of the second ones as many as there was room for
    for key in range(2, 60):
        before, fake = set(model.pool[:, 0].tolist()), next(numbers)
        shown = model.recalled(fake, rows(key))[:, 0].tolist()
        after = set(model.pool[:, 0].tolist())
        old, new = shown[:3], fake[:3, 0].tolist()
        assert shown[3:] == fake[3:, 0].tolist()
        assert len(set(old)) == 3
        assert set(old) <= before
        assert after == before - set(old) | set(new), "what is shown leaves the pool, and what came in its place is kept"
    assert len(after) == 8
    assert min(after) > 7, "nothing stays for ever"


def test_a_small_pool_gives_what_it_has_and_none_gives_nothing():
    model = game(pool=2)
    fake = rows(0).normal(3)
    model.recalled(fake, rows(0))
    assert torch.equal(model.recalled(fake + 1, rows(1))[2:], (fake + 1)[2:])
    assert sorted(model.recalled(fake + 2, rows(2))[:2, 0].tolist()) == sorted((fake + 1)[:2, 0].tolist())
    assert game().recalled(fake, rows(0)) is fake
    assert not hasattr(game(), "pool")


def test_the_critic_sees_the_pool_and_the_generator_does_not():
    model = game(Half(), pool=6)
    x, far = rows(0).normal(3), torch.full((6, 3), 100.0, dtype=DOUBLE)
    model.pool.copy_(far)
    model.pooled.fill_(6)
    model.critic_loss({"x": x}, rows(1))
    assert (model.critic.at == 100).all(1).tolist() == [True] * 3 + [False] * 3
    model.pool.copy_(far)
    model.generator_loss({"x": x}, rows(1))
    assert (model.critic.at < 100).all()


# Rules


def test_nothing_is_on_unless_asked_for():
    off = {"critic_steps": 1, "penalty": "none", "spectral_norm": False, "packing": 1, "smoothing": 0.0, "pool": 0}
    assert {name: getattr(DEFAULTS, name) for name in off} == off
    assert DEFAULTS.lr_generator == DEFAULTS.lr_critic
    assert GAN(Vector(2)).rules == DEFAULTS, "the GAN's own defaults are the game's"
    assert not any(isinstance(module, MinibatchStd) for module in GAN(Vector(2)).modules())


def test_a_model_plays_by_the_rules_that_it_takes_and_no_others():
    model = Discrete(Vector(5), fake=FAKE, smoothing=0.1, loss="least_squares")
    assert model.rules == Rules("least_squares", smoothing=0.1)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"critic_steps": 0}, "critic_steps must be 1 or more, not 0"),
        ({"packing": 0}, "packing must be 1 or more, not 0"),
        ({"smoothing": 0.1, "loss": "hinge"}, "loss hinge has no labels to smooth"),
        ({"smoothing": 0.1, "loss": "wasserstein", "penalty": "wgan_gp"}, "loss wasserstein has no labels to smooth"),
        ({"smoothing": 0.5}, "smoothing must be below 0.5"),
        ({"loss": "wasserstein"}, "take penalty wgan_gp, or spectral_norm"),
        ({"beta1": 1.0}, "beta1 must be below 1"),
        ({"loss": "minmax"}, "did you mean minimax"),
        ({"penalty": "gp"}, "penalty must be one of none, wgan_gp, r1"),
        ({"pool": -1}, "pool must be 0 or more"),
        ({"prior": "cauchy"}, "prior must be one of gaussian, uniform"),
    ],
)
def test_rules_that_cannot_work_are_refused_before_anything_is_built(rules, said):
    with pytest.raises(UserError, match=said):
        GAN(Vector(2), **rules)


def test_wasserstein_is_taken_with_a_bounded_critic():
    for rules in ({"penalty": "wgan_gp"}, {"spectral_norm": True}):
        assert GAN(Vector(2), loss="wasserstein", **rules).rules.loss == "wasserstein"


OPTIONS: dict[str, dict[str, Any]] = {
    "pool": {"pool": 9},
    "spectral_norm": {"spectral_norm": True},
    "critic_steps": {"critic_steps": 2, "penalty": "wgan_gp"},
    "maxout": {"body": "maxout", "packing": 3, "critic_hidden": (4,), "penalty": "r1", "minibatch_std": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_engines_promises_hold_with_every_option(options):
    """Resumed runs are the unbroken ones bit for bit; players move what they own; a part is that of its row."""

    class Optioned(GAN):
        """As the GAN."""

        small = GAN.small | options

    case = Case(Optioned, {"x": Vector(2)})
    resume(case)
    gradients(case)
    if not {"pool", "packing", "spectral_norm"} & options.keys():  # which mix rows, or count how often they are asked
        loss_parts(case)


SCORES = torch.tensor([-1.5, -0.2, 0.3, 0.7, 2.0], dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_what_a_critic_minimises_by_its_scores(loss: Any, smoothing: float) -> None:
    """Each part is the loss of its own scores, in the order real, fake; it was right where real lies above the boundary, and fake below."""
    if smoothing and LOSSES[loss].flipped is None:
        pytest.skip("no labels to smooth")
    real, fake = SCORES, SCORES.flip(0) - 0.1
    parts = judgement(Rules(loss=loss, smoothing=smoothing, penalty="r1"), real, fake)
    flipped = LOSSES[loss].flipped or LOSSES[loss].real
    torch.testing.assert_close(parts["real"], (1 - smoothing) * LOSSES[loss].real(real) + smoothing * flipped(real))
    torch.testing.assert_close(parts["fake"], LOSSES[loss].fake(fake))
    right_real, right_fake = {
        "least_squares": ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1]),
        "wasserstein": ([0, 0, 1, 1, 1], [0, 0, 1, 1, 1]),
    }.get(loss, ([0, 0, 1, 1, 1], [0, 0, 0, 1, 1]))
    assert [list(map(int, parts[f"right_on_{side}"].values)) for side in ("real", "fake")] == [right_real, right_fake]


def test_a_pool_is_kept_by_one_process_only() -> None:
    """Each replica would keep other rows, and only those of the first be saved."""
    model = game(pool=4)
    with pytest.raises(UserError, match="leave pool out"):
        model.critic_loss({"x": torch.zeros(3, 3, dtype=torch.float64)}, Noise((0,), slice(0, 3), 6, dtype=torch.float64))
