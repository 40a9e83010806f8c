"""Forecasting: a series is continued by drawing its future, many times."""

from __future__ import annotations

from typing import Any

from pofx.capabilities import Completes, require
from pofx.commands.files import destination
from pofx.commands.flags import split_options
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Fraction, Seed, Size
from pofx.session import Arrays, Result, Session, Table

BLOCK = 1000  # futures that are drawn at once
FILES = (".csv", ".parquet", ".npy", ".npz")


@verb(Completes, json_only=("forecast",))
def forecast(
    run: str | Session,
    *,
    horizon: Size,
    data: str | None = None,
    columns: tuple[str, ...] | None = None,
    n: Size = 1000,
    quantiles: tuple[Fraction, ...] = (0.05, 0.5, 0.95),
    context: Size | None = None,
    out: str | None = None,
    picture: str | None = None,
    seed: Seed = 0,
    trust: bool = False,
    **asked: Any,
) -> Result:
    """Continue a time series: quantiles of each future step, from futures that are drawn step by step.

    All numbers are in the units of the data. The horizon may be as long as you like: what was drawn is part of the past of what comes
    after, so uncertainty adds up. The future begins where the data end, not where the training split ended.

    Args:
        run: a run folder of a model of sequences, trained with --window
        horizon: how many steps to draw
        data: the series to continue: a table whose rows are steps in time, a name or a path; by default the run's own, as it is now
        columns: of the table, in the order of the model's channels; by default those of the run's own data, by name
        n: how many futures
        quantiles: of the futures, from 0 to 1
        context: steps of the past that a draw sees at least, at most one less than the window that the model was trained with; by
            default that many. Fewer are faster, for more steps are then drawn at once
        out: .csv or .parquet with a row for each step and channel, .npy or .npz with the futures themselves (n, horizon, channels); by
            default forecast.csv in the run folder
        picture: a .png of the end of the series and its futures; by default samples/forecast.png in the run folder
        seed: of the draws
        trust: execute the model file that the run carries
        asked: further arguments of the model's `complete`
    """
    import numpy as np
    import torch

    from pofx.commands.progress import Counting
    from pofx.data import load_series
    from pofx.inference.forecasting import continued
    from pofx.randomness import generator
    from pofx.render.pictures import fan

    session = Session.load(run, trust=trust)
    model, kind, path, record = session.model, session.kind, session.run.path, session.run.config.get("data", {})
    require(model, Completes)
    _, own = split_options("forecast", asked, forecast.known(run, trust))
    if not kind.in_time:
        raise UserError(f"{path} was made for x: {kind}, and only series have a future: train with --window, or use pofx complete")
    file = destination(out or path / "forecast.csv", FILES)
    shown = destination(picture or path / "samples" / "forecast.png", (".png",), "--picture")
    if data is None and "window" not in record:
        raise UserError(f"{path} was not trained on windows of one series, so there is none to continue: name one with --data")
    stored = record.get("columns") if "window" in record else None
    series = load_series(data or record["spec"], columns=columns or (tuple(stored) if stored else None))
    length, channels = kind.shape
    if len(series.channels) != channels:
        has = f"{len(series.channels)} columns of numbers ({', '.join(series.channels)})"
        raise UserError(f"{path} was made for {kind}, and {series.spec} has {has}: choose with --columns")

    like = next((t for t in model.state_dict().values() if t.is_floating_point()), torch.empty(0))
    past = torch.from_numpy(np.array(series.values[-length:])).to(like)
    noise = generator(("forecast", seed))
    with Counting("steps drawn") as progress:
        futures = torch.cat(
            [
                continued(
                    model,
                    past.expand(min(BLOCK, n - done), *past.shape),
                    horizon,
                    context=context,
                    generator=noise,
                    progress=lambda step, steps, done=done: progress(done * steps + step * min(BLOCK, n - done), n * steps),  # type: ignore[misc]
                    **own,
                )
                for done in range(0, n, BLOCK)
            ]
        )
    x_NHC = futures.double().cpu().numpy()
    if not np.isfinite(x_NHC).all():
        step = int(np.argwhere(~np.isfinite(x_NHC).all((0, 2)))[0, 0]) + 1
        raise UserError(
            f"{path}: a future is not finite from step {step} on: the model is unstable; pass a shorter --horizon, or train again"
        )
    levels = sorted(set(quantiles))
    q_QHC = np.quantile(x_NHC, levels, axis=0)
    rows = [(h, c) for h in range(horizon) for c in range(channels)]
    table: dict[str, Any] = {
        "step": [h + 1 for h, _ in rows],
        "channel": [series.channels[c] for _, c in rows],
        "mean": [float(x_NHC[:, h, c].mean()) for h, c in rows],
        **{f"quantile_{level:g}": [float(q_QHC[i, h, c]) for h, c in rows] for i, level in enumerate(levels)},
    }
    tabular = file.suffix.lower() in (".csv", ".parquet")
    last = f" ({series.times[-1]})" if series.times else ""
    seen = np.array(series.values[-max(3 * horizon, length) :])
    drawn = fan(seen, q_QHC, levels, series.channels, title=f"{model.title()}: {n} futures", x=f"steps from the end of the data{last}")
    items = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    report = {
        "run": str(path),
        "data": series.spec,
        "known_steps": len(series.values),
        "last_known": series.times[-1] if series.times else None,
        "horizon": horizon,
        "futures": n,
        "context": min(context or max(1, length - 1), len(series.values)),
        "seed": seed,
        **own,
        "at_the_horizon": items[-channels:],
        "forecast": items,
        "out": str(file),
        "picture": str(shown),
    }
    futures_of = Table(table) if tabular else Arrays({"future": x_NHC.astype(np.float32)}, "future")
    return Result(report, {"future": x_NHC}, artefacts={file: futures_of, shown: drawn})
