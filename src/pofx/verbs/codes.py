"""What the codes of a run mean, as pictures: walks along one dimension, ways from one item to another, arithmetic with labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pofx.errors import UserError, nearest
from pofx.kinds import Category, Count, Positive, Range, Seed, Size, Tokens
from pofx.verbs.files import ARRAYS, destination, write_arrays, write_picture
from pofx.verbs.flags import Known, asking_flags, sort
from pofx.verbs.prepared import Part, Rows, prepared
from pofx.verbs.texts import interpolated_texts

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from pofx.kinds import Kind
    from pofx.model import Model

FILES = (".png", *ARRAYS)
KNOWN_WELL = 2000  # items from which the spread of the codes is learnt


def codes_flags(verb: Any) -> Known:
    """All flags of a verb here: its own, and how the data are read."""
    return asking_flags(verb)


def traverse(
    run: str,
    *,
    data: str | None = None,
    split: Part = "test",
    row: Count = 0,
    dimensions: tuple[Count, ...] | None = None,
    reach: Positive = 3.0,
    steps: Annotated[int, Range(2)] = 9,
    out: str | None = None,
    trust: bool = False,
    **loading: Any,
) -> dict[str, Any]:
    """One item decoded again and again with one dimension of its code changed: what each dimension means.

    A row of the picture is a dimension; along it, the dimension goes from its mean minus `reach` standard deviations (over the
    data) to its mean plus as many.

    Args:
        run: a run folder
        data: where the item is from: a name or a path; by default the run's own data
        split: which of its splits
        row: which item, from 0
        dimensions: which dimensions, from 0; by default the ten that vary most over the data
        reach: how far, in standard deviations
        steps: how many pictures a dimension
        out: .png, .npy or .npz; by default samples/traversal.png in the run folder
        trust: execute the model file that the run carries
        loading: how the data are read
    """
    import numpy as np

    from pofx import evaluate as measures

    asked = _Asked(run, traverse, loading, data, split, out, "traversal.png", trust)
    x, codes = asked.items([row]), asked.codes()
    spread, middle = codes.std(0), codes.mean(0)
    chosen = list(dimensions or np.sort(np.argsort(-spread)[:10]))
    strips = {}
    for d in map(int, chosen):
        if d >= len(spread):
            raise UserError(f"dimensions must be from 0 to {len(spread) - 1}, not {d}")
        values = middle[d] + spread[d] * np.linspace(-reach, reach, steps)
        strips[f"dimension {d}"] = measures.traverse(asked.model, x, d, values.tolist())[0]
    title = f"{asked.model.title()}, item {row}: each dimension from -{reach:g} to +{reach:g} standard deviations"
    return asked.drawn(strips, title) | {"dimensions": [int(d) for d in chosen]}


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
    from pofx.model import require
    from pofx.run import Run

    can = type(Run(run).blank(trust=trust)).capabilities()
    if "generates" in can and not {"encodes", "decodes"} <= set(can):
        if data is not None or loading or split != "test":
            raise UserError(
                f"{run} does not encode and decode, so it goes between draws of its prior, not between items of {data or 'data'}"
            )
        return _between_draws(run, pairs, steps, spherical, seed, out, trust)
    if seed:
        raise UserError(f"{run} encodes, so it goes between items and draws nothing: leave --seed out")
    if isinstance(Run(run).blank(trust=trust).inputs["x"], Tokens):
        found = Run(run)
        model = found.model(trust=trust)
        require(model, "encodes", "decodes")
        *_, options = sort("interpolate", loading, codes_flags(interpolate)(run, trust))
        rows = None if between is not None else Rows(prepared(found, model, data, options), split)
        return interpolated_texts(found, model, between=between, rows=rows, pairs=pairs, steps=steps, spherical=spherical, out=out)
    if between is not None:
        raise UserError(f"--between is of texts, and {run} is of {Run(run).blank(trust=trust).inputs['x']}: leave it out")
    asked = _Asked(run, interpolate, loading, data, split, out, "interpolation.png", trust)
    x = asked.items(list(range(2 * pairs)))
    ways = measures.interpolate(asked.model, x[0::2], x[1::2], steps, spherical=spherical)
    return asked.drawn({f"{2 * i} to {2 * i + 1}": way for i, way in enumerate(ways)}, f"{asked.model.title()}: from one code to another")


def attribute(
    run: str,
    *,
    has: str,
    lacks: str | None = None,
    field: str = "label",
    data: str | None = None,
    split: Part = "test",
    n: Size = 8,
    strengths: tuple[float, ...] = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5),
    out: str | None = None,
    trust: bool = False,
    **loading: Any,
) -> dict[str, Any]:
    """Arithmetic with codes: items, moved along the mean code of those with a label minus the mean code of those without.

    Args:
        run: a run folder
        has: the label to move towards
        lacks: the label to move away from, whose items are moved; by default every other label
        field: the data's field that holds the labels
        data: where the items are from: a name or a path; by default the run's own data
        split: which of its splits
        n: how many items to move
        strengths: how many times the direction is added
        out: .png, .npy or .npz; by default samples/attribute.png in the run folder
        trust: execute the model file that the run carries
        loading: how the data are read
    """
    import numpy as np

    from pofx import evaluate as measures

    asked = _Asked(run, attribute, loading, data, split, out, "attribute.png", trust)
    kind = asked.data.fields.get(field)
    if not isinstance(kind, Category):
        labels = [name for name, other in asked.data.fields.items() if isinstance(other, Category)]
        raise UserError(
            f"the data has no labels in a field {field!r}: " + (nearest(field, labels) if labels else "they have no labels at all")
        )
    column = np.array([str(label) for label in asked.rows.about()[field]])
    for label in (has, lacks):
        if label is not None and label not in column:
            raise UserError(f"no item has the {field} {label!r}: {nearest(label, set(column.tolist()))}")
    with_it = np.flatnonzero(column == has)
    without = np.flatnonzero(column != has if lacks is None else column == lacks)
    if not len(without):
        raise UserError(f"every item has the {field} {has!r}: there is none to move towards it")
    direction = measures.attribute_vector(
        asked.model, asked.items(with_it[:KNOWN_WELL].tolist()), asked.items(without[:KNOWN_WELL].tolist())
    )
    moved = measures.apply_attribute(asked.model, asked.items(without[:n].tolist()), direction, strengths)
    strips = {f"item {row}": strip for row, strip in zip(without[:n].tolist(), moved, strict=True)}
    steps = ", ".join(f"{s:g}" for s in strengths)
    return asked.drawn(strips, f"{asked.model.title()}: plus {steps} times ({has} minus {lacks or 'the others'})")


def _between_draws(run: str, pairs: int, steps: int, spherical: bool, seed: int, out: str | None, trust: bool) -> dict[str, Any]:
    """`interpolate` for a model that generates: from draw 0 to 1, from 2 to 3, ..."""
    from pofx.evaluate.steering import between, generated
    from pofx.game import generator
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    file, kind = destination(out or found.path / "samples" / "interpolation.png", FILES), model.inputs["x"]
    z_Bd = model.prior.sample(2 * pairs, next(model.parameters()), generator(("interpolate", seed)))
    z_BSd = between(model.prior, z_Bd[0::2], z_Bd[1::2], steps, spherical=spherical)
    ways = generated(model, z_BSd.flatten(0, 1)).reshape(pairs, steps, *kind.shape)
    draw(file, {f"draw {2 * i} to {2 * i + 1}": way for i, way in enumerate(ways)}, kind, f"{model.title()}: from one draw to another")
    return {"run": str(found.path), "seed": seed, "out": str(file)}


class _Asked:
    """A run's model with the items that a verb asks about, and where its picture goes."""

    def __init__(
        self, run: str, verb: Any, loading: dict[str, Any], data: str | None, split: Part, out: str | None, name: str, trust: bool
    ):
        from pofx.model import require
        from pofx.run import Run

        self.run = Run(run)
        self.model: Model = self.run.model(trust=trust)
        require(self.model, "encodes", "decodes")
        if isinstance(self.model.inputs["x"], Tokens):
            raise UserError(f"{verb.__name__} draws pictures, and {self.model.title()} is of text: pofx interpolate goes between two texts")
        *_, options = sort(verb.__name__, loading, codes_flags(verb)(run, trust))
        self.file = destination(out or self.run.path / "samples" / name, FILES)
        self.data = prepared(self.run, self.model, data, options)
        self.rows = Rows(self.data, split)
        self.kind: Kind = self.data.fields["x"]

    def items(self, rows: list[int]) -> Any:
        if rows[-1] >= len(self.rows):
            raise UserError(f"item {rows[-1]} is asked for, but there are {len(self.rows)}: they count from 0")
        return self.rows.read(rows)["x"]

    def codes(self) -> np.ndarray:
        from pofx.evaluate.blocks import evaluating

        with evaluating(self.model):
            return self.model.encode(self.items(list(range(min(KNOWN_WELL, len(self.rows)))))).flatten(1).cpu().numpy()

    def drawn(self, strips: dict[str, np.ndarray], title: str) -> dict[str, Any]:
        draw(self.file, strips, self.kind, title)
        return {"run": str(self.run.path), "data": self.data.record["spec"], "out": str(self.file)}


def draw(file: Path, strips: dict[str, np.ndarray], kind: Kind, title: str) -> None:
    """Strips of x by label, (S, *shape) each, as rows of a picture, or stacked as an array."""
    import numpy as np

    from pofx.pictures import labelled_rows

    if file.suffix.lower() == ".png":
        write_picture(file, labelled_rows({label: (strip, kind) for label, strip in strips.items()}, title))
    else:
        write_arrays(file, {"x": np.stack(list(strips.values()))}, "x")
