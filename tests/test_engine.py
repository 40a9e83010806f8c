"""The engine's arithmetic: equal bit for bit to loops written by hand."""

import json
import math
import re
import shutil
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from pofx.data import Column, Data, Split
from pofx.errors import Diverged, UserError
from pofx.game import SGD, Adam, ClosedForm, Noise, Player, Ratio, Stage, Watched, no_loss
from pofx.kinds import Vector
from pofx.model import Model
from pofx.models.adversarial.gan import GAN
from pofx.run import read_tensors, write_tensors
from pofx.train import Training, train
from pofx.train.trainer import Trainer

D, ROWS, B = 3, 10, 4  # the third batch reaches into the second epoch


def numbers(rows=ROWS, valid=5):
    source = np.random.default_rng(0)
    columns = {n: Column(Vector(D), source.standard_normal((k, D)).astype(np.float32)) for n, k in (("train", rows), ("valid", valid))}
    return Data({"x": Vector(D)}, {name: Split({"x": column}) for name, column in columns.items()}, {"spec": "numbers", "sha256": ""})


class Game(Model):
    """A model whose stages a test makes up: `first` and `second` are layers that players may own."""

    def __init__(self, x: Vector):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first, self.second = nn.Linear(x.dims, 2), nn.Linear(2, x.dims)

    def stages(self):
        return self.play(self)

    def loss(self, batch, noise):
        x = batch["x"] + 0.1 * noise.normal(D)
        return {"error": (self.second(self.first(x).tanh()) - batch["x"]).square().sum(1), "size": 0.01 * self.first(x).square().sum(1)}


def game(play=lambda model: [Stage("train", [Player("coder", [model], model.loss)])]):
    model = Game(Vector(D))
    model.play = play
    return model


def trainer(model, **options):
    return Trainer(model, numbers(), Training(**{"steps": 10, "batch_size": B, "keep": "last", "device": "cpu", **options}))


def batch(number, seed=0):
    return numbers().splits["train"].batch(number, B, seed=seed)


def noise(step, player, repeat=0, *, seed=0, steps=10):
    return Noise((seed, step, player, repeat), slice(0, B), B, progress=step / steps)


def rows(t, split=None):
    return [row for row in map(json.loads, t.metrics.rows) if row.get("split") == split]


def assert_equal_weights(model, other):
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q), name


# One player


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


# Numbers


def test_logged_parts_are_means_since_the_last_row():
    t = trainer(game(lambda m: [Stage("train", [Player("coder", [m], m.loss, SGD(1e-12))])]), log_every=3, steps=7)
    t.run()
    model = game()
    per_step = [{n: p.mean().item() for n, p in model.loss(batch(s), noise(s, "coder")).items()} for s in range(7)]
    found = rows(t)
    assert [row["step"] for row in found] == [3, 6, 7]
    assert [row["examples"] for row in found] == [12, 24, 28]
    for row, steps in zip(found, ((0, 1, 2), (3, 4, 5), (6,)), strict=True):
        for name in ("error", "size"):
            assert row[f"coder.{name}"] == pytest.approx(sum(per_step[s][name] for s in steps) / len(steps), rel=1e-6)
        assert row["coder.loss"] == pytest.approx(row["coder.error"] + row["coder.size"], rel=1e-6)


def test_ratio_is_a_mean_over_counted_things_and_watched_is_not_minimised():
    def loss_of(model):
        def loss(batch, noise):
            counted = (batch["x"] > -1).sum(1)
            return {"nats": Ratio(model.first(batch["x"]).square().sum(1), counted), "wrong": Watched(model.second.weight.sum() * counted)}

        return loss

    t = trainer(game(lambda m: [Stage("s", [Player("p", [m.first], loss_of(m), SGD(0.1))])]), steps=1, log_every=1)
    t.run()
    model, x = game(), batch(0)["x"]
    counted = (x > -1).sum(1)
    assert counted.sum() != B, "nothing is shown here"
    nats = model.first(x).square().sum() / counted.sum()
    gradient = torch.autograd.grad(nats, model.first.weight)[0]
    assert_close(t.model.first.weight, model.first.weight - 0.1 * gradient)
    [row] = rows(t)
    assert row["p.nats"] == pytest.approx(nats.item())
    assert row["p.loss"] == pytest.approx(nats.item())
    assert row["p.wrong"] == pytest.approx((model.second.weight.sum() * counted.float().mean()).item())


def test_validation_is_the_mean_over_its_split_with_the_same_noise_every_time():
    t = trainer(game(lambda m: [Stage("s", [Player("p", [m], m.loss, SGD(1e-12))])]), eval_every=3, seed=2)
    t.run()
    found = rows(t, "valid")
    assert [row["step"] for row in found] == [3, 6, 9, 10]
    model = game()
    parts = model.loss(numbers().splits["valid"].read(range(5)), Noise((2, "valid", 0), slice(0, 5), 5))
    for row in found:
        assert row["p.error"] == pytest.approx(parts["error"].mean().item(), rel=1e-6)
        assert row["p.loss"] == pytest.approx(sum(part.mean().item() for part in parts.values()), rel=1e-6)


@pytest.mark.parametrize("ema", [None, 0.5])
def test_the_best_weights_are_kept_and_they_are_the_average_where_one_is(ema):
    t = trainer(
        game(lambda m: [Stage("s", [Player("p", [m], m.loss, SGD(0.4, momentum=0.9))])]), eval_every=1, keep="best", ema=ema, steps=12
    )
    seen, validate = [], t._validate

    def remembered():
        seen.append({n: t.average.get(n, p).detach().clone() for p, n in t.names.items()})
        validate()

    t._validate = remembered  # type: ignore[method-assign]
    t.run()
    losses = [row["p.loss"] for row in rows(t, "valid")]
    assert t.best_step == 1 + losses.index(min(losses)) < 12, "the last is the best: nothing is shown here"
    assert t.best_loss == min(losses)
    for name, tensor in t.weights().items():
        assert torch.equal(tensor, seen[t.best_step - 1][name])


def mean_of(snapshots):
    return {name: sum((other[name] for other in snapshots[1:]), snapshots[0][name].clone()) / len(snapshots) for name in snapshots[0]}


def snapshots_of(t):
    """The weights at each validation of what is about to be trained, as it goes."""
    seen, validate = [], t._validate

    def remembered():
        seen.append({name: p.detach().clone() for name, p in t.model.named_parameters()})
        validate()

    t._validate = remembered
    return seen


@pytest.mark.parametrize("keep", ["best", "last"])
def test_the_mean_of_the_weights_at_the_last_validations_is_validated_and_kept(keep):
    """Its loss is the one that counts; the newest weights' stands beside it."""
    t = trainer(
        game(lambda m: [Stage("s", [Player("p", [m], m.loss, SGD(0.4, momentum=0.9))])]), eval_every=2, keep=keep, average=3, steps=12
    )
    seen = snapshots_of(t)
    t.run()
    assert len(seen) == 6
    means = [mean_of(seen[max(0, k - 2) : k + 1]) for k in range(6)]
    split, fixed, model = numbers().splits["valid"].read(range(5)), Noise((0, "valid", 0), slice(0, 5), 5), game()
    for name, weights in (("valid", means), ("valid, newest", seen)):
        for row, held in zip(rows(t, name), weights, strict=True):
            model.load_state_dict(held)
            fixed.__dict__.pop("generator", None)
            assert row["p.loss"] == pytest.approx(sum(part.mean().item() for part in model.loss(split, fixed).values()), rel=1e-6)
    losses = [row["p.loss"] for row in rows(t, "valid")]
    best = losses.index(min(losses))
    assert 0 < best < 5, "nothing is shown here"
    assert (t.best_loss, t.best_step) == (losses[best], 2 * best + 2)
    for name, tensor in t.weights().items():
        assert torch.equal(tensor, means[best if keep == "best" else 5][name]), name
    for name, p in t.model.named_parameters():
        assert torch.equal(p, seen[5][name]), "the weights that are trained on are not the mean"


def test_a_mean_of_the_last_weights_begins_anew_in_each_stage():
    def play(model):
        player = Player("p", [model], model.loss, SGD(0.1))
        return [Stage("one", [player], until=0.5), Stage("two", [player])]

    t = trainer(game(play), eval_every=2, average=4, steps=12)
    seen = snapshots_of(t)
    t.run(until=7)
    assert not t.recent.held
    t.run()
    for name, tensor in t.weights().items():
        assert torch.equal(tensor, mean_of(seen[3:])[name]), name


def test_a_game_of_several_players_keeps_the_mean_of_its_last_weights():
    def play(model):
        return [Stage("s", [Player("a", [model.first], model.loss, SGD(0.1)), Player("b", [model.second], model.loss, SGD(0.1))])]

    t = trainer(game(play), eval_every=5, average=2, keep="best")
    seen = snapshots_of(t)
    t.run()
    for name, tensor in t.weights().items():
        assert torch.equal(tensor, mean_of(seen)[name]), name


@pytest.mark.parametrize("k", [1, 4, 7, 9])
def test_the_mean_of_the_last_weights_resumes_exactly(k, tmp_path):
    """In the middle between two validations, and before the window is full."""
    options = {"average": 3, "eval_every": 2, "schedule": "inverse_sqrt", "warmup": 0.2, "keep": "best"}
    unbroken, first, second = (trainer(game(), **options) for _ in range(3))
    unbroken.run()
    first.run(until=k)
    write_tensors(tmp_path / "state.safetensors", *first.state())
    second.metrics = first.metrics
    second.load(*read_tensors(tmp_path / "state.safetensors"))
    second.run()
    assert second.metrics.rows == unbroken.metrics.rows
    for (name, one), other in zip(unbroken.weights().items(), second.weights().values(), strict=True):
        assert torch.equal(one, other), name


def test_early_stopping_counts_validations_without_improvement_in_the_last_stage():
    def still(model):
        return lambda batch, noise: {"same": 1.0 + 0 * model.first(batch["x"]).sum(1)}

    t = trainer(game(lambda m: [Stage("s", [Player("p", [m.first], still(m))])]), eval_every=2, patience=3, steps=100)
    t.run()
    assert t.step == 8  # the first validation is an improvement on nothing
    assert t.ended
    stages = [("a", 0.5), ("b", 1.0)]
    t = trainer(
        game(lambda m: [Stage(n, [Player(n, [m.first], still(m))], until=u) for n, u in stages]), eval_every=2, patience=3, steps=100
    )
    t.run()
    assert t.step == 58


# Several players and stages


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
                    Player("critic", [model.first], loss_of("critic", model.first), repeat=2),
                    Player("generator", [model.second], loss_of("generator", model.second), every=3),
                ],
            )
        ]

    t = trainer(game(play), steps=5, log_every=5, eval_every=100)
    t.run()
    assert t.updates == {"critic": 10, "generator": 2}
    assert t.batches == 10
    assert rows(t)[0]["examples"] == 10 * B
    expected = []
    for step in range(5):
        for name, repeats, moves in (("critic", 2, True), ("generator", 1, step % 3 == 0)):
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


# No silent failure


@pytest.mark.parametrize(
    ("shape", "of"), [("()", lambda error: error.mean()), (f"({B}, {D})", lambda error: error), (f"({B}, 1)", lambda error: error[:, :1])]
)
def test_a_loss_part_that_is_not_per_example_is_named(shape, of):
    t = trainer(game(lambda m: [Stage("s", [Player("p", [m], lambda b, n: {"l": of((m.second(m.first(b["x"])) - b["x"]).square())})])]))
    with pytest.raises(UserError, match=re.escape(f"loss part p.l has shape {shape}: give one number an example, ({B},)")):
        t.run()


@pytest.mark.parametrize("device", ["cuda:x", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(UserError, match=f"no device '{device}' here .*: say --device auto or --device cpu"):
        trainer(game(), device=device)


def test_the_replay_of_a_move_has_its_precision():
    """What overflows under bf16 alone is named, too."""
    seen = []

    def play(model):
        def loss(batch, noise):
            h = model.first(batch["x"])
            seen.append(h.dtype)
            return {"l": h.sum(1) * (math.inf if noise.progress == 0.5 else 1.0)}

        return [Stage("s", [Player("p", [model.first], loss)])]

    with pytest.raises(Diverged, match="loss part l is not finite"):
        trainer(game(play), precision="bf16", steps=6, eval_every=100).run()
    assert seen == [torch.bfloat16] * 5  # four moves and the replay of the last


class Brittle(nn.Module):
    """The identity, until training has come to step 6 of 10."""

    def forward(self, h, progress):
        return h / 0 if progress == 0.6 else h


def breaks(where):
    def play(model):
        model.brittle = Brittle()

        def loss(batch, noise):
            h = model.first(batch["x"])
            now = noise.progress == 0.6
            if where == "module":
                h = model.brittle(h, noise.progress)
            if where == "gradient" and now:
                h = h + (0 * h).sqrt()  # 0, but its slope is 0 times infinity
            error = h.square().sum(1)
            return {"fine": error.abs(), "odd": error * torch.inf if where == "loss" and now else error}

        return [Stage("s", [Player("coder", [model], loss, SGD(0.01))])]

    return play


@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("module", "loss part fine, odd is not finite; the first bad output is of brittle (Brittle)"),
        ("loss", "loss part odd is not finite; every module's output is finite, so the loss itself makes it"),
        ("gradient", "the loss is finite but its gradient is not; bad gradients: first.weight, first.bias"),
    ],
)
def test_a_number_that_is_not_finite_is_named_and_never_saved(where, what, tmp_path):
    (tmp_path / "state").mkdir()
    training = Training(steps=10, batch_size=B, device="cpu", checkpoint_every=4, eval_every=100)
    t = Trainer(game(breaks(where)), numbers(), training, state=tmp_path / "state")
    with pytest.raises(Diverged) as found:
        t.run()
    message = str(found.value)
    assert message.startswith(f"step 6, player coder: {what}"), message
    assert "the last good state is of step 4" in message
    saved, record = read_tensors(tmp_path / "state" / "bad_batch.safetensors")
    assert torch.equal(saved["x"], batch(6)["x"])
    assert record == {"step": "6", "player": "coder"}
    good, record = read_tensors(tmp_path / "state" / "training.safetensors")
    assert json.loads(record["pofx"])["step"] == 4
    assert all(tensor.isfinite().all() for tensor in good.values())
    assert all(p.isfinite().all() for p in t.model.parameters()), "the bad step was taken"


def test_a_large_but_finite_gradient_is_no_failure():
    def play(model):
        return [Stage("s", [Player("p", [model.first], lambda b, n: {"l": 5e37 * model.first(b["x"]).sum(1).sigmoid()}, SGD(1e-38))])]

    t = trainer(game(play), steps=1, eval_every=100)
    t.run()
    assert t.step == 1


# Precision, compilation, options


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
def test_a_processor_that_only_emulates_bf16_is_told_of(precision, native, told, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("pofx.train.trainer.computes_bf16", lambda device: native)
    training = Training(precision=precision, steps=1, batch_size=B, device="cpu")
    train(GAN(Vector(D), latent=2, hidden=(3,)), numbers(), training, tmp_path / "run")
    assert ("--precision fp32" in capsys.readouterr().err) == told


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
