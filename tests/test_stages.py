"""Several players, several stages, and players that are solved in closed form."""

from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pofx.kinds import Vector
from pofx.model import Model
from pofx.plan import SGD, ClosedForm, Player, Stage, no_loss
from tests.two_layers import B, D, batch, game, noise, numbers, rows, trainer


def test_every_and_repeat_count_steps_updates_and_batches():
    seen = []

    def play(model):
        def loss_of(name, layer):
            def loss(batch, noise):
                seen.append((name, noise.normal(1)[0].item(), batch["x"][0, 0].item()))
                return {"loss": layer(batch["x"] if layer is model.first else batch["x"][:, :2]).square().sum(1)}

            return loss

        return [
            Stage(
                "play",
                [
                    Player("discriminator", [model.first], loss_of("discriminator", model.first), repeat=2),
                    Player("generator", [model.second], loss_of("generator", model.second), every=3),
                ],
            )
        ]

    t = trainer(game(play), steps=5, log_every=5, eval_every=100)
    t.run()
    assert t.updates == {"discriminator": 10, "generator": 2}
    assert t.batches == 10
    assert rows(t)[0]["examples"] == 10 * B
    expected = []
    for step in range(5):
        for name, repeats, moves in (("discriminator", 2, True), ("generator", 1, step % 3 == 0)):
            for r in range(repeats if moves else 0):
                expected.append((name, noise(step, name, r, steps=5).normal(1)[0].item(), batch(2 * step + r)["x"][0, 0].item()))
    assert seen == expected


def test_only_the_player_that_moves_takes_gradients_and_all_do_afterwards():
    seen = []

    def play(model):
        def loss_of(name):
            def loss(batch, noise):
                seen.append((name, model.first.weight.requires_grad, model.second.weight.requires_grad))
                return model.loss(batch, noise)

            return loss

        return [Stage("s", [Player("a", [model.first], loss_of("a")), Player("b", [model.second], loss_of("b"))])]

    t = trainer(game(play), steps=2)
    t.run()
    assert seen == [("a", True, False), ("b", False, True)] * 2
    assert all(p.requires_grad for p in t.model.parameters())


def test_stages_begin_at_their_share_of_all_steps_and_schedules_run_within_them():
    entered, rates = [], []

    def play(model):
        player = Player("p", [model], model.loss, SGD(1.0))
        return [
            Stage("one", [player], until=0.25, on_enter=lambda: entered.append(("one", t.step))),
            Stage("none", [player], until=0.25, on_enter=lambda: entered.append(("none", t.step))),
            Stage("two", [player], on_enter=lambda: entered.append(("two", t.step))),
        ]

    t = trainer(game(play), steps=10, schedule="linear", lr=1e-3, eval_every=100, log_every=1)
    play_step = t._play

    def remembered():
        play_step()
        rates.append(t.optimizers["p"].rate)  # type: ignore[union-attr]

    t._play = remembered  # type: ignore[method-assign]
    t.run()
    assert entered == [("one", 0), ("none", 2), ("two", 2)]
    assert [row["stage"] for row in rows(t)] == ["one"] * 2 + ["two"] * 8
    assert_close(rates, [1e-3 * (1 - k / 2) for k in range(2)] + [1e-3 * (1 - k / 8) for k in range(8)])


def test_more_steps_asked_for_in_a_later_stage_leave_its_beginning_where_it_was():
    """The second stage began at step 5 of 10; of 40 steps it is 3 / 35 done after 8, and its rate has not gone below zero."""

    def play(model):
        return [
            Stage("one", [Player("p", [model.first], model.loss)], until=0.5),
            Stage("two", [Player("p", [model], model.loss, SGD(1.0))]),
        ]

    first = trainer(game(play))
    first.run(until=8)
    more = trainer(game(play), steps=40, schedule="linear", lr=1e-3)
    more.load(*first.state())
    more.run(until=9)
    assert_close(more.optimizers["p"].rate, 1e-3 * (1 - 3 / 35))  # type: ignore[union-attr]
    more.run()
    assert more.step == 40


@pytest.mark.parametrize("keep", [True, False])
def test_optimizers_are_kept_between_stages_where_asked(keep):
    def play(model):
        part, whole = [model.first], [model.first, model.second]
        return [
            Stage("part", [Player("p", part, model.loss, SGD(0.01, momentum=0.9))], until=0.5),
            Stage("whole", [Player("p", whole, model.loss, SGD(0.01, momentum=0.9))], keep_optimizers=keep),
        ]

    t = trainer(game(play), steps=6)
    t.run()
    model = game()
    momentum = {p: torch.zeros_like(p) for p in model.parameters()}
    for step in range(6):
        if step == 3 and not keep:
            momentum = {p: torch.zeros_like(p) for p in model.parameters()}
        own = list(model.first.parameters() if step < 3 else model.parameters())
        loss = sum(part.sum() / B for part in model.loss(batch(step), noise(step, "p", steps=6)).values())
        with torch.no_grad():
            for p, g in zip(own, torch.autograd.grad(loss, own), strict=True):
                momentum[p] = 0.9 * momentum[p] + g
                p -= 0.01 * momentum[p]
    for p, q in zip(t.model.parameters(), model.parameters(), strict=True):
        assert_close(p, q)


def test_what_a_stage_draws_when_it_begins_is_a_function_of_the_seed():
    def play(model):
        return [
            Stage(
                "s",
                [Player("p", [model.second], lambda batch, noise: {"l": model.second(batch["x"][:, :2]).sum(1)})],
                on_enter=model.first.reset_parameters,
            )
        ]

    found = []
    for seed, other in ((3, 0), (3, 99), (4, 0)):
        torch.manual_seed(other)
        t = trainer(game(play), steps=1, seed=seed)
        t.run()
        found.append(t.model.first.weight)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


# Closed forms


class Mean(Model):
    small: ClassVar[dict] = {}

    def __init__(self, x: Vector):
        super().__init__()
        self.register_buffer("mean", torch.full((x.dims,), torch.nan))
        self.solved: list[int] = []

    def stages(self):
        return [Stage("solve", [Player("mean", [self], no_loss, ClosedForm(self.statistics, self.solve))])]

    def statistics(self, batch):
        return {"count": torch.tensor(float(len(batch["x"]))), "sum": batch["x"].double().sum(0)}

    def solve(self, sums):
        self.solved.append(int(sums["count"]))
        self.mean.copy_(sums["sum"] / sums["count"])


@pytest.mark.parametrize(("steps", "counted"), [(None, 10), (3, 10), (8, 10), (2, 8)])
def test_closed_form_sees_each_example_once(steps, counted):
    """10 examples in batches of 4: the third batch holds 2 of the second epoch, which are left out."""
    t = trainer(Mean(Vector(D)), steps=steps)
    t.run()
    assert t.total == (steps or 3)
    assert t.model.solved == [counted]
    seen = torch.cat([batch(k)["x"] for k in range(3)])[:counted]
    assert_close(t.model.mean, seen.double().mean(0).float())


def test_closed_form_sees_each_example_once_whatever_was_read_before_it():
    """The first stage ends within an epoch, and another player reads two batches a step beside the closed form."""
    mean = Mean(Vector(D))
    mean.layer = nn.Linear(D, 1)

    def play():
        beside = Player("layer", [mean.layer], lambda batch, noise: {"l": mean.layer(batch["x"]).square().sum(1)}, repeat=2)
        closed = Player("mean", [mean], no_loss, ClosedForm(mean.statistics, mean.solve))
        return [Stage("before", [beside], until=0.5), Stage("solve", [beside, closed])]

    mean.stages = play
    t = trainer(mean, steps=8)
    t.run()
    assert t.model.solved == [10]
    assert_close(t.model.mean, numbers().splits["train"].read(range(10))["x"].mean(0))
