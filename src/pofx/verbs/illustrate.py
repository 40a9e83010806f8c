"""Pictures of a trained run: what its model's capabilities can show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pofx.kinds import Category
from pofx.verbs.files import write_picture

if TYPE_CHECKING:
    from pofx.data import Data
    from pofx.run import Run

ROWS = 10  # of samples: more classes than that are mixed


def illustrate(run: Run, data: Data) -> list[Path]:
    """Write samples, reconstructions and the curve of the loss into the run's samples folder, and say where they are."""
    import numpy as np
    import torch

    from pofx.evaluate.blocks import evaluating
    from pofx.game import generator
    from pofx.pictures import curves, grid, labelled_rows

    model = run.model(trust=True)  # the user's own file, which has just been trained
    kind, can, folder = model.inputs["x"], model.capabilities(), run.path / "samples"
    pictures = {}
    with evaluating(model):
        labels = next((label for name, label in model.inputs.items() if name != "x" and isinstance(label, Category)), None)
        if "samples" in can and labels is not None and labels.classes <= ROWS:
            given = torch.arange(labels.classes).repeat_interleave(8)
            x = model.sample(len(given), given=given, generator=generator(("sample", 0))).float().cpu().numpy()
            names = labels.names or tuple(map(str, range(labels.classes)))
            pictures["samples.png"] = labelled_rows({name: (x[8 * y : 8 * y + 8], kind) for y, name in enumerate(names)})
        elif "samples" in can:
            pictures["samples.png"] = grid(model.sample(64, generator=generator(("sample", 0))).float().cpu().numpy(), kind)
        if "encodes" in can and "decodes" in can:
            split = data.splits["valid"]
            x = split.read(np.arange(min(16, len(split))))["x"]
            back = model.decode(model.encode(x)).float().cpu().numpy()
            pictures["reconstructions.png"] = labelled_rows({"original": (x.numpy(), kind), "reconstruction": (back, kind)})
    if lines := loss_curves(run):
        pictures["loss.png"] = curves(lines, title=f"{model.title()} on {run.config['data']['spec']}", x="step", y="loss")
    for name, picture in pictures.items():
        write_picture(folder / name, picture)
    return [folder / name for name in pictures]


def loss_curves(run: Run) -> dict[str, tuple[list[float], list[float]]]:
    """Each player's loss over the steps, in training and on the validation split: label -> (steps, values)."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    for row in run.metrics():
        losses = {name: value for name, value in row.items() if name.endswith(".loss")}
        if not losses:  # a player with one part only logs that part
            losses = {name: value for name, value in row.items() if "." in name}
        for name, value in losses.items():
            steps, values = lines.setdefault(f"{name} ({row.get('split', 'train')})", ([], []))
            steps.append(row["step"])
            values.append(value)
    return lines
