"""When a number is not finite: replay the move under hooks and name where it went wrong. Normal steps pay nothing for this."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from pofx.errors import Diverged, UserError
from pofx.plan import Batch, Logged, Part, Player, Ratio
from pofx.randomness import Noise
from pofx.run import write_tensors


def diagnose(
    model: nn.Module, player: Player, batch: Batch, noise: Callable[[], Noise], step: int, folder: Path | None, good: int
) -> Diverged:
    """The error that names the step, the player, the loss part and the first module whose output is bad; the batch is saved.

    Args:
        model: all modules, for their names
        player: who moved
        batch: what it moved on
        noise: makes the same noise again
        step: the step's number
        folder: the run's state folder, where the batch is saved; None saves nothing
        good: the step of the last good state
    """
    bad: list[str] = []

    def watch(name: str, module: nn.Module) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if not bad and isinstance(output, Tensor) and not finite(output):
                bad.append(f"the first bad output is of {name or 'the model'} ({type(module).__name__})")

        return hook

    hooks = [module.register_forward_hook(watch(name, module)) for name, module in model.named_modules()]
    try:
        with torch.compiler.set_stance("force_eager"):  # hooks see nothing inside compiled modules
            parts = player.loss(batch, noise())
    finally:
        for handle in hooks:
            handle.remove()
    wrong = [name for name, part in parts.items() if not all(finite(t) for t in tensors(part))]
    if wrong:
        what = f"loss part {', '.join(wrong)} is not finite"
        where = bad[0] if bad else "every module's output is finite, so the loss itself makes it"
    else:
        worst = [name for name, p in model.named_parameters() if p.grad is not None and not finite(p.grad)]
        what = "the loss is finite but its gradient is not"
        where = f"bad gradients: {', '.join(worst[:3])}{', ...' if len(worst) > 3 else ''}" if worst else "it was so in another replica"
    saved = ""
    if folder is not None:
        file = folder / "bad_batch.safetensors"
        try:
            write_tensors(file, batch, {"step": str(step), "player": player.name})
            saved = f"; the batch is in {file}"
        except UserError as error:
            saved = f"; the batch could not be kept ({error})"
    return Diverged(
        f"step {step}, player {player.name}: {what}; {where}{saved}; the last good state is of step {good}: "
        "look for odd values in the data, or resume with a lower --lr or with --clip 1"
    )


def tensors(part: Part) -> tuple[Tensor, ...]:
    """The tensors that a part of a loss holds."""
    return tuple(part) if isinstance(part, (Logged, Ratio)) else (part,)


def finite(tensor: Tensor) -> bool:
    """Whether every number is finite."""
    return bool(torch.isfinite(tensor).all())
