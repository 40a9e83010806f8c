"""The engine: `train` begins a run, `resume` goes on with it."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from pofx import renamed
from pofx.environment import first_replica
from pofx.errors import Done, Interrupted, UserError
from pofx.options import Positive, Range, Seed, Size, check_value
from pofx.plan import solved
from pofx.run import Run, create, describe, explained, match_precision, naming, read_tensors, refuse_unknown, write_config

if TYPE_CHECKING:
    from pofx.data import Data
    from pofx.model import Model
    from pofx.train.loop import Report, Trainer

STEPS = 3000  # when neither steps nor epochs are asked for


@dataclass(frozen=True)
class Training:
    """How to train.

    Args:
        steps: how many steps to train; 3000 when neither steps nor epochs are given (a closed form takes one pass)
        epochs: passes over the training split, instead of steps
        batch_size: examples a step, over all replicas
        seed: of the initial weights, the order of the data and all noise
        lr: learning rate of every player, instead of the model's own
        schedule: of the learning rate within a stage; cosine and linear go to zero, inverse_sqrt falls from the end of the warm-up as
            1 / sqrt(step)
        warmup: share of a stage over which the learning rate rises from zero
        clip: largest norm of a player's whole gradient
        ema: decay of a moving average of the weights, such as 0.999; the average is validated and kept
        average: keep the mean of the weights at the last so many validations, such as 5, which is what is validated
        keep: weights to keep: best on the validation split (where one player plays), or last
        patience: stop after this many validations in a row without improvement (where one player plays)
        log_every: steps between rows of metrics
        eval_every: steps between validations; a fiftieth of all steps by default
        checkpoint_every: steps between saved states; by default at a validation when 30 seconds have passed since the last
        precision: fp32, or bf16 autocast
        compile: compile the model's child modules with torch.compile
        device: auto takes a GPU where there is one
    """

    steps: Size | None = None
    epochs: Positive | None = None
    batch_size: Size = 100
    seed: Seed = 0
    lr: Positive | None = None
    schedule: Literal["constant", "cosine", "linear", "inverse_sqrt"] = "constant"
    warmup: Annotated[float, Range(0, 0.99)] = 0.0
    clip: Positive | None = None
    ema: Annotated[float, Range(0, 0.99999)] | None = None
    average: Size | None = None
    keep: Literal["best", "last"] = "best"
    patience: Size | None = None
    log_every: Size = 20
    eval_every: Size | None = None
    checkpoint_every: Size | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, annotation in get_type_hints(Training, include_extras=True).items():
            check_value(name, annotation, getattr(self, name))
        if self.steps is not None and self.epochs is not None:
            raise UserError("give steps or epochs, not both")
        if self.ema is not None and self.average is not None:
            raise UserError("ema and average are two ways to average the weights: give one of them")
        if self.schedule == "inverse_sqrt" and not self.warmup:
            raise UserError("schedule inverse_sqrt falls from the end of the warm-up: give warmup above 0, such as 0.04")
        if self.device != "auto" and self.device.split(":")[0] not in ("cpu", "cuda"):
            raise UserError(f"device must be auto, cpu, cuda or cuda:0, not {self.device!r}")

    def total(self, examples: int, *, closed: bool = False) -> int:
        """All steps, for a training split of `examples`; `closed` when every player has a closed form.

        Example:
            >>> Training(epochs=2, batch_size=100).total(1250)
            25
        """
        if self.steps is not None:
            return self.steps
        if self.epochs is None and not closed:
            return STEPS
        return math.ceil((self.epochs or 1) * examples / self.batch_size)


def train(model: Model, data: Data, training: Training, out: str | Path, *, report: Report | None = None) -> Run:
    """Train `model` on `data` in the new run folder `out`.

    Args:
        model: constructed under the same seed for a run that can be repeated (`pofx.run.seeded`)
        data: from `pofx.data.load`
        training: how
        out: the run folder to make; an existing one is an error
        report: called with each row of metrics as a dict, beside `total` and `steps_a_second`

    Raises:
        UserError: before anything is written, when something must be changed
        Diverged: a number was not finite; the last good state is kept
        Interrupted: SIGINT or SIGTERM came; the state was saved
    """
    from pofx.train.loop import Trainer  # torch's optimizers take a while to import

    out = Path(out)
    trainer = Trainer(model, data, training, state=out / "state", report=report)
    if solved(trainer.stages):
        for name in ("lr", "schedule", "warmup", "clip", "ema", "average", "patience"):
            if getattr(training, name) != getattr(Training, name):
                raise UserError(f"{model.title()} is solved in closed form and has no use for {name}: remove --{name}")
        window, stride = data.record.get("window"), data.record.get("stride") or 1
        if data.tokenizers and window and stride < window:
            raise UserError(
                f"{model.title()} counts each token of each window, and these overlap: a token would count up to {-(-window // stride)} "
                f"times. Load the text with stride={window}, as long as the window: --stride {window}"
            )
    if training.patience is not None and len(playing := trainer.stages[-1].players) > 1:
        names = ", ".join(player.name for player in playing)
        raise UserError(f"{model.title()} is trained by {names}, whose losses together say nothing of when to stop: remove --patience")
    if trainer.replicas.rank == 0:
        create(out, {"model": describe(model), "data": data.record, "training": asdict(training)}, model, data.tokenizers)
        with explained(out):
            (out / "state").mkdir()
        trainer.metrics.folder = out
    with ExitStack() as held:
        if trainer.replicas.rank == 0:
            held.enter_context(_alone(out))
        trainer.save()  # all replicas together, for each has its own sums
        return _finish(trainer, out)


def resume(
    out: str | Path,
    *,
    steps: int | None = None,
    lr: float | None = None,
    clip: float | None = None,
    trust: bool = False,
    report: Report | None = None,
) -> Run:
    """Go on with the run in `out`: bit-equal on the CPU (same machine, same threads) to a run that was never stopped.

    Args:
        out: the run folder
        steps: train to this many steps in all, instead of the number first asked for; schedules then follow the new total
        lr: learning rate from here on, instead of the one so far
        clip: largest norm of a player's whole gradient from here on
        trust: execute the model file that the run carries, if it carries one
        report: as in `train`

    Raises:
        UserError: there is nothing to resume, another process is at it, or the data are not what they were
        Done: all steps are done
    """
    from pofx.data import reload
    from pofx.train.log import Metrics
    from pofx.train.loop import Trainer

    file = Path(out) / "state" / "training.safetensors"
    with ExitStack() as held:
        if file.is_file() and first_replica():  # with torchrun, one replica writes for all
            held.enter_context(_alone(Path(out)))  # before anything is read: another process may just be going on with it
        run = Run(out)
        if not file.is_file():
            raise UserError(
                f"{run.path} holds no training state to resume from ({file.name} is missing): delete the folder and train again"
            )
        tensors, record = read_tensors(file)
        with naming(run.path / "config.json"):
            if missing := [name for name in ("data", "training") if name not in run.config]:
                raise UserError(f"section {missing[0]!r} is not there, without which nothing can be resumed")
            refuse_unknown(run.config["training"], [field.name for field in fields(Training)], " in section 'training'")
            training = Training(**run.config["training"])
        if steps is not None:
            training = replace(training, steps=steps, epochs=None)
        training = replace(training, lr=training.lr if lr is None else lr, clip=training.clip if clip is None else clip)
        model = run.blank(trust=trust)  # whose file may have a kind of its own, which the data are of
        data = reload(run.config["data"], run.tokenizers())
        match_precision(model, {name: tensor for name, tensor in tensors.items() if name.startswith("model/")})
        trainer = Trainer(model, data, training, state=run.path / "state", report=report)
        if trainer.replicas.rank == 0:
            trainer.metrics = Metrics(run.path)
        trainer.load(tensors, record)
        if steps is not None and trainer.step < trainer.total and trainer.ended:
            trainer.worse = 0  # early stopping ended it, and more steps are asked for
        if trainer.ended:
            raise Done(f"{run.path} is done: {trainer.step} steps; to train on, pass --steps with more")
        if trainer.replicas.rank == 0:
            write_config(run.path, {**run.config, "training": asdict(training)})
        return _finish(trainer, run.path)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keep other processes from training in `out`, where the file system has locks. However this process ends, the system lets go."""
    with explained(out):
        state = os.open(out / "state", os.O_RDONLY)
    try:
        try:
            fcntl.flock(state, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno == errno.EWOULDBLOCK:
                raise UserError(f"{out} is in training by another process: wait for it, or stop it and resume then") from None
        yield
    finally:
        os.close(state)


def _finish(trainer: Trainer, out: Path) -> Run:
    keep_freed_memory()
    for note in trainer.notes if trainer.replicas.rank == 0 else ():
        warnings.warn(note, stacklevel=3)
    with _stops(trainer):
        trainer.run()
    if trainer.stop_asked and not trainer.ended:
        raise Interrupted(f"stopped at step {trainer.step} of {trainer.total}; the state is saved: go on with `pofx resume {out}`")
    return Run(out)


def keep_freed_memory() -> None:
    """Let glibc keep what is freed. By default it hands each large tensor back to the system, and every step faults its pages in again.

    A third of the step of a small convolutional or recurrent net with bf16 on the CPU was spent so. Where the C library is another one,
    nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
        mallopt(M_MMAP_THRESHOLD, 1 << 30)
        mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


@contextmanager
def _stops(trainer: Trainer) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the step in hand, save, and stop. A second signal acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Any] = {}

    def ask(number: int, frame: object) -> None:
        trainer.stop_asked = True
        signal.signal(number, before[signal.Signals(number)])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


__getattr__ = renamed.stayed(__name__)  # names that are called otherwise now, or are elsewhere
