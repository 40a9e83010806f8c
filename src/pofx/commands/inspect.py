"""What goes on inside a model as it reads and writes a text: where it looks, and what its gates do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pofx.commands.texts as texts
from pofx.capabilities import Attends, Gated, HasRecurrentLayers, Translates, can, require
from pofx.commands.files import destination
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Count, Size
from pofx.session import Result, Session

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from torch import Tensor

    from pofx.model import Model

UNITS = 24  # of a layer's gates that are drawn: those that vary most


@verb()
def inspect(
    run: str | Session,
    *,
    text: str | None = None,
    source: str | None = None,
    data: str | None = None,
    item: Count = 0,
    layer: Size | None = None,
    head: Size | None = None,
    out: str | None = None,
    trust: bool = False,
) -> Result:
    """Draw what a model of text does with each token: its attention weights, the gates of its recurrent layer.

    Of a model that translates, --source is what it is given, and --text what it writes; without --text, its own translation. Where x is
    given a picture, --item says which one, of --data or of the run's own test split.

    Args:
        run: a run folder
        text: x, the text that is read or written
        source: what x is given, if it is text
        data: what x is given, if it is a picture: one, a folder of them, or a data set; by default the run's own test split
        item: which picture, from 0
        layer: whose attention and gates are drawn, from 1; by default the attention of all, and the gates of the last
        head: which of an attention's heads, from 1; by default the mean over them
        out: a .png; by default samples/inside.png in the run folder
        trust: execute the model file that the run carries
    """
    from pofx.commands.sources import items
    from pofx.model import evaluating
    from pofx.render.pictures import stacked

    session = Session.load(run, trust=trust)
    model, path = session.model, session.run.path
    if not session.kind.text:
        raise UserError(f"{model.title()} is of {model.inputs['x']}, and only what models do with text is drawn")
    if not (can(model, Attends) or can(model, Gated)):
        raise UserError(f"{model.title()} has neither attention nor gates to look at")
    file = destination(out or path / "samples" / "inside.png", (".png",))
    given: Tensor | None = None
    kind = model.inputs.get("source")
    if kind is None and (source is not None or data is not None):
        raise UserError(f"{model.title()} is a p(x): nothing is given, so remove --{'source' if data is None else 'data'}")
    if kind is not None and kind.text:
        if source is None:
            raise UserError(f"{path} is a p(x | source): pass the source with --source")
        given = _one(session, source, "source")
    elif kind is not None:
        given = items(session, data, item + 1)[0][item:]
        if not len(given):
            raise UserError(f"--item {item} is not there: pass a lower one, for they count from 0")
    if text is not None:
        x_1L = _one(session, text, "x")
    elif given is not None and can(model, Translates):
        with evaluating(model):
            x_1L = model.translate(given)
    else:
        raise UserError("pass the text to read with --text")
    drawn, notes = [], []
    if head is not None and not can(model, Attends):
        raise UserError(f"{model.title()} has no attention, and so no heads: remove --head")
    if can(model, Attends):
        picture, note = attention_picture(session, x_1L, given, layer=layer, head=head)
        drawn, notes = [picture], [note]
    if can(model, Gated):
        for picture, note in gate_pictures(session, x_1L, given, layer=layer):
            drawn.append(picture)
            notes.append(note)
    report = {"run": str(path), "text": session.texts(x_1L)[0], "source": source or data, "out": str(file)}
    report |= {"note": said[0]} if (said := [note for note in notes if note]) else {}
    return Result(report, artefacts={file: stacked(drawn)})


def attention_picture(
    session: Session,
    x_1L: Tensor,
    given: Tensor | None,
    *,
    inner: bool = True,
    layer: int | None = None,
    head: int | None = None,
) -> tuple[Picture, str | None]:
    """Where the model looks as it reads or writes one text: a panel for each attention that it has.

    Args:
        session: of a model that has `attention(x, given=...)`: weights (B, N, L, S) by name. What is called "self ..." looks at what
            stands before each token of x, "encoder ..." from the source at the source, any other from x at the
            source; "... 2" is of the second layer
        x_1L: one text
        given: its source
        inner: also what does not look from x at the source
        layer: only that of this one, from 1, where the model's layers have attention of their own; None: of all
        head: which, from 1; None: the mean over them
    """
    from pofx.model import evaluating
    from pofx.render.heatmap import heat

    model = session.model
    with evaluating(model):
        weights = require(model, Attends).attention(x_1L, given=given)
    names = sorted(weights, key=lambda name: (name.startswith("encoder"), name.startswith("self")))  # the source is looked at first
    if given is not None and not inner:
        names = [name for name in names if not name.startswith(("encoder", "self"))] or names
    layers = {name.rpartition(" ")[2] for name in names if name[-1].isdigit()}
    if layer is not None and (layers or not can(model, Gated)):
        if str(layer) not in (layers or {"1"}):
            raise _not_there("layer", layer, model, len(layers) or 1)
        names = [name for name in names if name.endswith(f" {layer}")] or names
    if head is not None and head > (of := min(weights[name].shape[1] for name in names)):
        raise _not_there("head", head, model, of)
    written = _names(session, "x", x_1L)
    read = _names(session, "source", given) if given is not None and model.inputs["source"].text else []
    panels, rows, columns = {}, {}, {}
    for name in names:
        of_heads_NLS = weights[name][0].float()
        panels[name] = (of_heads_NLS.mean(0) if head is None else of_heads_NLS[head - 1]).cpu().numpy()
        rows[name] = read if name.startswith("encoder") else written
        columns[name] = ["", *written[:-1]] if name.startswith("self") or given is None else read
    return heat(panels, rows, columns, title=f"attention{'' if head is None else f' of head {head}'}: where each token (row) looks")


def gate_pictures(session: Session, x_1L: Tensor, given: Tensor | None, *, layer: int | None = None) -> list[tuple[Picture, str | None]]:
    """What the gates of a recurrent layer do at each token of one text: those between 0 and 1, and what is between -1 and 1.

    Args:
        session: of a model that has `gates(x)`: numbers (B, L, H) by name; with a `layer`, from 0, where it has several
        x_1L: one text
        given: its source
        layer: which, from 1; None: the last
    """
    from pofx.model import evaluating
    from pofx.render.heatmap import heat

    model = session.model
    with evaluating(model):
        layers = len(model.recurrent.layers) if can(model, HasRecurrentLayers) else 1
        if layer is not None and layer > layers:
            raise _not_there("layer", layer, model, layers)
        asked = {} if given is None else {"given": given}
        found = require(model, Gated).gates(x_1L, **asked, **({"layer": layer - 1} if layer is not None and layers > 1 else {}))
    before = ["", *_names(session, "x", x_1L)[:-1]]
    pictures = []
    units = None
    gates = {name: h_BLH[0].float().cpu().numpy() for name, h_BLH in found.items()}
    for signed in (False, True):
        some = {name: h_LH for name, h_LH in gates.items() if (h_LH.min() < 0) == signed}
        if not some:
            continue
        if units is None:
            units = (-next(reversed(gates.values())).std(0)).argsort(kind="stable")[:UNITS]
            units.sort()
        panels = {name: h_LH.T[units] for name, h_LH in some.items()}
        rows = {name: [str(unit) for unit in units] for name in panels}
        what = "states" if signed else "gates"
        pictures.append(heat(panels, rows, dict.fromkeys(panels, before), title=f"{what} of units (rows) after each token", signed=signed))
    return pictures


def _not_there(what: str, asked: int, model: Model, of: int) -> UserError:
    return UserError(f"--{what} {asked} is not there: {model.title()} has {of} to draw, counted from 1")


def _one(session: Session, text: str, field: str) -> Tensor:
    flag, kind = "--text" if field == "x" else f"--{field}", session.model.inputs[field]
    if not text:
        raise UserError(f"{flag} is empty: write what to read")
    [row] = texts.tokenized([text], session, field, flag, known=field == "x")
    if len(row) > kind.size:
        raise UserError(f"{flag} has {len(row)} tokens, and {session.run.path} takes at most {kind.size} at once: shorten it")
    return session.batch([row], field)


def _names(session: Session, field: str, x_1L: Tensor) -> list[str]:
    """What each token of one text is called."""
    return session.model.inputs[field].number_names(x_1L[0].tolist(), session.codec(field))
