"""No silent failure: what is not finite, not of its shape or not there is named."""

import json
import math
import re

import pytest
import torch
from torch import nn

from pofx.errors import Diverged, UserError
from pofx.plan import SGD, Player, Stage
from pofx.run import read_tensors
from pofx.train import Training
from pofx.train.loop import Trainer
from tests.two_layers import B, D, batch, game, numbers, trainer


@pytest.mark.parametrize(
    ("shape", "of"), [("()", lambda error: error.mean()), (f"({B}, {D})", lambda error: error), (f"({B}, 1)", lambda error: error[:, :1])]
)
def test_a_loss_part_that_is_not_per_example_is_named(shape, of):
    t = trainer(game(lambda m: [Stage("s", [Player("p", [m], lambda b, n: {"l": of((m.second(m.first(b["x"])) - b["x"]).square())})])]))
    with pytest.raises(UserError, match=re.escape(f"loss part p.l has shape {shape}: give one number an example, ({B},)")):
        t.run()


@pytest.mark.parametrize("device", ["cuda:x", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device):
    with pytest.raises(UserError, match=f"no device '{device}' here .*: pass --device auto or --device cpu"):
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
