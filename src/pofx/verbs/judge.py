"""Judging: every measure that a model allows, stored with its protocol, and runs side by side where their protocols agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pofx.errors import UserError
from pofx.kinds import Count, Seed, Size, Tokens
from pofx.verbs.files import destination, write, write_picture
from pofx.verbs.flags import asking_flags, sort
from pofx.verbs.given import told
from pofx.verbs.prepared import prepared

if TYPE_CHECKING:
    from pofx.evaluate import Score
    from pofx.run import Run


def evaluate(
    run: str,
    *,
    data: str | None = None,
    split: str = "test",
    rows: Size | None = None,
    draws: Count | None = None,
    features: str | None = None,
    probe: Size | None = None,
    given: str | None = None,
    seed: Seed = 0,
    trust: bool = False,
    **asked: Any,
) -> dict[str, Any]:
    """Measure everything that the model's capabilities allow, and store the scores with their protocol in the run folder.

    Args:
        run: a run folder
        data: what to measure on: a name or a path; by default the run's own data. It is prepared as the run's data were
        split: which of its splits
        rows: only so many rows from the first
        draws: how many samples to draw and compare with the rows; by default as many as rows, at most 10000, of a model without a
            density, and none of one that has it
        features: what samples are compared by: pixels, a run folder of a model that encodes, or a .pth file of Inception's weights; by
            default a small classifier trained on the data once and kept, or principal components where there are no labels
        probe: also the accuracy of a linear classifier of the codes that is told so many labels
        given: for a conditional model: label (log p of each item given its own, samples of the same classes), or one class for all; by
            default log p of the mixture of all classes, each equally likely
        seed: of the model's noise, and of samples
        trust: execute the model file that the run carries
        asked: further arguments of the model's `log_prob` (such as samples), `sample` and `translate`, and how the data are read
    """
    from pofx import evaluate as measures
    from pofx.evaluate.features import chosen
    from pofx.run import Run
    from pofx.verbs.progress import Counting

    found = Run(run)
    model = found.model(trust=trust)
    _, own, loading = sort("evaluate", asked, evaluate_flags(run, trust))
    condition = told(model, given)
    loaded = prepared(found, model, data, loading, also=(condition,) if isinstance(condition, str) else ())
    training = found.config.get("training", {})
    asking = {"split": split, "seed": seed, "rows": rows, "draws": draws, "probe": probe, "given": condition, **own}
    measures.require_measurable(model, loaded, features=features, **asking)
    compared_by = None
    if features is not None or measures.draws_samples(model, draws):
        with Counting("feature network trained") as trained:
            compared_by = chosen(loaded, features, trust=trust, report=lambda row: trained(row["step"], row["total"]))
    with Counting("evaluated") as progress:
        scores = measures.evaluate(
            model,
            loaded,
            features=compared_by,
            weights={"keep": training.get("keep"), "ema": training.get("ema")},
            unfinished=found.path / "unfinished",
            progress=progress,
            **asking,
        )
    return {"run": str(found.path), "data": loaded.record["spec"], "split": split, **stored(found, scores)}


evaluate_flags = asking_flags(evaluate, "log_prob", "sample", "translate")


def stored(run: Run, scores: list[Score]) -> dict[str, Any]:
    """Store scores in the run folder, in place of those of the same protocol, and on its card; they as a part of a verb's report."""
    from pofx.card import write_card

    kept = [old for old in stored_scores(run) if not any(_replaces(new, old) for new in scores)]
    file = run.path / "scores.json"
    write(file, (json.dumps([score.to_json() for score in [*kept, *scores]], indent=2) + "\n").encode())
    write_card(run)
    return {
        "scores": [
            {"what": s.what, "value": s.value, "standard_error": s.standard_error, "unit": s.unit, "protocol": s.protocol} for s in scores
        ],
        "notes": list(dict.fromkeys(score.note for score in scores if score.note)) or None,
        "out": str(file),
    }


def stored_scores(run: Run) -> list[Score]:
    """The scores that `pofx evaluate` stored in a run folder; none if it never did."""
    from pofx.evaluate import Score

    file = run.path / "scores.json"
    if not file.is_file():
        return []
    try:
        return [Score.from_json(record) for record in json.loads(file.read_text())]
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is damaged ({error}): delete it and evaluate again") from None


def _replaces(new: Score, old: Score) -> bool:
    from pofx.evaluate import differences

    if new.what != old.what or differences(new.protocol, old.protocol):
        return False
    sampling = [{"sampling": score.protocol.get("sampling", {})} for score in (new, old)]  # other options make another distribution
    return not differences(*sampling, strict=True)


def compare(*runs: str, out: str | None = None, any_protocol: bool = False, n: Size = 10, trust: bool = False) -> dict[str, Any]:
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
    write_picture(file, _side_by_side(found, n, trust))
    return {
        "table": table,
        "scores": {what: {path: score.to_json() for path, score in by_run.items()} for what, by_run in chosen.items()},
        "models": {path: run.config["model"]["name"] for path, run in found.items()},
        "picture": str(file),
    }


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
            raise UserError(f"{error}; evaluate them alike, or say --any-protocol") from None
    return newest


def _side_by_side(runs: dict[str, Run], n: int, trust: bool) -> Any:
    import numpy as np

    from pofx.evaluate.blocks import evaluating
    from pofx.game import generator
    from pofx.pictures import curves, labelled_rows, stacked
    from pofx.verbs.illustrate import loss_curves

    samples: dict[str, Any] = {}
    restored: dict[str, Any] = {}
    lines: dict[str, Any] = {}
    short = len({Path(path).name for path in runs}) == len(runs)
    for path, run in runs.items():
        model, name = run.model(trust=trust), Path(path).name if short else path
        kind, can = model.inputs["x"], model.capabilities()
        with evaluating(model):
            if isinstance(kind, Tokens):  # texts are no pictures
                can = ()
            if "samples" in can:
                samples[name] = (model.sample(n, generator=generator(("sample", 0))).float().cpu().numpy(), kind)
            if "encodes" in can and "decodes" in can and "data" in run.config:
                data = prepared(run, model, None, {})
                split = data.splits["valid"]
                x = split.read(np.arange(min(n, len(split))))["x"]
                if not any((x.numpy().shape == y.shape and (x.numpy() == y).all()) for y, _ in restored.values()):
                    restored[f"original, {name}" if restored else "original"] = (x.numpy(), kind)
                restored[name] = (model.decode(model.encode(x)).float().cpu().numpy(), kind)
        curve = loss_curves(run)
        lines |= {f"{name}: {label}": line for label, line in curve.items() if "(valid)" in label}
    parts = [labelled_rows(rows, title) for rows, title in ((samples, "Samples"), (restored, "Reconstructions")) if rows]
    if lines:
        parts.append(curves(lines, title="Loss on the validation split, each model's own", x="step", y="loss"))
    if not parts:
        raise UserError("these runs have nothing to draw: neither samples nor reconstructions nor losses")
    return stacked(parts)
