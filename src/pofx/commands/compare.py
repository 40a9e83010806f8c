"""`pofx compare`: runs side by side, where their protocols agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.capabilities import Decodes, Encodes, Samples, can
from pofx.commands.evaluate import stored_scores
from pofx.commands.files import destination
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Size
from pofx.session import Result, Session

if TYPE_CHECKING:
    from pofx.evaluate import Score
    from pofx.run import Run


@verb(json_only=("scores",))
def compare(*runs: str, out: str | None = None, any_protocol: bool = False, n: Size = 10, trust: bool = False) -> Result:
    """Runs side by side: one table of their scores, and one picture of samples, reconstructions and losses.

    Scores are compared only where they were made by one protocol (data, split, seeds, options).

    Args:
        runs: run folders, each evaluated before with `pofx evaluate`
        out: the picture, .png; by default compare.png
        any_protocol: show also scores whose protocols differ
        n: samples and reconstructions a run
        trust: execute the model files that the runs carry
    """
    from pofx.run import Run

    if len(set(runs)) < 2:
        raise UserError("compare needs two different runs or more: pofx compare RUN RUN ...")
    file = destination(out or "compare.png", (".png",))
    found = {path: Run(path) for path in runs}
    scores = {path: stored_scores(run) for path, run in found.items()}
    for path, own in scores.items():
        if not own:
            raise UserError(f"{path} has no scores yet: pofx evaluate {path}")
    names = list(dict.fromkeys(score.what for own in scores.values() for score in own))
    chosen = {what: _comparable(what, scores, any_protocol) for what in names}
    table = []
    for what, by_run in chosen.items():
        unit = next(iter(by_run.values())).unit
        table.append({"what": what, "unit": unit, **{path: _number(by_run[path]) if path in by_run else None for path in runs}})
    report = {
        "table": table,
        "scores": {what: {path: score.to_json() for path, score in by_run.items()} for what, by_run in chosen.items()},
        "models": {path: run.config["model"]["name"] for path, run in found.items()},
        "picture": str(file),
    }
    return Result(report, artefacts={file: _side_by_side(found, n, trust)})


def _number(score: Score) -> str:
    return str(score).removeprefix(f"{score.what}: ").removesuffix(f" {score.unit}")


def _comparable(what: str, scores: dict[str, list[Score]], any_protocol: bool) -> dict[str, Score]:
    """For each run that has the score `what`, the newest one made by a protocol that all of them share."""
    from pofx.evaluate import differences, require_comparable

    having = {path: own for path, all_of_it in scores.items() if (own := [s for s in all_of_it if s.what == what][::-1])}
    (first, *_) = having.values()
    for candidate in first:
        matches = {path: next((s for s in own if not differences(candidate.protocol, s.protocol)), None) for path, own in having.items()}
        if all(score is not None for score in matches.values()):
            return {path: score for path, score in matches.items() if score is not None}
    newest = {path: own[0] for path, own in having.items()}
    if not any_protocol:
        try:
            require_comparable(newest)
        except UserError as error:
            raise UserError(f"{error}; evaluate them alike, or pass --any-protocol") from None
    return newest


def _side_by_side(runs: dict[str, Run], n: int, trust: bool) -> Any:
    import numpy as np

    from pofx.commands.illustrate import loss_curves
    from pofx.model import evaluating
    from pofx.randomness import generator
    from pofx.render.pictures import curves, labelled_rows, stacked

    samples: dict[str, Any] = {}
    restored: dict[str, Any] = {}
    lines: dict[str, Any] = {}
    short = len({Path(path).name for path in runs}) == len(runs)
    for path, run in runs.items():
        session, name = Session(run, run.model(trust=trust)), Path(path).name if short else path
        model, kind = session.model, session.kind
        with evaluating(model):
            if not kind.printed and can(model, Samples):
                samples[name] = (session.numbers([model.sample(n, generator=generator(("sample", 0)))]), kind)
            if not kind.printed and can(model, Encodes) and can(model, Decodes) and "data" in run.config:
                split = session.read_rows(split="valid")
                x = split.read(np.arange(min(n, len(split))))["x"]
                if not any((x.numpy().shape == y.shape and (x.numpy() == y).all()) for y, _ in restored.values()):
                    restored[f"original, {name}" if restored else "original"] = (x.numpy(), kind)
                restored[name] = (session.numbers([model.decode(model.encode(x))]), kind)
        curve = loss_curves(run)
        lines |= {f"{name}: {label}": line for label, line in curve.items() if "(valid)" in label}
    parts = [labelled_rows(rows, title) for rows, title in ((samples, "Samples"), (restored, "Reconstructions")) if rows]
    if lines:
        parts.append(curves(lines, title="Loss on the validation split, each model's own", x="step", y="loss"))
    if not parts:
        raise UserError("these runs have nothing to draw: neither samples nor reconstructions nor losses")
    return stacked(parts)
