"""`pofx interpolate`: the way from the code of one item to that of another, decoded."""

from __future__ import annotations

from typing import Annotated, Any

import pofx.commands.texts as texts
from pofx.capabilities import Decodes, Encodes, Generates, can, require
from pofx.commands.codes import rows_of
from pofx.commands.files import TEXTS, destination, strip_forms
from pofx.commands.flags import split_options
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Range, Seed, Size
from pofx.session import Part, Result, Session, TextFile


@verb(data=True, json_only=("texts", "ways"), printed_texts="texts")
def interpolate(
    run: str | Session,
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
) -> Result:
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
    from pofx.inference.latent import interpolate as ways_between

    session = Session.load(run, trust=trust)
    model, kind, path = session.model, session.kind, session.run.path
    draws = can(model, Generates) and not (can(model, Encodes) and can(model, Decodes))
    if draws and (data is not None or loading or split != "test"):
        raise UserError(f"{path} does not encode and decode, so it goes between draws of its prior, not between items of {data or 'data'}")
    if not draws and seed:
        raise UserError(f"{path} encodes, so it goes between items and draws nothing: remove --seed")
    if not draws:
        require(model, Encodes, Decodes)
    *_, options = split_options("interpolate", loading, interpolate.known(run, trust))
    if between is not None and not kind.text:
        raise UserError(f"--between is of texts, and {path} is of {kind}: remove it")
    if between is not None and len(between) != 2:
        raise UserError(f'--between takes two texts, not {len(between)}: --between "one text" "another"')
    name = "interpolation.npz" if kind.printed and draws else "interpolation.png"
    forms = TEXTS if kind.printed and not draws else strip_forms(kind)
    file = None if out is None and kind.printed and not draws else destination(out or session.run.path / "samples" / name, forms)
    if draws:
        return _between_draws(session, pairs, steps, spherical, seed, file)

    report: dict[str, Any] = {"run": str(session.run.path)}
    if between is not None:
        x = session.batch(texts.tokenized(list(between), session, "x", "--between", known=True))
    else:
        rows = session.read_rows(data, options, split=split)
        if 2 * pairs > len(rows):
            raise UserError(f"{pairs} pairs need {2 * pairs} items, and there are {len(rows)}")
        x, report["data"] = rows.read(list(range(2 * pairs)))["x"], rows.spec
    ways = ways_between(model, x[0::2], x[1::2], steps, spherical=spherical)
    result = Result(report, {"x": ways})
    if kind.printed:
        said = [session.texts(way) for way in ways]
        report |= {"texts": ["\n".join(way) for way in said], "ways": said}
        if file is not None:
            result.artefacts[file] = TextFile(report["texts"], [{"way": i, "texts": way} for i, way in enumerate(said)])
    elif file is not None:
        strips = {f"{2 * i} to {2 * i + 1}": way for i, way in enumerate(ways)}
        result.artefacts[file] = rows_of(file, session, strips, f"{model.title()}: from one code to another")
    if file is not None:
        report["out"] = str(file)
    return result


def _between_draws(session: Session, pairs: int, steps: int, spherical: bool, seed: int, file: Any) -> Result:
    """`interpolate` for a model that generates: from draw 0 to 1, from 2 to 3, ..."""
    from pofx.inference.steering import between, generated
    from pofx.randomness import generator

    model, prior = session.model, require(session.model, Generates).prior
    z_Bd = prior.sample(2 * pairs, next(model.parameters()), generator(("interpolate", seed)))
    z_BSd = between(prior, z_Bd[0::2], z_Bd[1::2], steps, spherical=spherical)
    ways = generated(model, z_BSd.flatten(0, 1)).reshape(pairs, steps, *session.kind.shape)
    strips = {f"draw {2 * i} to {2 * i + 1}": way for i, way in enumerate(ways)}
    picture = rows_of(file, session, strips, f"{model.title()}: from one draw to another")
    return Result({"run": str(session.run.path), "seed": seed, "out": str(file)}, {"x": ways}, artefacts={file: picture})
