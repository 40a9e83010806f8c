"""log p of what is decoded or generated from a code, by annealed importance sampling."""

from __future__ import annotations

from typing import Any

from pofx.commands.evaluate import scored
from pofx.commands.flags import split_options
from pofx.commands.verb import verb
from pofx.errors import UserError, nearest
from pofx.options import Count, Positive, Seed, Size
from pofx.session import Result, Session, prepared


@verb(data=True, json_only=("protocol",))
def anneal(
    run: str | Session,
    *,
    data: str | None = None,
    split: str = "test",
    rows: Size = 10,
    sigma: Positive | None = None,
    chains: Size = 16,
    temperatures: Size = 1000,
    leapfrog: Size = 10,
    simulated: Count = 10,
    seed: Seed = 0,
    trust: bool = False,
    **asked: Any,
) -> Result:
    """Measure log p(x) of a decoder or a generator by annealed importance sampling, and store it in the run folder.

    A lower bound in expectation, far tighter than the evidence lower bound where p(z | x) is unlike what an encoder gives; and, on x that
    the model made itself, how far it is from an upper bound. A generator has no density: what is measured is that of another model, the
    generator with noise. Chains are slow: minutes for ten pictures.

    Args:
        run: a run folder of a vae, or of a model that generates
        data: what to measure on: a name or a path; by default the run's own data. It is prepared as the run's data were
        split: which of its splits
        rows: so many rows from the first
        sigma: standard deviation of the Gaussian noise that a generator of pictures or numbers is given, in their units (of pictures,
            black is 0 and white is 1); by default the likeliest one on the validation split
        chains: of each row
        temperatures: between the prior and p(z | x): the more, the tighter
        leapfrog: steps of a move at each of them
        simulated: so many x of the model's own, to measure how far the bounds from both sides are apart
        seed: of the chains
        trust: execute the model file that the run carries
        asked: how the data are read
    """
    from pofx.commands.progress import Counting
    from pofx.evaluate.decoders import annealed_scores
    from pofx.evaluate.protocol import weights_hash
    from pofx.metrics.annealing import Annealing

    session = Session.load(run, trust=trust)
    found, model = session.run, session.model
    *_, loading = split_options("anneal", asked, anneal.known(run, trust))
    loaded = prepared(found, model, data, loading)
    if split not in loaded.splits:
        raise UserError(f"the data has no split {split!r}: {nearest(split, loaded.splits)}")
    training = found.config.get("training", {})
    weights = {"sha256": weights_hash(model), "keep": training.get("keep"), "ema": training.get("ema")}
    with Counting("tens of x annealed") as progress:
        scores = annealed_scores(
            model,
            loaded.splits[split],
            rows=rows,
            sigma=sigma,
            valid=loaded.splits["valid"],
            annealing=Annealing(chains, temperatures, leapfrog),
            simulated=simulated,
            seed=seed,
            about={"data": loaded.record, "split": split, "weights": weights},
            progress=progress,
        )
    return scored(found, loaded.record["spec"], split, scores)
