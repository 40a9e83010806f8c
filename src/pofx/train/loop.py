"""The loop: one engine for every plan. It moves the players of each stage, logs, validates, and saves a state that resumes exactly.

Everything random is a function of (seed, number): batches of their number, noise of (step, player, repeat). So the state holds no
generator, and training 2k steps is training k, stopping anywhere, and resuming.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pofx import renamed
from pofx.errors import Diverged, UserError
from pofx.model import Model
from pofx.plan import Batch, ClosedForm, Logged, Part, Player, Ratio, solved
from pofx.randomness import Noise
from pofx.run import seeded, write_tensors
from pofx.train.averaging import Recent, averageable, swapped
from pofx.train.diagnosis import diagnose, finite
from pofx.train.log import Metrics, Totals, at_once
from pofx.train.monitor import IDLE, Watch
from pofx.train.optimizers import Closed, Gradient, rate
from pofx.train.paired import require_paired
from pofx.train.strategy import Replicas, computes_bf16, device
from pofx.train.torch_private import lerp_

if TYPE_CHECKING:
    from pofx.data import Data
    from pofx.train import Training

Report = Callable[[dict[str, Any]], None]

SAVE_SECONDS = 30.0  # between states, where no number of steps was asked for; what a state holds does not depend on it


class Trainer:
    """A model, its data and how far its training has come.

    Args:
        model: moved in place; its dtype is the batches' dtype
        data: batches come from its `train` split, the best weights are chosen on its `valid` split
        training: steps, batch size, schedules; see `pofx.train.Training`
        state: folder for what resume needs and for the batch that broke a run; None keeps all in memory
        metrics: where rows of numbers go
        report: called with each row of numbers and how fast it went
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        training: Training,
        *,
        state: Path | None = None,
        metrics: Metrics | None = None,
        report: Report | None = None,
    ):
        self.device = device(training.device)
        self.replicas = Replicas(self.device)
        self.model, self.data, self.training = model.to(self.device), data, training
        self.state_folder, self.metrics, self.report = state, metrics or Metrics(None), report
        self.dtype = next((t.dtype for t in model.state_dict().values() if t.is_floating_point()), torch.float32)
        self.fields = list(model.inputs)
        require_paired(model, data)
        self.stages = list(model.stages())
        self.names = {p: name for name, p in model.named_parameters()}
        self.trainable = [p for p in model.parameters() if p.requires_grad]
        for stage in self.stages:
            if len({player.name for player in stage.players}) < len(stage.players):
                raise UserError(f"{model.title()}: two players of stage {stage.name} have one name; each needs its own")
            for player in stage.players:
                multiple = player.together * self.replicas.world
                if player.together > 1 and training.batch_size % multiple:
                    raise UserError(f"{player.name} takes {player.together} rows together: batch_size must be a multiple of {multiple}")
        least = 2 * self.replicas.world if any(isinstance(module, torch.nn.BatchNorm1d) for module in model.modules()) else 1
        if training.batch_size < least:
            raise UserError(f"{model.title()} is normalised over the batch: batch_size must be {least} or more, not {training.batch_size}")
        self.examples = len(data.splits["train"])
        self.total = training.total(self.examples, closed=solved(self.stages))
        if len(data.splits["valid"]) < self.replicas.world:
            raise UserError(f"{self.replicas.world} replicas need as many validation examples, and there are {len(data.splits['valid'])}")
        self.rate = rate(training.schedule, training.warmup)

        self.step = 0  # steps done
        self.stage = -1  # number of the stage entered; none yet
        self.begun = 0  # step at which it was entered
        self.batches = 0  # batches read
        self.updates = {player.name: 0 for stage in self.stages for player in stage.players}
        self.optimizers: dict[str, Gradient | Closed] = {}  # of the players of the stage that was entered last
        self.average: dict[str, Tensor] = {}  # moving average of the weights, if asked for
        self.best: dict[str, Tensor] = {}  # the weights that did best on the validation split
        self.best_loss, self.best_step, self.worse = math.inf, 0, 0
        self.saved = 0  # step of the last state that was saved
        self.stop_asked = False
        self.notes: list[str] = []  # what a user should know of this machine
        if training.precision == "bf16" and not computes_bf16(self.device):
            self.notes.append("this processor has no bf16 of its own and is many times slower with it: train with --precision fp32")
        self.sums: dict[str, list[float]] = {}  # name -> [sum, count] of logged values since the last row

        self.replicas.same(model.state_dict().values())
        if training.compile:
            for child in model.children():
                child.compile()
        self.live = averageable(model)
        self.recent = Recent(self.live, training.average or 0)
        together = any(len(stage.players) > 1 for stage in self.stages)
        self.watch = Watch(model, data, training) if together else None
        if training.ema is not None:
            self.average = {name: tensor.detach().clone() for name, tensor in self.live.items()}

    # The loop

    def run(self, until: int | None = None) -> None:
        """Train until step `until` (default: to the end), saving, validating and logging on the way.

        Raises:
            Diverged: a loss or gradient was not finite; the bad step was not saved
        """
        until = self.total if until is None else min(until, self.total)
        every = self.training
        evaluate_every = every.eval_every or max(1, self.total // 50)
        self.model.train()
        clock = saved = time.monotonic()
        last = self.step
        while self.step < until and not self.ended:
            self._enter()
            self._play()
            self.step += 1
            if self.step % every.log_every == 0 or self.step == self.total:
                seconds = time.monotonic() - clock
                self._log((self.step - last) / max(seconds, 1e-9))
                clock, last = time.monotonic(), self.step
            if self.step % evaluate_every == 0 or self.step == self.total:
                self._validate()
            if every.checkpoint_every is not None:
                due = self.step % every.checkpoint_every == 0
            else:
                due = self.step % evaluate_every == 0 and time.monotonic() - saved > SAVE_SECONDS
            if self.replicas.any(due) or self.ended:
                self.save()
                saved = time.monotonic()
            if self.replicas.any(self.stop_asked):
                self.stop_asked = True  # in every replica, so that none takes the run for done
                self.save()
                break
        self._give_gradients_to_all()
        self.model.eval()

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to do: all steps are done, or early stopping says so."""
        patience, last = self.training.patience, self.stage == len(self.stages) - 1
        return self.step >= self.total or (last and patience is not None and self.worse >= patience)

    def _enter(self) -> None:
        """Enter the stage that the coming step belongs to, if it is a new one."""
        new = self.stage
        while new < 0 or (new + 1 < len(self.stages) and self.step >= self._end(new)):
            new += 1
            self._begin(new, fresh=True)

    def _end(self, stage: int) -> int:
        return self.total if stage == len(self.stages) - 1 else round(self.stages[stage].until * self.total)

    def _begin(self, number: int, *, fresh: bool) -> None:
        stage, before = self.stages[number], self.optimizers
        if fresh and stage.on_enter is not None:
            with seeded(self.training.seed + 1 + number):  # what it draws is a function of the seed, like all else
                stage.on_enter()
        self._give_gradients_to_all()
        self.stage = number
        if fresh:
            self.begun = self.step
        self.optimizers = {}
        for player in stage.players:
            if isinstance(player.optimizer, ClosedForm):
                self.optimizers[player.name] = Closed(player, self.examples, self.replicas)
            else:
                t = self.training
                self.optimizers[player.name] = Gradient(player, self.names, lr=t.lr, factor=self.rate, clip=t.clip, replicas=self.replicas)
            if fresh and stage.keep_optimizers and player.name in before:
                self.optimizers[player.name].load(before[player.name].state())
        if fresh and number > 0:  # what was best in another stage is not comparable
            self.best, self.best_loss, self.best_step, self.worse, self.recent.held = {}, math.inf, 0, 0, []

    def _play(self) -> None:
        """One step: every player of the stage moves."""
        stage, batches, read = self.stages[self.stage], list[Batch](), 0
        done = (self.step - self.begun) / max(1, self._end(self.stage) - self.begun)
        for player in stage.players:
            if (self.step - self.begun) % player.every:
                continue
            optimizer = self.optimizers[player.name]
            for repeat in range(player.repeat):
                if isinstance(optimizer, Closed):  # one pass is over batches of its own, from the first, whatever was read before
                    batch = self._batch(optimizer.seen // self.training.batch_size)
                else:
                    if repeat == len(batches):
                        batches.append(self._batch(self.batches + repeat))
                    batch = batches[repeat]
                self._move(player, batch, repeat, done)
                read = max(read, repeat + 1)
        self.batches += read
        if self.step + 1 == self._end(self.stage):
            for optimizer in self.optimizers.values():
                if isinstance(optimizer, Closed):
                    optimizer.end()
        if self.average and self.training.ema is not None:
            lerp_(list(self.average.values()), [t.detach() for t in self.live.values()], 1 - self.training.ema)

    def _move(self, player: Player, batch: Batch, repeat: int, done: float) -> None:
        optimizer, total = self.optimizers[player.name], self.training.batch_size
        if isinstance(optimizer, Closed):
            optimizer.add(batch, total)
            self.updates[player.name] += 1
            return
        if self.mover != player.name:
            self._give_gradients_to(player.name, optimizer)

        def noise() -> Noise:
            return self._noise((self.training.seed, self.step, player.key, repeat), total, self.step / self.total)

        with self._precision():
            parts = player.loss(batch, noise())
        means = {name: self._mean(f"{player.name}.{name}", part, total) for name, part in parts.items()}
        moving = [means[name] for name, part in parts.items() if not isinstance(part, Logged)]
        loss = sum(moving[1:], moving[0])
        loss.backward()
        gradients = optimizer.gradients()
        if len(means) > 1:
            means["loss"] = loss
        row = (self.step // self.training.log_every + 1) * self.training.log_every
        if len(self.optimizers) > 1 and self.step + player.every >= min(row, self.total):  # its last move before the next row of metrics
            norm = torch.nn.utils.get_total_norm(gradients)
            means["gradient_norm"] = norm if self.replicas.rank == 0 else 0 * norm  # all replicas have the same, and rows sum over them
        numbers = torch.stack([*(mean.detach() for mean in means.values()), *(g.sum() for g in gradients)]).tolist()
        if not math.isfinite(sum(numbers)) and not all(map(finite, [loss, *gradients])):  # a sum of finite numbers may overflow
            folder = self.state_folder if self.replicas.rank == 0 else None
            with self._precision():
                raise diagnose(self.model, player, batch, noise, self.step, folder, self.saved)
        optimizer.step(gradients, done)
        optimizer.clear()
        self.updates[player.name] += 1
        for name, value in zip(means, numbers):  # noqa: B905  (the gradients' sums follow)
            entry = self.sums.setdefault(f"{player.name}.{name}", [0.0, 0])
            entry[0] += value
            entry[1] += 1

    def _mean(self, name: str, part: Part, total: int) -> Tensor:
        """This replica's share of the mean over the global batch."""
        if isinstance(part, Ratio):
            count = part.counted.sum().to(part.total.dtype)
            self.replicas.sum([count])
            return part.total.sum() / count
        values, mine = part.values.detach() if isinstance(part, Logged) else part, self.replicas.cut(total)
        if values.shape != (mine.stop - mine.start,):
            raise UserError(
                f"loss part {name} has shape {tuple(values.shape)}: give one number an example, ({mine.stop - mine.start},), not their mean"
            )
        return values.mean() if len(values) == total else values.sum() / total

    def _give_gradients_to_all(self) -> None:
        for p in self.trainable:
            p.requires_grad_(True)
        self.mover = ""

    def _give_gradients_to(self, name: str, optimizer: Gradient) -> None:
        """The player's parameters alone take gradients while it moves."""
        if len(self.stages) > 1 or len(self.optimizers) > 1:
            for p in self.trainable:
                if p.requires_grad is not (p in optimizer.own):
                    p.requires_grad_(not p.requires_grad)
        self.mover = name

    def _batch(self, number: int) -> Batch:
        total = self.training.batch_size
        noise = self._noise((self.training.seed, "batch", number), total, 1.0)
        batch = self.data.splits["train"].batch(number, total, seed=self.training.seed, cut=self.replicas.cut(total), noise=noise)
        return self._placed(batch)

    def _placed(self, batch: Batch) -> Batch:
        return {
            name: batch[name].to(self.device, self.dtype if batch[name].is_floating_point() else None, non_blocking=True)
            for name in self.fields
        }

    def _noise(self, key: tuple, total: int, progress: float) -> Noise:
        return Noise(key, self.replicas.cut(total), total, device=self.device, dtype=self.dtype, progress=progress)

    def _precision(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16) if self.training.precision == "bf16" else nullcontext()

    # Numbers

    def _log(self, steps_a_second: float) -> None:
        values = torch.tensor([total for total, _ in self.sums.values()], dtype=torch.float64, device=self.device)
        self.replicas.sum([values])
        examples = self.batches * self.training.batch_size
        row: dict[str, Any] = {"step": self.step, "stage": self.stages[self.stage].name, "examples": examples}
        row |= {name: value / count for (name, (_, count)), value in zip(self.sums.items(), values.tolist(), strict=True)}
        self.sums = {}
        self._write(row, steps_a_second)

    def _write(self, row: dict[str, Any], steps_a_second: float | None) -> None:
        if self.replicas.rank == 0:
            self.metrics.add(row, steps_a_second)
            if self.report is not None:
                self.report({**row, "total": self.total, "steps_a_second": steps_a_second})
            if self.watch is not None:
                for warning in self.watch.warnings(row, self.total):
                    self._write({"step": self.step, "warning": warning}, None)

    def _validate(self) -> None:
        """Loss on the validation split, with the weights that would be kept; remembers the best where one player plays.

        A stage of several players has no such loss: there the first replica looks at samples.
        """
        self.recent.add()
        players = self.stages[self.stage].players
        gradient = [p for p in players if not isinstance(p.optimizer, ClosedForm)]
        if len(players) > 1:
            failed: Exception | None = None
            assert self.watch is not None
            if self.replicas.rank == 0 and self.watch.due(self.step, self.total):
                try:
                    with self.averaged():
                        row = self.watch.check(self.step, self.total, self.state_folder and self.state_folder.parent / "samples")
                    self._write({"step": self.step, "split": "valid", **row}, None)
                except Exception as error:  # whatever it is, the other replicas must not wait for this one
                    failed = error
            if self.replicas.any(failed is not None):
                raise failed or Diverged(f"step {self.step}: samples could not be checked; the first replica says why")
        if len(players) != 1 or not gradient:
            return
        if self.recent.held:
            self._write({"step": self.step, "split": "valid, newest", **self.validation(gradient[0])[1]}, None)
        with self.averaged():
            loss, row = self.validation(gradient[0])
            if not math.isfinite(loss):
                raise Diverged(
                    f"step {self.step}: the loss on the validation split is not finite ({loss}) though training's is: "
                    f"look for odd values in that split; the last good state is of step {self.saved}"
                )
            better = loss < self.best_loss
            if better and self.training.keep == "best":
                self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        if better:
            self.best_loss, self.best_step, self.worse = loss, self.step, 0
        else:
            self.worse += 1
        self._write({"step": self.step, "split": "valid", **row}, None)

    @torch.no_grad()
    def validation(self, player: Player) -> tuple[float, dict[str, float]]:
        """Mean loss of `player` over the validation split, and its named parts; the same noise every time."""
        split, totals = self.data.splits["valid"], Totals()
        rows, size = split.by_length(), at_once(self.model.inputs[self.fields[0]], self.training.batch_size)
        self.model.eval()
        for start in range(0, len(split), size):
            total = min(size, len(split) - start)
            mine = self.replicas.cut(total)
            if mine.stop == mine.start:
                continue
            batch = self._placed(split.read(rows[start + mine.start : start + mine.stop]))
            noise = self._noise((self.training.seed, "valid", start), total, 1.0)
            totals.add(player.loss(batch, noise))
        self.model.train()
        loss, means = totals.means(self.replicas, self.device)
        return loss, {f"{player.name}.{name}": value for name, value in {**means, "loss": loss}.items()}

    def averaged(self) -> AbstractContextManager[None]:
        """The average of the weights in the model's place, if one is kept."""
        return swapped(self.live, self.recent.mean() or self.average)

    def weights(self) -> dict[str, Tensor]:
        """The weights to use: the best on the validation split, or the last (their average, if one is kept)."""
        if self.best:
            return self.best
        with self.averaged():
            return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    # State

    def state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Everything that resume needs: tensors, and a record of plain values as JSON. All replicas call it together."""
        groups = {"model": self.model.state_dict(), "average": self.average, "recent": self.recent.state(), "best": self.best}
        tensors = {f"{group}/{name}": t.detach() for group, found in groups.items() for name, t in found.items()}
        for player, optimizer in self.optimizers.items():
            tensors |= {f"optimizer/{player}/{name}": t for name, t in optimizer.state().items()}
        record = {
            "step": self.step, "total": self.total, "stage": self.stage, "begun": self.begun,
            "batches": self.batches, "updates": self.updates,
            "best_loss": self.best_loss, "best_step": self.best_step, "worse": self.worse,
            "sums": self.replicas.gather(self.sums), "metrics": self.metrics.length,
            "watch": IDLE if self.watch is None else self.watch.state(),  # every state has one
            "threads": torch.get_num_threads(), "torch": torch.__version__,
        }  # fmt: skip
        return tensors, {"pofx": json.dumps(record)}

    def load(self, tensors: dict[str, Tensor], record: dict[str, str]) -> None:
        """Take up the state that `state` gave.

        Raises:
            UserError: the state is not of this model
        """
        try:
            players = [player.name for stage in self.stages for player in stage.players]
            yours = self.model.family() == "yours"
            tensors, found = renamed.state(tensors, json.loads(record["pofx"]), self.model.state_dict(), players, yours=yours)
            groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "recent": {}, "best": {}, "optimizer": {}}
            for key, tensor in tensors.items():
                group, _, name = key.partition("/")
                groups[group][name] = tensor
            self.model.load_state_dict(groups["model"])
            for name, average in self.average.items():  # in memory of its own: where a tensor begins may change a product's last digits
                average.copy_(groups["average"][name])
            self.recent.load(groups["recent"])
            self.best = {name: t.to(self.device) for name, t in groups["best"].items()}
            self.step, self.batches, self.updates = found["step"], found["batches"], found["updates"]
            self.sums = found["sums"][self.replicas.rank] if len(found["sums"]) == self.replicas.world else {}
            self.best_loss, self.best_step, self.worse = found["best_loss"], found["best_step"], found["worse"]
            if "watch" in found and self.watch is not None:  # not in the oldest states
                self.watch.load(found["watch"])
            self.saved = self.step
            if found["stage"] >= 0:
                self.begun = found["begun"]
                self._begin(found["stage"], fresh=False)
                for player, optimizer in self.optimizers.items():
                    prefix = f"{player}/"
                    own = {k.removeprefix(prefix): t for k, t in groups["optimizer"].items() if k.startswith(prefix)}
                    if own:
                        optimizer.load(own)
        except (KeyError, RuntimeError, ValueError) as error:
            raise UserError(f"the training state is not of this model: {error}") from error
        self.metrics.cut(found["metrics"])
        for name, before, now in (("threads", found["threads"], torch.get_num_threads()), ("torch", found["torch"], torch.__version__)):
            if before != now:
                self.notes.append(f"{name} was {before} before and is {now} now: the last digits may differ from an unbroken run's")

    def save(self) -> None:
        """Save the state and the weights to use, each whole or not at all; rank 0 alone writes. A bad state is never saved."""
        bad = [name for p, name in self.names.items() if not finite(p)]
        if bad:
            raise Diverged(
                f"step {self.step}: {bad[0]} is not finite after the update though its gradient was: resume with a lower --lr; "
                f"the last good state is of step {self.saved}"
            )
        state = self.state()
        if self.state_folder is not None and self.replicas.rank == 0:
            self.metrics.sync()
            # the state last: whoever stops in between goes on from the state before, and writes the weights again
            write_tensors(self.state_folder.parent / "model.safetensors", self.weights())
            write_tensors(self.state_folder / "training.safetensors", *state)
        self.saved = self.step
