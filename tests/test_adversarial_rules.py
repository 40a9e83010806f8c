"""The adversarial rules: what is off by default, what is refused, and that the engine's promises hold with each."""

from __future__ import annotations

from typing import Any

import pytest

from pofx.bases.gan import MinibatchStd, Rules
from pofx.errors import UserError
from pofx.kinds import Image, Vector
from pofx.models.adversarial.gan import GAN
from pofx.testing.cases import Case
from pofx.testing.learning import gradients, loss_parts, resume
from tests.test_adversarial_losses import FAKE, Discrete

DEFAULTS = Rules()  # what a model plays by unless it says otherwise


def test_nothing_is_on_unless_asked_for():
    off = {
        "discriminator_steps": 1,
        "penalty": "none",
        "spectral_norm": False,
        "packing": 1,
        "discriminator_augment": 0.0,
        "smoothing": 0.0,
        "pool": 0,
    }
    assert {name: getattr(DEFAULTS, name) for name in off} == off
    assert DEFAULTS.lr_generator == DEFAULTS.lr_discriminator
    assert GAN(Vector(2)).rules == DEFAULTS, "the GAN's own defaults are the base's"
    assert not any(isinstance(module, MinibatchStd) for module in GAN(Vector(2)).modules())


def test_a_model_plays_by_the_rules_that_it_takes_and_no_others():
    model = Discrete(Vector(5), fake=FAKE, smoothing=0.1, loss="least_squares")
    assert model.rules == Rules("least_squares", smoothing=0.1)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"discriminator_steps": 0}, "discriminator_steps must be 1 or more, not 0"),
        ({"packing": 0}, "packing must be 1 or more, not 0"),
        ({"smoothing": 0.1, "loss": "hinge"}, "loss hinge has no labels to smooth"),
        ({"smoothing": 0.1, "loss": "wasserstein", "penalty": "wgan_gp"}, "loss wasserstein has no labels to smooth"),
        ({"smoothing": 0.5}, "smoothing must be below 0.5"),
        ({"loss": "wasserstein"}, "use penalty wgan_gp, or spectral_norm"),
        ({"beta1": 1.0}, "beta1 must be below 1"),
        ({"loss": "minmax"}, "did you mean minimax"),
        ({"penalty": "gp"}, "penalty must be one of none, wgan_gp, r1"),
        ({"discriminator_augment": -0.1}, "discriminator_augment must be 0 or more"),
        ({"pool": -1}, "pool must be 0 or more"),
        ({"prior": "cauchy"}, "prior must be one of gaussian, uniform"),
    ],
)
def test_rules_that_cannot_work_are_refused_before_anything_is_built(rules, said):
    with pytest.raises(UserError, match=said):
        GAN(Vector(2), **rules)


def test_wasserstein_is_taken_with_a_bounded_discriminator():
    for rules in ({"penalty": "wgan_gp"}, {"spectral_norm": True}):
        assert GAN(Vector(2), loss="wasserstein", **rules).rules.loss == "wasserstein"


OPTIONS: dict[str, dict[str, Any]] = {
    "pool": {"pool": 9},
    "spectral_norm": {"spectral_norm": True},
    "discriminator_steps": {"discriminator_steps": 2, "penalty": "wgan_gp"},
    "discriminator_augment": {"discriminator_augment": 0.5, "penalty": "wgan_gp", "pool": 9},
    "batch_norm": {"batch_norm": True},
    "no_dropout": {"body": "maxout", "dropout": False},
    "maxout": {"body": "maxout", "packing": 3, "discriminator_hidden": (4,), "penalty": "r1", "minibatch_std": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_engines_promises_hold_with_every_option(options):
    """Resumed runs are the unbroken ones bit for bit; players move what they own; a part is that of its row."""

    class Optioned(GAN):
        """As the GAN, whose options may make an example's numbers depend on its batch."""

        small = GAN.small | options

    case = Case(Optioned, {"x": Image(1, 4, 4) if "discriminator_augment" in options else Vector(2)})
    resume(case)
    gradients(case)
    if not {"pool", "packing", "spectral_norm"} & options.keys():  # which mix rows, or count how often they are asked
        loss_parts(case)
