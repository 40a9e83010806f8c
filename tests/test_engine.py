"""The engine's arithmetic: equal bit for bit to loops written by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from pofx.plan import SGD, Adam, Player, Stage
from tests.two_layers import B, assert_equal_weights, batch, game, noise, trainer


def test_bit_equal_to_a_loop_by_hand_with_schedule_warm_up_clipping_and_average():
    trained = trainer(game(), lr=0.05, schedule="cosine", warmup=0.3, clip=0.5, ema=0.8, seed=7)
    trained.run()
    model = game()
    adam = torch.optim.Adam(model.parameters(), lr=0.05, fused=True)
    average = [p.detach().clone() for p in model.parameters()]
    for step in range(10):
        parts = model.loss(batch(step, seed=7), noise(step, "coder", seed=7))
        sum(part.sum() / B for part in parts.values()).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        assert norm > 0.5, "nothing is clipped here"
        adam.param_groups[0]["lr"] = 0.05 * (step / 3 if step < 3 else 0.5 + 0.5 * math.cos(math.pi * (step - 3) / 7))
        adam.step()
        adam.zero_grad()
        for mean, p in zip(average, model.parameters(), strict=True):
            mean.lerp_(p.detach(), 1 - 0.8)
    for (name, p), q in zip(trained.model.named_parameters(), model.parameters(), strict=True):
        assert_close(p, q, rtol=1e-6, atol=1e-7, msg=lambda m, n=name: f"{n}: {m}")  # type: ignore[misc]
    for mean, (name, kept) in zip(average, trained.weights().items(), strict=True):
        assert_close(kept, mean, rtol=1e-6, atol=1e-7, msg=lambda m, n=name: f"average of {n}: {m}")  # type: ignore[misc]


def test_bit_equal_to_a_loop_by_hand():
    trained = trainer(game())
    trained.run()
    model = game()
    adam = torch.optim.Adam(model.parameters(), fused=True)
    for step in range(10):
        sum(part.sum() / B for part in model.loss(batch(step), noise(step, "coder")).values()).backward()
        adam.step()
        adam.zero_grad()
    assert_equal_weights(trained.model, model)


@pytest.mark.parametrize(
    ("schedule", "warmup", "done", "factor"),
    [
        ("constant", 0.0, 0.9, 1.0),
        ("constant", 0.5, 0.25, 0.5),
        ("linear", 0.0, 0.25, 0.75),
        ("linear", 0.5, 0.75, 0.5),
        ("cosine", 0.0, 1 / 3, 0.75),
        ("cosine", 0.2, 0.6, 0.5),
        ("inverse_sqrt", 0.04, 0.02, 0.5),
        ("inverse_sqrt", 0.04, 0.04, 1.0),
        ("inverse_sqrt", 0.04, 0.16, 0.5),
        ("inverse_sqrt", 0.25, 1.0, 0.5),
    ],
)
def test_rate(schedule, warmup, done, factor):
    from pofx.train.optimizers import rate

    assert rate(schedule, warmup)(done) == pytest.approx(factor)


def test_learning_rate_is_the_players_own_unless_asked_for():
    def play(model):
        return [Stage("train", [Player("a", [model.first], model.loss, SGD(0.1)), Player("b", [model.second], model.loss, SGD(0.2))])]

    for asked, (first, second) in ((None, (0.1, 0.2)), (0.05, (0.05, 0.05))):
        t = trainer(game(play), lr=asked, steps=1)
        t.run()
        model = game(play)
        for layer, lr in ((model.first, first), (model.second, second)):
            loss = sum(part.mean() for part in model.loss(batch(0), noise(0, "a" if layer is model.first else "b", steps=1)).values())
            found = torch.autograd.grad(loss, list(layer.parameters()))
            with torch.no_grad():
                for p, g in zip(layer.parameters(), found, strict=True):
                    p -= lr * g
        for p, q in zip(t.model.parameters(), model.parameters(), strict=True):
            assert_close(p, q)


def test_weight_decay_is_decoupled():
    t = trainer(game(lambda m: [Stage("s", [Player("p", [m], m.loss, Adam(0.1, weight_decay=0.3))])]), steps=1)
    before = t.model.first.weight.detach().clone()
    t.run()
    decayed = t.model.first.weight.detach() - before * (1 - 0.1 * 0.3)
    assert_close(decayed.abs(), torch.full_like(before, 0.1), rtol=1e-3, atol=1e-4)  # Adam's first step is lr, whatever the gradient


def test_weight_decay_of_matrices_leaves_biases_alone():
    """Where the gradient is 0, Adam moves nothing, and what is left is the decay."""
    t = trainer(game(lambda m: [Stage("s", [Player("p", [m], m.loss, Adam(0.1, weight_decay=0.3, decays="matrices"))])]), steps=1)
    t._enter()
    before = {name: p.detach().clone() for name, p in t.model.named_parameters()}
    for p in t.model.parameters():
        p.grad = torch.zeros_like(p)
    t.optimizers["p"].step([p.grad for p in t.model.parameters()], 0.0)
    assert {p.dim() for p in before.values()} == {1, 2}
    for name, p in t.model.named_parameters():
        assert_close(p.detach(), before[name] * (1 - 0.1 * 0.3 if p.dim() == 2 else 1), rtol=1e-7, atol=0)
