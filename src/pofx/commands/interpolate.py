"""`pofx interpolate`: the way from the code of one item to that of another, decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import pofx.commands.texts as texts
from pofx.capabilities import Decodes, Encodes, Generates, can, require
from pofx.commands.codes import FILES, Walk, codes_flags, draw
from pofx.commands.files import destination
from pofx.commands.flags import sort
from pofx.commands.prepare import Part, Rows, prepared
from pofx.errors import UserError
from pofx.kinds import Tokens
from pofx.options import Range, Seed, Size

if TYPE_CHECKING:
    from pofx.model import Model
    from pofx.run import Run


def interpolated_texts(
    run: Run,
    model: Model,
    *,
    between: tuple[str, ...] | None,
    rows: Rows | None,
    pairs: int,
    steps: int,
    spherical: bool,
    out: str | None,
) -> dict[str, Any]:
    """The ways from the code of one text to that of another, decoded, as `pofx interpolate` gives them.

    Args:
        run: of the model
        model: that encodes and decodes x of kind `Tokens`
        between: the two texts; otherwise the first rows are paired
        rows: of the data, where nothing is given between
        pairs: how many ways between rows
        steps: texts a way, both ends included
        spherical: along the great circle
        out: .txt or .jsonl; by default they are in the report
    """
    from pofx.evaluate import interpolate

    kind, tokenizer = model.inputs["x"], run.tokenizer("x")
    assert isinstance(kind, Tokens)
    file = destination(out, texts.TEXTS) if out else None
    if between is not None:
        if len(between) != 2:
            raise UserError(f'--between takes two texts, not {len(between)}: --between "one text" "another"')
        x_BL = texts.batch(texts.encoded(list(between), tokenizer, kind, "--between", of=str(run.path), known=True))
    else:
        assert rows is not None
        if 2 * pairs > len(rows):
            raise UserError(f"{pairs} pairs need {2 * pairs} items, and there are {len(rows)}")
        x_BL = rows.read(list(range(2 * pairs)))["x"]
    ways = [[tokenizer.decode(x_L) for x_L in way] for way in interpolate(model, x_BL[0::2], x_BL[1::2], steps, spherical=spherical)]
    report: dict[str, Any] = {"run": str(run.path), "texts": ["\n".join(way) for way in ways], "ways": ways}
    if file is not None:
        texts.write_texts(file, report["texts"], [{"way": i, "texts": way} for i, way in enumerate(ways)], {})
        report["out"] = str(file)
    return report


def interpolate(
    run: str,
    *,
    data: str | None = None,
    split: Part = "test",
    pairs: Size = 8,
    steps: Annotated[int, Range(2)] = 9,
    spherical: bool = False,
    between: tuple[str, ...] | None = None,
    seed: Seed = 0,
    out: str | None = None,
    trust: bool = False,
    **loading: Any,
) -> dict[str, Any]:
    """The way from the code of one item to that of another, decoded.

    A model that generates but does not encode goes from one draw of its prior to another: Gaussian parts along the great circle, others
    straight.

    Args:
        run: a run folder
        data: where the items are from: a name or a path; by default the run's own data
        split: which of its splits
        pairs: how many ways: from item 0 to 1, from 2 to 3, ...
        steps: how many pictures a way, both ends included
        spherical: along the great circle instead of the straight line
        between: of a model of text, the two texts to go between, instead of items of the data
        seed: of the draws, for a model that does not encode
        out: .png, .npy or .npz; by default samples/interpolation.png in the run folder. Of text .txt or .jsonl; by default it is printed
        trust: execute the model file that the run carries
        loading: how the data are read
    """
    from pofx import evaluate as measures
    from pofx.run import Run

    found = Run(run)
    cls = found.model_class(trust=trust)
    if can(cls, Generates) and not (can(cls, Encodes) and can(cls, Decodes)):
        if data is not None or loading or split != "test":
            raise UserError(
                f"{run} does not encode and decode, so it goes between draws of its prior, not between items of {data or 'data'}"
            )
        return _between_draws(run, pairs, steps, spherical, seed, out, trust)
    if seed:
        raise UserError(f"{run} encodes, so it goes between items and draws nothing: remove --seed")
    if isinstance(found.kinds["x"], Tokens):
        model = found.model(trust=trust)
        require(model, Encodes, Decodes)
        *_, options = sort("interpolate", loading, codes_flags(interpolate)(run, trust))
        rows = None if between is not None else Rows(prepared(found, model, data, options), split)
        return interpolated_texts(found, model, between=between, rows=rows, pairs=pairs, steps=steps, spherical=spherical, out=out)
    if between is not None:
        raise UserError(f"--between is of texts, and {run} is of {found.kinds['x']}: remove it")
    asked = Walk(run, interpolate, loading, data, split, out, "interpolation.png", trust)
    x = asked.items(list(range(2 * pairs)))
    ways = measures.interpolate(asked.model, x[0::2], x[1::2], steps, spherical=spherical)
    return asked.drawn({f"{2 * i} to {2 * i + 1}": way for i, way in enumerate(ways)}, f"{asked.model.title()}: from one code to another")


def _between_draws(run: str, pairs: int, steps: int, spherical: bool, seed: int, out: str | None, trust: bool) -> dict[str, Any]:
    """`interpolate` for a model that generates: from draw 0 to 1, from 2 to 3, ..."""
    from pofx.inference.steering import between, generated
    from pofx.randomness import generator
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    prior = require(model, Generates).prior
    file, kind = destination(out or found.path / "samples" / "interpolation.png", FILES), model.inputs["x"]
    z_Bd = prior.sample(2 * pairs, next(model.parameters()), generator(("interpolate", seed)))
    z_BSd = between(prior, z_Bd[0::2], z_Bd[1::2], steps, spherical=spherical)
    ways = generated(model, z_BSd.flatten(0, 1)).reshape(pairs, steps, *kind.shape)
    draw(file, {f"draw {2 * i} to {2 * i + 1}": way for i, way in enumerate(ways)}, kind, f"{model.title()}: from one draw to another")
    return {"run": str(found.path), "seed": seed, "out": str(file)}
