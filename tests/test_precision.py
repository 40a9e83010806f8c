"""Precision, compilation, and options that training refuses."""

import math
import shutil
import warnings

import pytest
import torch
from torch.testing import assert_close

from pofx.errors import UserError
from pofx.kinds import Vector
from pofx.models.adversarial.gan import GAN
from pofx.plan import Player, Stage
from pofx.train import Training, train
from tests.two_layers import B, D, game, numbers, trainer


def test_bf16_computes_in_bfloat16_and_keeps_float32_weights():
    seen = []

    def play(model):
        def loss(batch, noise):
            if torch.is_grad_enabled():  # not in validation
                seen.append(model.first(batch["x"]).dtype)
            return model.loss(batch, noise)

        return [Stage("s", [Player("p", [model], loss)])]

    t = trainer(game(play), precision="bf16", steps=3, eval_every=100)
    t.run()
    assert set(seen) == {torch.bfloat16}
    assert {p.dtype for p in t.model.parameters()} == {torch.float32}
    whole = trainer(game(play), steps=3, eval_every=100)
    whole.run()
    for p, q in zip(t.model.parameters(), whole.model.parameters(), strict=True):
        assert_close(p, q, atol=5e-3, rtol=0)


@pytest.mark.parametrize(("precision", "native", "told"), [("bf16", False, True), ("bf16", True, False), ("fp32", False, False)])
def test_a_processor_that_only_emulates_bf16_is_told_of(precision, native, told, monkeypatch, tmp_path):
    monkeypatch.setattr("pofx.train.loop.computes_bf16", lambda device: native)
    training = Training(precision=precision, steps=1, batch_size=B, device="cpu")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        train(GAN(Vector(D), latent=2, hidden=(3,)), numbers(), training, tmp_path / "run")
    assert any("--precision fp32" in str(warning.message) for warning in said) == told


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_layers_learn_the_same():
    def play(model):
        return [Stage("s", [Player("p", [model.first], lambda b, n: {"l": model.first(b["x"]).square().sum(1)})])]

    compiled, plain = trainer(game(play), steps=2, compile=True), trainer(game(play), steps=2)
    for t in (compiled, plain):
        t.run()
    assert list(compiled.weights()) == list(plain.weights())
    for p, q in zip(compiled.model.parameters(), plain.model.parameters(), strict=True):
        assert_close(p, q)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps must be 1 or more, not 0"),
        ({"batch_size": -1}, "batch_size must be 1 or more, not -1"),
        ({"seed": 2**63}, "seed must be between 0 and"),
        ({"lr": 0.0}, "lr must be above 0, not 0.0"),
        ({"lr": math.nan}, "lr must be a number, not nan"),
        ({"schedule": "cosin"}, "did you mean cosine?"),
        ({"ema": 1.0}, "ema must be between 0 and 0.99999, not 1.0"),  # such an average never leaves the initial weights
        ({"warmup": 1.0}, "warmup must be between 0 and 0.99, not 1.0"),
        ({"average": 0}, "average must be 1 or more, not 0"),
        ({"average": 5, "ema": 0.9}, "ema and average are two ways to average the weights: give one of them"),
        ({"schedule": "inverse_sqrt"}, "schedule inverse_sqrt falls from the end of the warm-up: give warmup above 0"),
        ({"epochs": 2, "steps": 3}, "give steps or epochs, not both"),
        ({"device": "tpu"}, "device must be auto, cpu, cuda or cuda:0, not 'tpu'"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(UserError, match=r"^[^\n]*$") as found:
        Training(**options)
    assert message in str(found.value)


def test_a_state_of_another_model_is_refused():
    t = trainer(game(), steps=2)
    t.run()
    tensors, record = t.state()
    del tensors["model/first.weight"]
    with pytest.raises(UserError, match="the training state is not of this model"):
        trainer(game(), steps=2).load(tensors, record)
