"""Pictures of a trained run: what its model's capabilities can show."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.capabilities import Decodes, Encodes, Generates, HasParts, Samples, Translates, can
from pofx.commands.files import labelled, save
from pofx.session import Film, Session, TextFile

if TYPE_CHECKING:
    from pofx.data import Data
    from pofx.run import Run

ROWS = 10  # of samples: more classes than that are mixed
POINTS = 1000  # of samples in the plane, and of real rows behind them
EXAMPLES = 8  # translations
DRAWN = 500  # tokens of a sample of running text
SECONDS, HELD = 6, 2000  # of the film of a generator's samples, and milliseconds that its last picture is held


def illustrate(run: Run, data: Data) -> list[Path]:
    """Write samples, reconstructions and curves of losses into the run's samples folder, and say where they are.

    Of text: samples.txt, and translations.txt, sources beside what is made of them and what it should be. Of adversarial training also:
    whether the discriminator was right, how samples compared with real rows, and a film of the samples on the way. Where a generator's code
    has parts with names: what each of them does.
    """
    import numpy as np
    import torch

    from pofx.commands.sweep import sweep
    from pofx.model import evaluating
    from pofx.randomness import generator
    from pofx.render.pictures import curves, grid, labelled_rows, plane, stacked

    session = Session(run, run.model(trust=True), data)  # the user's own file, which has just been trained
    model, kind, folder = session.model, session.kind, run.path / "samples"
    found: dict[str, Any] = texts_shown(session, data) if kind.printed else {}
    with evaluating(model):
        labels = next((label for name, label in model.inputs.items() if name != "x" and label.classes), None)
        if kind.printed:
            pass
        elif can(model, Samples) and labels is not None and labels.classes <= ROWS:
            given = torch.arange(labels.classes).repeat_interleave(8)
            x = session.numbers([model.sample(len(given), given=given, generator=generator(("sample", 0)))])
            names = labels.names or tuple(map(str, range(labels.classes)))
            found["samples.png"] = labelled_rows({name: (x[8 * y : 8 * y + 8], kind) for y, name in enumerate(names)})
        elif can(model, Samples) and kind.shape == (2,):
            valid = data.splits["valid"].read(np.arange(min(POINTS, len(data.splits["valid"]))))["x"].numpy()
            found["samples.png"] = plane(session.numbers([model.sample(POINTS, generator=generator(("sample", 0)))]), valid, size=480)
        elif can(model, Samples):
            found["samples.png"] = grid(session.numbers([model.sample(64, generator=generator(("sample", 0)))]), kind)
        if not kind.printed and can(model, Encodes) and can(model, Decodes):
            split = data.splits["valid"]
            original = split.read(np.arange(min(16, len(split))))["x"]
            back = session.numbers([model.decode(model.encode(original))])
            found["reconstructions.png"] = labelled_rows({"original": (original.numpy(), kind), "reconstruction": (back, kind)})
    if lines := loss_curves(run):
        found["loss.png"] = curves(lines, title=f"{model.title()} on {run.config['data']['spec']}", x="step", y="loss")
    if panels := game_curves(run):
        found["game.png"] = stacked([curves(lines, title=what, x="step", y=unit) for (what, unit), lines in panels.items()])
    for name, artefact in found.items():
        save(folder / name, artefact)
    written = [folder / name for name in found]
    if can(model, Generates) and can(model.prior, HasParts) and kind.picture:
        written.append(Path(sweep(str(run.path), trust=True)["out"]))
    if len(stills := sorted(folder.glob("step-*.png"))) > 1:
        written.append(folder / "training.gif")
        save(written[-1], film(stills))
    return written


def texts_shown(session: Session, data: Data) -> dict[str, TextFile]:
    """Of a model of text: samples.txt, what it draws; or translations.txt, what it makes of the first sources of the validation split; or
    reconstructions.txt, what is left of its first texts."""
    import numpy as np

    from pofx.commands.reconstruct import reconstruct
    from pofx.commands.sample import sample
    from pofx.evaluate.text import translations
    from pofx.inference.sampling import known_options

    model, kind, split = session.model, session.kind, data.splits["valid"]
    if "source" in model.inputs:
        if not can(model, Translates):
            return {}
        rows = np.arange(min(EXAMPLES, len(split)))
        batch = split.read(rows)
        named = [split.names[row] if split.names else f"row {row}" for row in rows.tolist()]
        lines = {
            "source": session.texts(batch["source"], "source") if model.inputs["source"].text else named,
            "translation": [session.texts(x_L[None])[0] for x_L in translations(model, split, rows)],
            "reference": session.texts(batch["x"]),
        }
        return {"translations.txt": TextFile(labelled(lines), ())}
    if can(model, Encodes) and can(model, Decodes):
        shown = reconstruct.result(session, split="valid", n=EXAMPLES).report["texts"]
        return {"reconstructions.txt": TextFile(shown, ())}
    if not can(model, Samples):
        return {}
    length: dict[str, Any] = {"length": max(kind.size, DRAWN)} if "length" in known_options(model) and not kind.ragged else {}
    return {"samples.txt": TextFile(sample.result(session, stream=False, **length).report["texts"], ())}


def film(stills: list[Path]) -> Film:
    """The pictures of these files one after another, and for how many milliseconds each is shown; the last one longer."""
    from PIL import Image

    frames = [Image.open(file).convert("RGB") for file in stills]
    palette = max(frames, key=lambda frame: len(frame.getcolors(frame.width * frame.height) or [])).quantize(256)
    each = max(80, SECONDS * 1000 // len(frames) // 10 * 10)
    shown = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    return Film(shown, [each] * (len(frames) - 1) + [HELD])


Lines = dict[str, tuple[list[float], list[float]]]  # label -> (steps, values)


def loss_curves(run: Run) -> Lines:
    """Each player's loss over the steps, in training and on the validation split: label -> (steps, values)."""
    from pofx.train.log import losses

    lines: Lines = {}
    for row in run.metrics():
        for name, value in losses(row).items():
            _add(lines, f"{name} ({row.get('split', 'train')})", row["step"], value)
    return lines


def game_curves(run: Run) -> dict[tuple[str, str], Lines]:
    """What was logged of adversarial training, as plots: (title, unit) -> label -> (steps, values). Empty where one player played
    alone."""
    right, reached, far, norms = Lines(), Lines(), Lines(), Lines()
    for row in run.metrics():
        for name, value in row.items():
            player, _, part = name.partition(".")
            if part.startswith("right_on_"):
                _add(right, f"{player}: {part.replace('_', ' ')}", row["step"], value)
            elif part == "gradient_norm":
                _add(norms, player, row["step"], math.log10(max(value, 1e-30)))
            elif name in ("watch.coverage", "watch.precision", "watch.spread", "watch.real_coverage"):
                _add(reached, {"real_coverage": "coverage by real rows"}.get(part, part), row["step"], value)
            elif name in ("watch.distance", "watch.real_distance"):
                _add(far, {"real_distance": "of real rows"}.get(part, "of samples"), row["step"], value)
    panels = {
        ("Is the discriminator right?", "share"): right,
        ("Samples beside real rows", "share"): reached,
        ("Distance of samples to real rows", "sliced Wasserstein distance"): far,
        ("Norm of each player's gradient", "log10"): norms,
    }
    return {title: lines for title, lines in panels.items() if lines}


def _add(lines: Lines, label: str, step: float, value: float) -> None:
    steps, values = lines.setdefault(label, ([], []))
    steps.append(step)
    values.append(value)
