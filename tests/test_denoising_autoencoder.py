"""Corruption is what it says, falls on the input alone, and only in training; each stage moves its own layer."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from pofx.errors import UserError
from pofx.kinds import Binary, Category, Image, Series, Vector
from pofx.layers.corruption import Injector, gaussian, masking, salt_and_pepper
from pofx.models.autoencoders.autoencoder import AutoEncoder
from pofx.models.autoencoders.denoising_autoencoder import DenoisingAutoEncoder
from pofx.models.autoencoders.stacked_denoising import StackedDenoisingAutoEncoder
from pofx.randomness import Noise

ROWS = 400


def noise(rows=ROWS, step=0):
    return Noise((0, step, "denoising"), slice(0, rows), rows, dtype=torch.float64)


def close_to(rate, expected, count):
    """Within five standard errors of a rate over `count` draws."""
    return abs(rate - expected) <= 5 * math.sqrt(expected * (1 - expected) / count) + 1e-12


@pytest.mark.parametrize("level", [0.0, 0.1, 0.5, 1.0])
def test_masking_rate_and_mean(level):
    x = torch.full((ROWS, 5, 40), 0.7, dtype=torch.float64)
    y = masking(x, level, noise())
    assert set(y.unique().tolist()) <= {0.0, 0.7}
    assert close_to((y == 0).double().mean().item(), level, y.numel())
    assert close_to(y.mean().item() / 0.7, 1 - level, y.numel())  # E[x~] = (1 - level) x


@pytest.mark.parametrize("level", [0.0, 0.1, 0.5, 1.0])
def test_salt_and_pepper_rates_and_mean(level):
    x = torch.full((ROWS, 5, 40), 0.7, dtype=torch.float64)
    y = salt_and_pepper(x, level, noise())
    assert set(y.unique().tolist()) <= {0.0, 0.7, 1.0}
    for value, rate in [(0.0, level / 2), (1.0, level / 2), (0.7, 1 - level)]:
        assert close_to((y == value).double().mean().item(), rate, y.numel())
    expected = (1 - level) * 0.7 + level / 2  # E[x~] = (1 - level) x + level / 2
    assert abs(y.mean().item() - expected) <= 5 * 0.5 / math.sqrt(y.numel())


@pytest.mark.parametrize("level", [0.0, 0.3, 2.0])
def test_gaussian_mean_and_variance(level):
    x = torch.full((ROWS, 5, 40), 0.7, dtype=torch.float64)
    y = gaussian(x, level, noise())
    assert abs(y.mean().item() - 0.7) <= 5 * level / math.sqrt(y.numel()) + 1e-12
    assert abs(y.var().item() - level**2) <= 5 * level**2 * math.sqrt(2 / y.numel()) + 1e-12


def test_every_number_is_corrupted_on_its_own():
    """Neighbours, rows and steps share no mask: agreement of any two is that of independent draws."""
    y = masking(torch.ones(ROWS, 200, dtype=torch.float64), 0.5, noise())
    other = masking(torch.ones(ROWS, 200, dtype=torch.float64), 0.5, noise(step=1))
    for a, b in [(y[:, 1:], y[:, :-1]), (y[1:], y[:-1]), (y, other)]:
        assert close_to((a == b).double().mean().item(), 0.5, a.numel())


def pair(kind, **arguments):
    """An autoencoder and a denoising one with its weights."""
    plain, denoising = (
        AutoEncoder(kind, latent=3, hidden=(6,)).double(),
        DenoisingAutoEncoder(kind, latent=3, hidden=(6,), **arguments).double(),
    )
    denoising.load_state_dict(plain.state_dict())
    return plain, denoising


@pytest.mark.parametrize("kind", [Image(1, 4, 4), Binary(9), Vector(5), Series(6, 2)])
@pytest.mark.parametrize("corruption", ["masking", "gaussian", "salt_and_pepper"])
def test_level_zero_is_the_autoencoder(kind, corruption):
    if corruption == "salt_and_pepper" and not isinstance(kind, (Image, Binary)):
        with pytest.raises(UserError, match="salt_and_pepper needs x in"):
            pair(kind, corruption=corruption, level=0.0)
        return
    plain, denoising = pair(kind, corruption=corruption, level=0.0)
    batch = {"x": torch.rand(8, *kind.shape, dtype=torch.float64).round()}
    assert_close(denoising.loss(batch, noise(8)), plain.loss(batch, noise(8)), rtol=0, atol=0)


def test_loss_is_against_the_clean_input():
    """Everything masked: the restoration knows nothing of x, and is still held against x itself."""
    _, model = pair(Vector(5), corruption="masking", level=1.0)
    x = torch.randn(8, 5, dtype=torch.float64)
    blind = model.decode(model.encode(torch.zeros_like(x)))
    assert_close(model.loss({"x": x}, noise(8))["mse"], (blind - x).square().mean(1))


def test_nothing_is_corrupted_outside_training():
    plain, model = pair(Image(1, 4, 4), level=0.5)
    x = torch.rand(8, 1, 4, 4, dtype=torch.float64)
    assert_close(model.encode(x), plain.encode(x), rtol=0, atol=0)  # inference never corrupts, whatever the mode
    assert not torch.allclose(model.loss({"x": x}, noise(8))["bernoulli"], plain.loss({"x": x}, noise(8))["bernoulli"])
    assert_close(model.eval().loss({"x": x}, noise(8)), plain.loss({"x": x}, noise(8)), rtol=0, atol=0)


def test_levels_are_checked():
    with pytest.raises(UserError, match="a probability, between 0 and 1"):
        DenoisingAutoEncoder(Vector(3), level=1.5)
    Injector("gaussian", 1.5, bounded=False)


# The stack


def stack(kind=Image(1, 4, 4), **arguments):  # noqa: B008  (kinds are values)
    torch.manual_seed(0)
    return StackedDenoisingAutoEncoder(kind, Category(3), **{"hidden": (7, 6, 5), **arguments}).double()


def batch(kind=Image(1, 4, 4), rows=8):  # noqa: B008
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(rows, *kind.shape, generator=generator, dtype=torch.float64)
    return {"x": x, "label": torch.randint(3, (rows,), generator=generator)}


def reached(model, loss):
    """Names of the parameters that the loss sends a gradient to."""
    model.zero_grad()
    torch.stack([part.mean() for part in loss.values() if isinstance(part, torch.Tensor)]).sum().backward()
    return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 1e-12}


def owned(model, player):
    """Names of the parameters that the player moves."""
    moved = {id(p) for module in player.modules for p in module.parameters()}
    return {name for name, p in model.named_parameters() if id(p) in moved}


def test_each_stage_moves_its_layer_and_tuning_moves_all_of_them():
    model = stack()
    stages = model.stages()
    assert [stage.until for stage in stages] == pytest.approx([1 / 6, 1 / 3, 1 / 2, 1])
    prefixes = [*((f"encoders.{k}.", f"decoders.{k}.") for k in range(3)), ("encoders.", "classifier.")]
    for stage, prefix in zip(stages, prefixes, strict=True):
        (player,) = stage.players
        expected = {name for name, _ in model.named_parameters() if name.startswith(prefix)}
        assert reached(model, player.loss(batch(), noise(8))) == expected
        assert owned(model, player) == expected


@pytest.mark.parametrize("kind", [Image(1, 4, 4), Vector(6)])
def test_a_layer_restores_the_clean_code_of_the_layers_below(kind):
    """All masked, so what is restored is a constant: sigmoid(b) through the layer's decoder."""
    model, x = stack(kind, level=1.0), batch(kind)["x"]
    v = x.flatten(1)
    for k, stage in enumerate(model.stages()[:-1]):
        loss = stage.players[0].loss({"x": x}, noise(8))
        linear = model.encoders[k][0]
        blind = model.decoders[k](linear.bias.sigmoid()).expand_as(v)
        if k == 0 and isinstance(kind, Vector):
            assert_close(loss, {"squared_error": (blind - v).square().sum(1)})
        else:
            assert_close(loss, {"cross_entropy": F.binary_cross_entropy(blind.sigmoid(), v, reduction="none").sum(1)})
        v = linear(v).sigmoid()


def test_tuning_is_torchs_cross_entropy_and_watches_the_error_rate():
    model, data = stack(), batch()
    loss, logits = model.loss(data, noise(8)), model.classify(data["x"])
    assert_close(loss["cross_entropy"], F.cross_entropy(logits, data["label"], reduction="none"))
    assert_close(loss["error"].values, (logits.argmax(1) != data["label"]).double())
    assert_close(logits, model.classifier(model.encode(data["x"])))


def test_tuning_noise_is_asked_for_and_silent_outside_training():
    data = batch()
    for arguments in ({"tune_level": 0.5}, {"dropout": 0.5}):
        model = stack(**arguments)
        clean = F.cross_entropy(model.classify(data["x"]), data["label"], reduction="none")
        assert not torch.allclose(model.loss(data, noise(8))["cross_entropy"], clean)
        assert_close(model.eval().loss(data, noise(8))["cross_entropy"], clean)


def test_without_pretraining_only_tuning_is_left():
    assert [stage.name for stage in stack(pretrain=0.0).stages()] == ["tune"]
    with pytest.raises(UserError, match="pretrain must be between 0 and 0"):
        stack(pretrain=1.0)
    with pytest.raises(UserError, match="hidden must name the units"):
        stack(hidden=())
    with pytest.raises(AttributeError, match="train denoising_autoencoder"):
        stack().decode(torch.zeros(2, 5))
