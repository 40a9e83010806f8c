"""`pofx sample`: new examples drawn from a run's model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import signature
from typing import TYPE_CHECKING, Any

import pofx.commands.texts as texts
from pofx.capabilities import DrawsInAnyOrder, DrawsInOrder, Samples, Streams, can, require
from pofx.commands.condition import can_be_given, classes, condition
from pofx.commands.files import destination, examples
from pofx.commands.flags import split_options
from pofx.commands.sources import sources
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Seed, Size
from pofx.session import BLOCK, Film, Result, Session

if TYPE_CHECKING:
    import numpy as np
    import torch

    from pofx.model import Model

PER_CONDITION = 8  # of each of several classes, and of one source, where no number is asked for


@verb(Samples, json_only=("texts", "sources"), printed_texts="texts")
def sample(
    run: str | Session,
    *,
    n: Size | None = None,
    given: tuple[str, ...] | None = None,
    out: str | None = None,
    growing: str | None = None,
    seed: Seed = 0,
    columns: Size | None = None,
    prompt: str | None = None,
    source: str | None = None,
    data: str | None = None,
    stream: bool = True,
    trust: bool = False,
    **asked: Any,
) -> Result:
    """Draw new examples: a picture grid, or arrays; texts are printed.

    Args:
        run: a run folder
        n: how many: 64 by default, 8 of each where several classes are given; 8 texts, or one of a running text; with several sources,
            one of each
        given: for a conditional model: classes, by name or number; each has its row in the picture. By default each equally likely
        out: .png for a grid, .npy or .npz for the numbers; by default samples/samples.png in the run folder. Of text .txt, .jsonl, or
            .npy or .npz for the tokens; by default it is printed
        growing: the same pictures as they grow, of a model that draws one number after another: .gif to watch, .png for a few moments
        seed: the same seed gives the same samples
        columns: of the grid
        prompt: what a text begins with
        source: of a model that translates or reads, what x is given: a text; or a picture, a folder of them, or a data set
        data: likewise, a file of texts, one a line; or a folder of pictures, or a data set
        stream: print a text as it is drawn, where it goes to a terminal
        trust: execute the model file that the run carries
        asked: further arguments of the model's `sample`
    """
    import torch

    from pofx.model import evaluating
    from pofx.randomness import generator
    from pofx.render.pictures import growth, moments

    session = Session.load(run, trust=trust)
    model, kind, sampler = session.model, session.kind, require(session.model, Samples)
    _, own = split_options("sample", asked, sample.known(run, trust))
    for flag, value in (("given", given), ("growing", growing), ("columns", columns)):
        if value is not None and (kind.text if flag == "given" else kind.printed):
            raise UserError(f"{model.title()} draws {'text' if kind.text else kind}, which has no {flag}: remove --{flag}")
    for flag, value in (("source", source), ("data", data)):
        if value is not None and "source" not in model.inputs:
            said = "takes no source" if can_be_given(model) else "is a p(x): nothing is given"
            raise UserError(f"{model.title()} {said}, so remove --{flag}{'; a class is --given' if can_be_given(model) else ''}")
    begin: dict[str, Any] = {}
    if prompt is not None and "prompt" not in signature(sampler.sample).parameters:
        raise UserError(f"--prompt is what a text begins with, and {model.title()} draws {kind}: remove it")
    if prompt:
        rows = texts.tokenized([prompt], session, "x", "--prompt", whole=False, known=True)
        begin["prompt"] = torch.tensor(rows[0])
    file = None if out is None and kind.printed else destination(out or session.run.path / "samples" / "samples.png", kind.endings)
    order = None
    if growing is not None:
        film = destination(growing, (".gif", ".png"), "--growing")
        order = drawing_order(model, own)

    # What each is drawn for, if for anything: its class or its source
    names: list[str] = []
    conditions: dict[str, torch.Tensor] = {}
    if given:
        each = n or (PER_CONDITION if len(given) > 1 else kind.default_count)
        conditions = {"given": torch.tensor(classes(condition(model)[1], given)).repeat_interleave(each)}
        names = [name for name in given for _ in range(each)]
    elif "source" in model.inputs:
        found, called = sources(session, source, data)
        each = n or (PER_CONDITION if len(called) == 1 else 1)
        conditions = {"given": found.repeat_interleave(each, 0)}
        names = [name for name in called for _ in range(each)]
    count = len(names) or n or kind.default_count

    noise = generator(("sample", seed))
    live = kind.text and stream and file is None and sys.stdout.isatty() and can(model, Streams) and count <= BLOCK
    with evaluating(model):
        if live:
            x = session.numbers([streamed(session, count, noise, begin, conditions, own)])
        else:
            drawn = []
            for rows_of in torch.arange(count).split(BLOCK):
                some = {name: values[rows_of] for name, values in conditions.items()}
                drawn.append(sampler.sample(len(rows_of), generator=noise, **some, **begin, **own))
            x = session.numbers(drawn)

    classes_given = {} if kind.text else {"given": list(given) if given else None}
    result = Result({"run": str(session.run.path), "samples": len(x), **classes_given, "seed": seed, **own}, {"x": x})
    if kind.printed:
        drawn_texts = session.texts(x)
        result.report |= {"prompt": prompt, "texts": drawn_texts} | ({"sources": names} if names else {})
        if live:
            print("\n\n".join(["", *drawn_texts[1:]]) if not kind.ragged else "\n".join(["", *drawn_texts[1:]]))
            result.report["streamed"] = True
    about: dict[str, Any] = {"given": conditions["given"].numpy()} if given else {"source": names} if names else {}
    several = {name: slice(i * each, (i + 1) * each) for i, name in enumerate(given)} if given and len(given) > 1 else None
    if file is not None:
        result.artefacts[file] = examples(file, session, x, labels=several, about=about, columns=columns)
        result.report["out"] = str(file)
    if order is not None:
        columns = columns or (each if several else None)
        watched = film.suffix.lower() == ".gif"
        result.artefacts[film] = Film(*growth(x, kind, order, columns=columns)) if watched else moments(x, kind, order)
        result.report["growing"] = growing
    return result


def drawing_order(model: Model, own: dict[str, Any]) -> np.ndarray:
    """The places of the flattened example in the order in which the model draws them, int64 (D,)."""
    if can(model, DrawsInAnyOrder):
        order = model.order_of(own.get("order", 0))
    elif can(model, DrawsInOrder):
        order = model.order
    else:
        raise UserError(f"{model.title()} draws all of x at once, so nothing grows: remove --growing")
    if not (model.inputs["x"].picture and len(model.inputs["x"].places) == 2):
        raise UserError(f"only pictures are shown growing, and x is {model.inputs['x']}: remove --growing")
    return order.cpu().numpy()


def streamed(
    session: Session,
    n: int,
    noise: torch.Generator,
    begin: dict[str, Any],
    conditions: dict[str, torch.Tensor],
    options: dict[str, Any],
) -> torch.Tensor:
    """n texts (n, L), the first of which is printed piece by piece as it is drawn."""
    import torch

    sampler, streaming, codec = require(session.model, Samples), require(session.model, Streams), session.codec()
    assert codec is not None
    prompt = begin.get("prompt", torch.empty(0, dtype=torch.int64))
    shortest = min(options.get("length") or session.kind.size, len(prompt) + 1)
    one = {name: tensor[:1] for name, tensor in conditions.items()}
    sampler.sample(1, generator=torch.Generator(noise.device), **one, **begin, **{**options, "length": shortest})  # refuses what it must
    drawn: list[torch.Tensor] = []

    def tokens() -> Iterator[int]:
        yield from prompt.tolist()
        for token_B in streaming.stream(streaming.read(conditions.get("given")), n, generator=noise, **begin, **options):
            drawn.append(token_B.cpu())
            yield int(token_B[0])

    for piece in codec.pieces(tokens()):
        sys.stdout.write(piece)
        sys.stdout.flush()
    return torch.cat([prompt.expand(n, -1), torch.stack(drawn, 1)], 1)
