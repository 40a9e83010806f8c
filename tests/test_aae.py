"""Adversarial autoencoders: what the contract cannot know about their codes, discriminators, posteriors and phases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pofx.data import Column, Data, Split
from pofx.distributions.priors import Joint
from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Vector
from pofx.layers.spatial_transformer import posed, random_affine
from pofx.models.autoencoders.aae import AAE
from pofx.models.autoencoders.aae_clustering import ClusteringAAE
from pofx.models.autoencoders.aae_semi_supervised import SemiSupervisedAAE
from pofx.randomness import Noise, generator
from pofx.run import seeded
from pofx.train import Training
from pofx.train.loop import Trainer

X = Image(1, 4, 4)


def noise(rows: int, key: object = 0, dtype: torch.dtype = torch.float64) -> Noise:
    return Noise(("test", key), slice(0, rows), rows, dtype=dtype)


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=generator(("test", seed)), dtype=torch.float64)


class Fixed(nn.Module):
    """An encoder whose codes are drawn from a known distribution, whatever x."""

    def __init__(self, mean: float, std: float):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: torch.Tensor, noise: Noise | None = None) -> torch.Tensor:
        assert noise is not None
        return self.mean + self.std * noise.normal(1)


def test_the_best_discriminator_of_a_known_posterior_is_the_log_ratio_of_prior_and_posterior() -> None:
    """q(z) = N(1, 0.5^2) against p(z) = N(0, 1): s* = log p(z) / q(z), and the discriminator's loss there is log 4 - 2 JSD(p, q)."""
    with seeded(0):
        model = AAE(Vector(1), latent=1, hidden=(2,), discriminator_hidden=(48, 48))
    model.encoder = Fixed(1.0, 0.5)
    optimizer = torch.optim.Adam(model.discriminators.parameters(), lr=3e-3)
    batch = {"x": torch.zeros(1024, 1)}
    for step in range(500):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / 500)
        parts = model.discriminator_loss(batch, noise(1024, step, torch.float32))
        optimizer.zero_grad()
        (parts["real"] + parts["fake"]).mean().backward()  # type: ignore[operator]
        optimizer.step()
    z = torch.linspace(-0.5, 2.5, 601)
    p, q = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(1.0, 0.5)
    best = p.log_prob(z) - q.log_prob(z)
    with torch.no_grad():
        found = model.score("code", z[:, None])
        value = {
            name: part.mean().item()
            for name, part in model.discriminator_loss({"x": torch.zeros(100_000, 1)}, noise(100_000, "value", torch.float32)).items()
            if isinstance(part, torch.Tensor)
        }
    assert (found - best).abs().mean() < 0.15
    wide = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    pz, qz = (torch.distributions.Normal(m, s).log_prob(wide).exp() for m, s in ((0.0, 1.0), (1.0, 0.5)))
    integrand = pz * torch.log1p(qz / pz.clamp(min=1e-300)) + qz * torch.log1p(pz / qz.clamp(min=1e-300))
    least = torch.trapezoid(integrand, wide).item()  # E_p -log D* + E_q -log(1 - D*) = log 4 - 2 JSD
    assert least < math.log(4)
    assert value["real"] + value["fake"] == pytest.approx(least, abs=0.02)


def test_the_aggregated_posterior_of_a_linear_autoencoder_reaches_the_prior() -> None:
    """x on a line in the plane, x = a t with t ~ N(3, 2^2): the code that restores x and is N(0, 1) over all x is +-(t - 3) / 2."""
    t = 3 + 2 * torch.randn(4096, 1, generator=generator("line"))
    x = (t @ torch.tensor([[0.6, 0.8]])).numpy()
    data = Data({"x": Vector(2)}, {name: Split({"x": Column(Vector(2), x)}) for name in ("train", "valid")}, {"spec": "line", "sha256": ""})
    with seeded(0):
        model = AAE(
            Vector(2),
            latent=1,
            hidden=(),
            discriminator_hidden=(32,),
            penalty="r1",
            penalty_weight=1.0,
            lr=1e-2,
            lr_discriminator=1e-2,
            lr_regularisation=1e-2,
        )
    Trainer(model, data, Training(steps=1500, batch_size=256, device="cpu", schedule="linear")).run()
    model.eval()
    with torch.no_grad():
        z = model.encode(torch.from_numpy(x))
        restored = model.decode(z)
    assert abs(z.mean().item()) < 0.05
    assert z.std().item() == pytest.approx(1, abs=0.05)
    correlation = np.corrcoef(z[:, 0].numpy(), t[:, 0].numpy())[0, 1]
    assert abs(correlation) > 0.999
    assert (restored - torch.from_numpy(x)).square().sum(1).mean().item() < 0.01 * 4  # of a variance of 4


@pytest.mark.parametrize("posterior", ["deterministic", "gaussian", "universal"])
def test_posteriors(posterior: str) -> None:
    """A deterministic code hears no noise; a Gaussian one has the moments that the body says; a universal one is no Gaussian about it."""
    with seeded(0):
        model = AAE(X, latent=2, posterior=posterior, noise=3, hidden=(8,), discriminator_hidden=(4,)).double()  # type: ignore[arg-type]
    x = numbers(1, 1, 4, 4).expand(20_000, 1, 4, 4)
    with torch.no_grad():
        z, again, plain = model.q(x, noise(20_000)), model.q(x, noise(20_000, "other")), model.encode(x[:1])
        h = model.encoder.body(x[:1])
    if posterior == "deterministic":
        assert torch.equal(z, again)
        assert torch.allclose(z[:1], plain, rtol=0, atol=1e-12)  # a product of more rows may round its last digit otherwise
        return
    assert not torch.equal(z, again)
    if posterior == "gaussian":
        mean, std = h[:, :2], h[:, 2:].exp()
        assert torch.equal(plain, mean)
        torch.testing.assert_close(z.mean(0, keepdim=True), mean, atol=0.03, rtol=0)
        torch.testing.assert_close(z.std(0, keepdim=True), std, atol=0.03, rtol=0)
    else:
        U = h.shape[1]
        first, last = model.encoder.mixed[1], model.encoder.mixed[3]
        e = noise(20_000).normal(3)
        expected = last(F.relu(first(torch.cat([F.relu(h.expand(20_000, U)), e], dim=1))))
        torch.testing.assert_close(z, expected)  # noise goes through a hidden layer, so what comes out need not be Gaussian


def test_gradients_reach_a_gaussian_posterior_through_its_noise() -> None:
    """d z / d log_std = std e: the reparametrisation."""
    model = AAE(X, latent=1, posterior="gaussian", hidden=(8,), discriminator_hidden=(4,)).double()
    h = torch.tensor([[0.3, -0.5]], dtype=torch.float64, requires_grad=True)
    model.encoder.body = nn.Identity()
    z = model.encoder(h, noise(1))
    (slope,) = torch.autograd.grad(z.sum(), h)
    e = noise(1).normal(1)
    torch.testing.assert_close(slope, torch.cat([torch.ones(1, 1, dtype=torch.float64), math.exp(-0.5) * e], dim=1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prior": "swiss_roll", "latent": 8}, "latent must be 2, not 8"),
        ({"prior": "mixture", "latent": 3}, "latent must be 2, not 3"),
        ({"prior": "categorical_gaussian", "latent": 10}, "need latent above 10, not 10"),
        ({"prior": "swis_roll"}, "did you mean swiss_roll"),
        ({"prior": "categorical_gaussian", "latent": 12, "posterior": "gaussian"}, "deterministic or universal"),
        ({"reconstruction": "bernoulli"}, "needs x in [0, 1]"),
        ({"loss": "hinge", "smoothing": 0.1}, "no labels to smooth"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: dict, words: str) -> None:
    with pytest.raises(UserError) as caught:
        AAE(Vector(3), **arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("prior", ["gaussian", "uniform", "mixture", "swiss_roll", "categorical_gaussian"])
def test_every_prior_can_be_drawn_from_and_trained_on(prior: str) -> None:
    latent = 5 if prior == "categorical_gaussian" else 2
    with seeded(0):
        model = AAE(Binary(6), latent=latent, prior=prior, components=3, hidden=(8,), discriminator_hidden=(8,))  # type: ignore[arg-type]
    x = (np.arange(120).reshape(20, 6) % 7 > 3).astype(np.uint8)
    data = Data({"x": Binary(6)}, {name: Split({"x": Column(Binary(6), x)}) for name in ("train", "valid")}, {"spec": "bits", "sha256": ""})
    Trainer(model, data, Training(steps=3, batch_size=10, device="cpu")).run()
    z = model.encode(torch.from_numpy(x).float())
    assert z.shape == (20, latent)
    assert model.sample(4, generator=generator(0)).shape == (4, 6)
    if prior == "categorical_gaussian":
        torch.testing.assert_close(z[:, :3].sum(1), torch.ones(20))
        drawn = model.prior.sample(50, z, generator(0))
        assert set(drawn[:, :3].unique().tolist()) == {0.0, 1.0}


def semi_supervised() -> SemiSupervisedAAE:
    with seeded(0):
        return SemiSupervisedAAE(X, X, Category(3), latent=2, hidden=(8,), discriminator_hidden=(6,)).double()


def test_a_label_is_a_point_of_the_simplex_and_the_classifier_is_the_encoder() -> None:
    model, x = semi_supervised().eval(), numbers(7, 1, 4, 4)
    y = model.encode(x)[:, :3]
    assert (y >= 0).all()
    torch.testing.assert_close(y.sum(1), torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(y, model.classify(x).softmax(1))


def clustering(**arguments: Any) -> ClusteringAAE:
    with seeded(0):
        return ClusteringAAE(X, clusters=3, latent=8, hidden=(8,), discriminator_hidden=(6,), **arguments).double()


def test_a_drawn_label_is_each_class_as_often_as_the_softmax_says() -> None:
    """The largest number of a concrete draw is class k with probability softmax_k, at any temperature; near 0 the draw is one-hot."""
    x = numbers(1, 1, 4, 4).expand(20_000, 1, 4, 4)
    for temperature in (2.0, 1e-3):
        model = clustering(temperature=temperature)
        with torch.no_grad():
            y = model.q(x, noise(20_000))[:, :3]
            expected = model.memberships(x[:1])[0]
        assert expected.max() < 0.9  # something to be told apart
        torch.testing.assert_close(y.sum(1), torch.ones(20_000, dtype=torch.float64))
        torch.testing.assert_close(F.one_hot(y.argmax(1), 3).double().mean(0), expected, atol=0.015, rtol=0)
        assert (y.max(1).values.mean() > 0.999) == (temperature < 1)


def test_a_concrete_draw_is_the_softmax_of_logits_and_gumbel_noise_over_the_temperature() -> None:
    model, x = clustering(temperature=0.5), numbers(5, 1, 4, 4)
    u = noise(5).uniform(3)
    logits, _ = model.encoder.logits(x)
    torch.testing.assert_close(model.q(x, noise(5))[:, :3], ((logits - (-(1 - u).log()).log()) / 0.5).softmax(1))


def test_what_is_drawn_in_training_is_not_drawn_when_the_model_is_used() -> None:
    """Poses of x, noise on it and draws of y: in training they change the codes, in use they do not, though noise is at hand."""
    x = numbers(5, 1, 4, 4)
    for option in ({"encoder_augment": 1.0}, {"input_noise": 1.0}, {"style_noise": 1.0}, {"temperature": 1.0}):
        model = clustering(**option)
        assert not torch.allclose(model.q(x, noise(5)), model.q(x, noise(5, "other"))), option
        model.eval()
        assert torch.equal(model.q(x, noise(5)), model.encode(x)), option


def test_the_encoder_sees_x_in_another_pose_and_the_decoder_restores_x_itself() -> None:
    model, x = clustering(encoder_augment=0.7), numbers(5, 1, 4, 4)
    drawn = noise(5)
    z = clustering().q(random_affine(x, 0.7, drawn), drawn)  # the same weights
    torch.testing.assert_close(model.q(x, noise(5)), z)
    expected = F.binary_cross_entropy_with_logits(model.decoder(z).view_as(x), x, reduction="none").flatten(1).sum(1)
    torch.testing.assert_close(model.reconstruction_loss({"x": x}, noise(5))["bernoulli"], expected)


def test_the_first_six_numbers_of_a_style_are_a_pose() -> None:
    """Where only they differ, what is decoded is the same picture in another pose, before the squashing to [0, 1]."""
    with seeded(0):
        few = SemiSupervisedAAE(X, X, Category(3), latent=8, pose=True, hidden=(8,), discriminator_hidden=(6,)).double().eval()
    for model in (few, clustering(pose=True).eval()):
        z = model.prior.sample(4, torch.zeros(1, dtype=torch.float64), generator("pose"))
        straight = z.clone()
        straight[:, 3:9] = 0
        torch.testing.assert_close(model.decode(z), posed(model.decode(straight).logit(), z[:, 3:9]).sigmoid())


@pytest.mark.parametrize("pose", [False, True])
def test_noise_is_added_to_the_style_but_to_no_pose(pose: bool) -> None:
    model, x = clustering(style_noise=0.5, pose=pose), numbers(1, 1, 4, 4).expand(20_000, 1, 4, 4)
    with torch.no_grad():
        z, expected = model.q(x, noise(20_000)), model.encode(x)
    std = torch.full((11,), 0.5, dtype=torch.float64)
    std[: 9 if pose else 3] = 0  # of y, and of the pose
    torch.testing.assert_close((z - expected).std(0), std, atol=0.01, rtol=0)
    torch.testing.assert_close(z.mean(0), expected[0], atol=0.015, rtol=0)


@pytest.mark.parametrize(
    ("x", "arguments", "words"),
    [
        (Vector(16), {"latent": 6, "pose": True}, "pose turns and moves pictures"),
        (Vector(16), {"encoder_augment": 0.4}, "encoder_augment turns and moves pictures"),
        (X, {"latent": 5, "pose": True}, "latent must be 6 or more, not 5"),
        (X, {"dimensions": 6, "pose": True}, "remove one of them"),
    ],
)
def test_poses_where_there_can_be_none(x: Image | Vector, arguments: dict, words: str) -> None:
    with pytest.raises(UserError) as caught:
        ClusteringAAE(x, hidden=(8,), discriminator_hidden=(6,), **arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_each_discriminator_sees_its_own_part_of_the_code() -> None:
    """The score of z has no slope in y, and the other way round."""
    model = semi_supervised()
    code = model.encode(numbers(5, 1, 4, 4)).detach().requires_grad_(True)
    for name, others in (("y", slice(3, 5)), ("z", slice(0, 3))):
        (slope,) = torch.autograd.grad(model.score(name, code).sum(), code)
        assert (slope[:, others] == 0).all()
        assert slope.abs().sum() > 0


def test_labels_move_nothing_but_the_labelled_phase_and_it_sees_labelled_rows_alone() -> None:
    model = semi_supervised()
    batch = {"x": numbers(6, 1, 4, 4), "x_labelled": numbers(6, 1, 4, 4, seed=1), "label": torch.arange(6) % 3}
    other = batch | {"x_labelled": numbers(6, 1, 4, 4, seed=2), "label": (torch.arange(6) + 1) % 3}
    unlabelled = batch | {"x": numbers(6, 1, 4, 4, seed=3)}
    for player in model.stages()[0].players:
        first, relabelled, elsewhere = (player.loss(b, noise(6, player.name)) for b in (batch, other, unlabelled))
        for name, part in first.items():
            values, with_others, with_other_x = (
                p if isinstance(p, torch.Tensor) else p[0] for p in (part, relabelled[name], elsewhere[name])
            )
            if player.name == "label":
                assert torch.equal(values, with_other_x), f"{name} depends on rows without a label"
                assert not torch.equal(values, with_others)
            else:
                assert torch.equal(values, with_others), f"{player.name}.{name} depends on labels"
    loss = model.label_loss(batch, noise(6))["cross_entropy"]
    clean = batch["x_labelled"] + 0.3 * noise(6).normal(1, 4, 4)  # the noise that the encoder adds in training
    expected = -model.classify(clean).log_softmax(1)[torch.arange(6), batch["label"]]
    torch.testing.assert_close(loss, expected)


def test_a_sample_of_a_given_label_is_decoded_from_it() -> None:
    model, given = semi_supervised().eval(), torch.tensor([2, 0, 1, 2])
    z = model.prior.sample(4, next(model.parameters()), generator("given"))
    assert isinstance(model.prior, Joint)
    code = torch.cat([F.one_hot(given, 3).double(), z[:, model.prior.where("z")]], dim=1)
    torch.testing.assert_close(model.sample(4, given=given, generator=generator("given")), model.decode(code))


def test_kinds_that_differ_are_refused() -> None:
    with pytest.raises(UserError, match="same kind as x"):
        SemiSupervisedAAE(X, Vector(16), Category(3))


def test_heads_that_are_near_cost_what_they_lack() -> None:
    """Equal to two loops over the pairs; heads far apart cost nothing and near ones are driven apart."""
    with seeded(0):
        model = ClusteringAAE(X, clusters=5, dimensions=2, separation=3.0, hidden=(8,), discriminator_hidden=(6,)).double()
    assert model.heads is not None
    w = model.heads.weight.detach().T
    slow = sum(max(0.0, 3.0 - math.dist(w[i].tolist(), w[j].tolist())) for i in range(5) for j in range(i + 1, 5))
    assert slow > 0
    assert model.crowding().item() == pytest.approx(slow, rel=1e-12)
    parts = model.reconstruction_loss({"x": numbers(4, 1, 4, 4)}, noise(4))
    torch.testing.assert_close(parts["separation"], torch.full((4,), slow, dtype=torch.float64))
    with torch.no_grad():
        model.heads.weight.copy_(100 * torch.tensor([[0.0, 1, 2, 3, 4], [0, 0, 0, 0, 0]]))
    assert model.crowding().item() == 0


def test_a_code_of_few_dimensions_is_its_clusters_head_and_a_style() -> None:
    with seeded(0):
        model = ClusteringAAE(X, clusters=5, dimensions=2, hidden=(8,), discriminator_hidden=(6,)).double().eval()
    assert model.heads is not None
    x = numbers(6, 1, 4, 4)
    y, z = model.q(x)[:, :5], model.q(x)[:, 5:]
    torch.testing.assert_close(model.encode(x), y @ model.heads.weight.T + z)
    torch.testing.assert_close(model.memberships(x), y)
    assert torch.equal(model.cluster(x), y.argmax(1))
    one_hot = torch.cat([torch.eye(5, dtype=torch.float64), torch.zeros(5, 2, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(model.generate(one_hot), model.decode(model.heads.weight.T))
    with pytest.raises(UserError, match="remove latent"):
        ClusteringAAE(X, latent=3, dimensions=2)


def test_two_players_own_the_encoder_and_the_discriminator_never_moves_it() -> None:
    model = semi_supervised()
    owners = {player.name: {id(p) for module in player.modules for p in module.parameters()} for player in model.stages()[0].players}
    encoder = {id(p) for p in model.encoder.parameters()}
    assert [name for name, owned in owners.items() if encoder <= owned] == ["reconstruction", "regularisation", "label"]
    assert not encoder & owners["discriminator"]
    batch = {"x": numbers(6, 1, 4, 4)}
    loss = sum(part.sum() for part in model.discriminator_loss(batch, noise(6)).values() if isinstance(part, torch.Tensor))
    assert isinstance(loss, torch.Tensor)
    found = torch.autograd.grad(loss, list(model.encoder.parameters()), allow_unused=True)
    assert all(slope is None for slope in found)


@pytest.mark.parametrize("penalty", ["r1", "wgan_gp"])
def test_penalties_are_those_of_a_linear_discriminator(penalty: str) -> None:
    """The slope of w . z is w everywhere: |w|^2 / 2, and (|w| - 1)^2."""
    model = AAE(Vector(3), latent=2, hidden=(4,), discriminator_hidden=(), loss="wasserstein", penalty=penalty, penalty_weight=2.5).double()  # type: ignore[arg-type]
    (w,) = (p for p in model.discriminators.parameters() if p.ndim == 2)
    parts = model.discriminator_loss({"x": numbers(5, 3)}, noise(5))
    norm = w.norm().item()
    expected = 2.5 * (norm**2 / 2 if penalty == "r1" else (norm - 1) ** 2)
    torch.testing.assert_close(parts["penalty"], torch.full((5,), expected, dtype=torch.float64))


@pytest.mark.parametrize("penalty", ["none", "r1", "wgan_gp"])
def test_bfloat16_leaves_losses_codes_and_samples_in_float32_and_near_those_without(penalty: str) -> None:
    """Under autocast the parts of every loss are float32 and within bfloat16's rounding of what they are without it."""
    loss = "wasserstein" if penalty == "wgan_gp" else "non_saturating"
    with seeded(0):
        model = SemiSupervisedAAE(
            X,
            X,
            Category(3),
            latent=7,
            pose=True,
            encoder_augment=0.5,
            hidden=(8,),
            discriminator_hidden=(6,),
            loss=loss,
            penalty=penalty,
            spectral_norm=True,
            penalty_weight=1.0,
        )
    batch = {"x": numbers(6, 1, 4, 4).float(), "x_labelled": numbers(6, 1, 4, 4, seed=1).float(), "label": torch.arange(6) % 3}
    model.eval()  # in training a forward pass moves the estimate of the largest singular value
    for player in model.stages()[0].players:
        plain = player.loss(batch, noise(6, player.name, torch.float32))
        with torch.autocast("cpu", torch.bfloat16):
            halved = player.loss(batch, noise(6, player.name, torch.float32))
        for name, part in halved.items():
            if isinstance(part, torch.Tensor):
                assert part.dtype == torch.float32, name
                torch.testing.assert_close(part, plain[name], rtol=0.05, atol=0.05)
