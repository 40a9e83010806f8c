"""`pofx resume`: go on with a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.commands.finish import finished, replicas_done
from pofx.commands.verb import verb
from pofx.environment import first_replica
from pofx.errors import Done
from pofx.options import Positive, Size

if TYPE_CHECKING:
    pass


@verb()
def resume(
    run: str, *, steps: Size | None = None, lr: Positive | None = None, clip: Positive | None = None, trust: bool = False
) -> dict[str, Any]:
    """Go on with a run that was stopped, exactly where it was.

    Args:
        run: a run folder
        steps: train to this many steps in all, instead of the number first asked for
        lr: learning rate from here on, after a run that diverged
        clip: largest norm of a player's whole gradient from here on, likewise
        trust: execute the model file that the run carries
    """
    from pofx import train as engine
    from pofx.commands.progress import TrainingProgress
    from pofx.data import reload
    from pofx.run import Run

    with replicas_done():
        with TrainingProgress() as progress, _old_scores_aside(Path(run)):
            try:
                done = engine.resume(run, steps=steps, lr=lr, clip=clip, trust=trust, report=progress)
            except Done:
                if (Path(run) / "README.md").is_file():
                    raise
                done = Run(run)  # stopped between its last step and its pictures
        return finished(done, reload(done.config["data"], done.tokenizers()))


@contextmanager
def _old_scores_aside(run: Path) -> Iterator[None]:
    """Scores belong to the weights they were measured on: when those change, scores.json becomes scores-before.json."""
    weights, scores = run / "model.safetensors", run / "scores.json"
    before = weights.read_bytes() if scores.exists() else b""
    try:
        yield
    finally:
        if first_replica() and scores.exists() and weights.read_bytes() != before:
            scores.replace(run / "scores-before.json")
