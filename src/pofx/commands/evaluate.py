"""`pofx evaluate`: every measure that a model allows, stored with its protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pofx.capabilities import Samples, Scores, Translates
from pofx.commands.condition import given_condition
from pofx.commands.flags import Flags, asked_class, asking_flags, split_options, together
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Count, Seed, Size
from pofx.session import Result, Session, prepared

if TYPE_CHECKING:
    from pofx.evaluate import Score
    from pofx.run import Run


def evaluate_flags(run: str | Session | None = None, trust: bool = False) -> list[Flags]:
    """All flags: the verb's own, those of the model's methods, how data are read, and the options of the measures that the model allows."""
    groups = asking_flags(evaluate, Scores, Samples, Translates)(run, trust)
    if run is None:
        return groups
    from pofx.evaluate.registry import options_of

    known = {name for group in groups[:2] for name in group.options}  # what has one name is one flag, for the model and for measures
    options = options_of(asked_class(run, trust))
    own = {name: option for name, option in options.items() if name not in known}
    return together(*groups, Flags("what measures can be asked", own, "measure"))


@verb(flags=evaluate_flags, json_only=("protocol",))
def evaluate(
    run: str | Session,
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
) -> Result:
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
        probe: also the accuracy of a linear classifier of the codes that is given so many labels
        given: for a conditional model: label (log p of each item given its own, samples of the same classes), or one class for all; by
            default log p of the mixture of all classes, each equally likely
        seed: of the model's noise, and of samples
        trust: execute the model file that the run carries
        asked: further arguments of the model's `log_prob` (such as samples), `sample` and `translate`, options of measures (such as k), and
            how the data are read
    """
    from pofx import evaluate as measures
    from pofx.commands.progress import Counting
    from pofx.evaluate.features import chosen

    session = Session.load(run, trust=trust)
    found, model = session.run, session.model
    _, own, loading, *of_measures = split_options("evaluate", asked, evaluate.known(run, trust))
    condition = given_condition(model, given)
    loaded = prepared(found, model, data, loading, also=(condition,) if isinstance(condition, str) else ())
    training = found.config.get("training", {})
    asking = {"split": split, "seed": seed, "rows": rows, "draws": draws, "probe": probe, "given": condition, **own}
    asking |= {name: value for options in of_measures for name, value in options.items()}
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
    return scored(found, loaded.record["spec"], split, scores)


def scored(run: Run, data: str, split: str, scores: list[Score]) -> Result:
    """Scores of a run, to be stored in its folder in place of those of the same protocol, and on its card."""
    others = [old for old in stored_scores(run) if not any(_replaces(new, old) for new in scores)]
    file = run.path / "scores.json"
    content = (json.dumps([score.to_json() for score in [*others, *scores]], indent=2) + "\n").encode()
    report = {
        "run": str(run.path),
        "data": data,
        "split": split,
        "scores": [
            {"what": s.what, "value": s.value, "standard_error": s.standard_error, "unit": s.unit, "protocol": s.protocol} for s in scores
        ],
        "notes": list(dict.fromkeys(score.note for score in scores if score.note)) or None,
        "out": str(file),
    }
    return Result(report, {"scores": scores}, artefacts={file: content}, card=run)


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
