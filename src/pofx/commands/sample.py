"""`pofx sample`: new examples drawn from a run's model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pofx.commands.texts as texts
from pofx.capabilities import DrawsInAnyOrder, DrawsInOrder, Samples, Streams, can, require
from pofx.commands.condition import classes, condition
from pofx.commands.files import ARRAYS, as_array, destination, write_animation, write_arrays, write_picture
from pofx.commands.flags import asking_flags, sort
from pofx.commands.prepare import BLOCK
from pofx.commands.sources import given
from pofx.errors import UserError
from pofx.kinds import Tokens
from pofx.options import Seed, Size

if TYPE_CHECKING:
    import torch

    from pofx.data.tokenizer import Tokenizer
    from pofx.model import Model
    from pofx.run import Run


def sample(
    run: str,
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
) -> dict[str, Any]:
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
    from pofx.render.pictures import grid, growth, labelled_rows, moments
    from pofx.run import Run

    found = Run(run)
    model = found.model(trust=trust)
    sampler = require(model, Samples)
    _, own = sort("sample", asked, sample_flags(run, trust))
    if isinstance(model.inputs["x"], Tokens):
        for flag, value in (("given", given), ("growing", growing), ("columns", columns)):
            if value is not None:
                raise UserError(f"{model.title()} draws text, which has no {flag}: remove --{flag}")
        return sample_texts(found, model, n=n, prompt=prompt, out=out, seed=seed, stream=stream, options=own, source=source, data=data)
    for flag, value in (("source", source), ("data", data)):
        if value is not None:
            raise UserError(f"--{flag} is for models that write a text for it, and {model.title()} draws {model.inputs['x']}: remove it")
    if prompt is not None:
        raise UserError(f"--prompt is what a text begins with, and {model.title()} draws {model.inputs['x']}: remove it")
    file = destination(out or found.path / "samples" / "samples.png", (".png", *ARRAYS))
    kind, each, labels = model.inputs["x"], n or (8 if given and len(given) > 1 else 64), None
    if given:
        labels = torch.tensor(classes(condition(model)[1], given)).repeat_interleave(each)
    order = None
    if growing is not None:
        film = destination(growing, (".gif", ".png"), "--growing")
        order = drawing_order(model, own)
    noise, drawn = generator(("sample", seed)), []
    with evaluating(model):
        for rows in torch.arange(each * len(given or "1")).split(BLOCK):
            conditions = {} if labels is None else {"given": labels[rows]}
            drawn.append(sampler.sample(len(rows), generator=noise, **conditions, **own))
    x = as_array(drawn)
    if file.suffix.lower() != ".png":
        write_arrays(file, {"x": x} | ({} if labels is None else {"given": labels.numpy()}), "x")
    elif given and len(given) > 1 and columns is None:
        write_picture(file, labelled_rows({name: (x[i * each : (i + 1) * each], kind) for i, name in enumerate(given)}))
    else:
        write_picture(file, grid(x, kind, columns=columns))
    if order is not None:
        columns = columns or (each if given and len(given) > 1 else None)
        if film.suffix.lower() == ".gif":
            write_animation(film, growth(x, kind, order, columns=columns))
        else:
            write_picture(film, moments(x, kind, order))
    report = {"run": str(found.path), "samples": len(x), "given": list(given) if given else None, "seed": seed, **own, "out": str(file)}
    return report | ({} if growing is None else {"growing": growing})


sample_flags = asking_flags(sample, Samples, data=False)


def drawing_order(model: Model, own: dict[str, Any]) -> Any:
    """The places of the flattened example in the order in which the model draws them, int64 (D,)."""
    from pofx.render.pictures import is_picture

    if can(model, DrawsInAnyOrder):
        order = model.order_of(own.get("order", 0))
    elif can(model, DrawsInOrder):
        order = model.order
    else:
        raise UserError(f"{model.title()} draws all of x at once, so nothing grows: remove --growing")
    if not is_picture(model.inputs["x"]):
        raise UserError(f"only pictures are shown growing, and x is {model.inputs['x']}: remove --growing")
    return order.cpu().numpy()


def sample_texts(
    run: Run,
    model: Model,
    *,
    n: int | None,
    prompt: str | None,
    out: str | None,
    seed: int,
    stream: bool,
    options: dict[str, Any],
    source: str | None = None,
    data: str | None = None,
) -> dict[str, Any]:
    """New texts, as `pofx sample` gives them.

    Args:
        run: of the model
        model: of x of kind `Tokens`
        n: how many, of each source where there are sources; by default 8, one of a running text, and one of each of several sources
        prompt: that each begins with
        out: .txt, .jsonl, .npy or .npz with the tokens; by default they are in the report
        seed: the same seed gives the same texts
        stream: print the first as it is drawn, where standard output is a terminal and no file is asked for
        options: further arguments of the model's `sample`
        source: what x is given: a text, or where pictures are
        data: a file of such texts, or likewise
    """
    import torch

    from pofx.evaluate.text import padded
    from pofx.model import evaluating
    from pofx.randomness import generator

    kind, sampler = model.inputs["x"], require(model, Samples)
    assert isinstance(kind, Tokens)
    tokenizer, file = run.tokenizer("x"), destination(out, texts.FORMS) if out else None
    begin: dict[str, Any] = {}
    if prompt:
        anything = Tokens(tokenizer.vocabulary, kind.length, ends=False)
        begin["prompt"] = torch.tensor(texts.encoded([prompt], tokenizer, anything, "--prompt", of=str(run.path), known=True)[0])
    conditions: dict[str, torch.Tensor] = {}
    names: list[str] = []
    if "source" in model.inputs:
        sources, names = given(run, model, source, data)
        n = n or (8 if len(names) == 1 else 1)
        conditions, names = {"given": sources.repeat_interleave(n, 0)}, [name for name in names for _ in range(n)]
    elif source is not None or data is not None:
        raise UserError(f"{model.title()} is a p(x): nothing is given, so remove --{'source' if data is None else 'data'}")
    n = len(names) or n or (8 if kind.ends else 1)
    noise, live = generator(("sample", seed)), stream and file is None and sys.stdout.isatty() and can(model, Streams) and n <= BLOCK
    with evaluating(model):
        if live:
            x = _streamed(model, tokenizer, n, noise, begin, conditions, options)
        else:
            blocks = []
            for done in range(0, n, BLOCK):
                some = {name: tensor[done : done + BLOCK] for name, tensor in conditions.items()}
                blocks.append(sampler.sample(min(BLOCK, n - done), generator=noise, **some, **begin, **options).cpu())
            x = torch.cat([padded(block, max(other.shape[1] for other in blocks)) for block in blocks])
    drawn = [tokenizer.decode(row) for row in x.tolist()]
    report = {"run": str(run.path), "samples": n, "seed": seed, **options, "prompt": prompt, "texts": drawn}
    report |= {"sources": names} if names else {}
    if live:
        print("\n\n".join(["", *drawn[1:]]) if kind.ends is False else "\n".join(["", *drawn[1:]]))
        report["streamed"] = True
    if file is not None:
        rows = [{"text": text} for text in drawn]
        if names:
            rows = [{"source": name, **row} for name, row in zip(names, rows, strict=True)]
        texts.write_texts(file, drawn, rows, {"x": x.numpy()})
        report["out"] = str(file)
    return report


def _streamed(
    model: Model,
    tokenizer: Tokenizer,
    n: int,
    noise: torch.Generator,
    begin: dict[str, Any],
    conditions: dict[str, torch.Tensor],
    options: dict[str, Any],
) -> torch.Tensor:
    """n texts (n, L), the first of which is printed piece by piece as it is drawn."""
    import torch

    sampler, streaming = require(model, Samples), require(model, Streams)
    prompt = begin.get("prompt", torch.empty(0, dtype=torch.int64))
    shortest = min(options.get("length") or model.inputs["x"].size, len(prompt) + 1)
    one = {name: tensor[:1] for name, tensor in conditions.items()}
    sampler.sample(1, generator=torch.Generator(noise.device), **one, **begin, **{**options, "length": shortest})  # refuses what it must
    drawn: list[torch.Tensor] = []

    def tokens() -> Iterator[int]:
        yield from prompt.tolist()
        for token_B in streaming.stream(streaming.read(conditions.get("given")), n, generator=noise, **begin, **options):
            drawn.append(token_B.cpu())
            yield int(token_B[0])

    for piece in tokenizer.pieces(tokens()):
        sys.stdout.write(piece)
        sys.stdout.flush()
    return torch.cat([prompt.expand(n, -1), torch.stack(drawn, 1)], 1)
