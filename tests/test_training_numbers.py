"""What is logged, validated and kept while training."""

import pytest
import torch
from torch.testing import assert_close

from pofx.plan import SGD, Logged, Player, Ratio, Stage
from pofx.randomness import Noise
from pofx.run import read_tensors, write_tensors
from tests.two_layers import B, batch, game, noise, numbers, rows, trainer


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
            return {"nats": Ratio(model.first(batch["x"]).square().sum(1), counted), "wrong": Logged(model.second.weight.sum() * counted)}

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
