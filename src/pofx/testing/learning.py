"""Checks of training: who gets gradients, what a loss may depend on, and that a resumed run is the unbroken one bit for bit."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pofx.capabilities import MixesRows, can
from pofx.model import Model
from pofx.plan import ClosedForm, Player, Ratio
from pofx.run import read_tensors, write_tensors
from pofx.testing.cases import BATCH, Case, check, close, global_generator_untouched, moves, noise, stirred, values
from pofx.train import Training
from pofx.train.averaging import BATCH_NORMS
from pofx.train.loop import Trainer
from pofx.train.optimizers import Gradient

STEPS = 8
VISIBLE = 1e-10  # of a gradient: what rounding leaves in float64 is smaller


def batch_statistics(model: Model) -> bool:
    """Whether a layer of the model makes one example's numbers depend on its neighbours in training."""
    return any(isinstance(module, BATCH_NORMS) or (can(module, MixesRows) and module.mixes_rows) for module in model.modules())


class Observed(Trainer):
    """A trainer that remembers the largest gradient of each parameter, and stops when a player moves what it does not own."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.largest = dict.fromkeys(self.names.values(), 0.0)

    def _begin(self, number: int, *, fresh: bool) -> None:
        super()._begin(number, fresh=fresh)
        for optimizer in self.optimizers.values():
            if isinstance(optimizer, Gradient):
                optimizer.gradients = self._watch(optimizer)  # type: ignore[method-assign]

    def _watch(self, optimizer: Gradient) -> Any:
        def gradients() -> list[Tensor]:
            owned = set(optimizer.parameters)
            for p, name in self.names.items():
                if p.grad is not None:
                    assert p in owned, f"{name} takes a gradient while a player moves that does not own it"
                    self.largest[name] = max(self.largest[name], p.grad.abs().max().item())
            return type(optimizer).gradients(optimizer)

        return gradients

    def _move(self, player: Player, *rest: Any) -> None:
        owned = {p for module in player.modules for p in module.parameters()}
        before = {name: p.detach().clone() for p, name in self.names.items() if p not in owned}
        super()._move(player, *rest)
        for p, name in self.names.items():
            assert name not in before or torch.equal(before[name], p), f"{player.name} moved {name}, which it does not own"


@check()
def gradients(case: Case) -> None:
    """Every parameter gets a gradient from a player that owns it, in some stage, and none from another."""
    model = case.model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    trainer = Observed(model, case.data(), Training(steps=STEPS, batch_size=BATCH, device="cpu"))
    trainer.run()
    players = [player for stage in trainer.stages for player in stage.players]
    solved = {p for player in players if isinstance(player.optimizer, ClosedForm) for module in player.modules for p in module.parameters()}
    for p, name in trainer.names.items():
        if p in set(trainer.trainable) - solved:
            assert trainer.largest[name] > VISIBLE, f"{name} gets no gradient from any player (largest: {trainer.largest[name]:g})"
    assert any(not torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items()), "training changes nothing"


@check()
def loss_parts(case: Case) -> None:
    """A loss draws only from its noise; its parts are per example, and a row's part depends on that row alone."""
    model, whole = stirred(case.model()), case.batch()
    independent = not batch_statistics(model)
    if not independent:
        assert "batch" in (case.cls.__doc__ or ""), "a model with batch statistics says so in its docstring"
    for player in moves(model):
        with global_generator_untouched():
            parts = player.loss(whole, noise(key=player.name))
        cuts = []
        for rows in (slice(0, 3), slice(3, BATCH)):
            cuts.append(player.loss({name: v[rows] for name, v in whole.items()}, noise(rows, key=player.name)))
        for name, part in parts.items():
            assert isinstance(part, (Tensor, tuple)), f"{player.name}.{name} is {type(part).__name__}"
            for k, v in enumerate(values(part)):
                assert v.shape == (BATCH,), f"{player.name}.{name} has shape {tuple(v.shape)}, not one number an example ({BATCH},)"
                if independent:
                    joined = torch.cat([values(cut[name])[k] for cut in cuts])
                    close(joined, v, f"{player.name}.{name} depends on other rows")
            assert not isinstance(part, Ratio) or (part.counted >= 0).all(), f"{player.name}.{name} counts below zero"


PLANS: dict[str, dict[str, Any]] = {
    "plain": {"keep": "last"},
    "averaged": {"ema": 0.9, "schedule": "cosine", "warmup": 0.25, "clip": 1.0, "keep": "best"},
}


@check()
def resume(case: Case) -> None:
    """Training to the end equals training to any step, saving, and a new model that loads that and trains on: bit for bit.

    The states are those of one run, saved on its way to the end: so for each of them, training went on after it was saved, and what came
    after is lost. That saving leaves a run as it is, is held against a run that saves nothing, under the plan with more to save.
    """
    for name, plan in PLANS.items():
        training = Training(steps=STEPS, batch_size=BATCH, log_every=3, eval_every=2, device="cpu", **plan)
        first, saved = Trainer(case.model(torch.float32), case.data(), training), dict[int, Any]()
        with tempfile.TemporaryDirectory() as folder:
            for k in (1, 4, 6):
                first.run(until=k)
                write_tensors(Path(folder) / "state.safetensors", *first.state())
                saved[k] = *read_tensors(Path(folder) / "state.safetensors"), finished(first)
        first.run()
        expected, rows = finished(first), list(first.metrics.rows)
        if name == "averaged":
            unbroken = Trainer(case.model(torch.float32), case.data(), training)
            unbroken.run()
            differ(finished(unbroken), expected, "saved on the way")
        for k, (tensors, record, at_k) in saved.items():
            second = Trainer(case.model(torch.float32), case.data(), training)
            second.metrics.rows, second.metrics.length = list(rows), first.metrics.length
            second.load(tensors, record)
            differ(finished(second), at_k, f"loaded at step {k}")
            second.run()
            differ(finished(second), expected, f"resumed at step {k}")


def finished(trainer: Trainer) -> dict[str, Any]:
    """All that a run leaves behind."""
    tensors, record = trainer.state()
    weights = {f"weights/{name}": tensor for name, tensor in trainer.weights().items()}
    return {**{k: v.clone() for k, v in (tensors | weights).items()}, **json.loads(record["pofx"]), "rows": list(trainer.metrics.rows)}


def differ(found: dict[str, Any], expected: dict[str, Any], when: str) -> None:
    """Fail where two runs left something different behind."""
    assert found.keys() == expected.keys(), f"{when}: {sorted(found.keys() ^ expected.keys())}"
    for name, value in expected.items():
        same = torch.equal(found[name], value) if isinstance(value, Tensor) else found[name] == value
        assert same, f"{when}, {name} differs from the unbroken run"
