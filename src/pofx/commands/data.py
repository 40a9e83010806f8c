"""`pofx data`: what is in a data set."""

from __future__ import annotations

from typing import Any

from pofx.commands.flags import Flags, data_flags, split_options, together
from pofx.commands.verb import verb
from pofx.errors import UserError
from pofx.options import Size
from pofx.session import Result

CLASSES = 50  # whose rows are listed one by one
LINES, LOOK = 5, 1000  # lines of text that are shown; tokens of running text that they are looked for in


def look_flags(spec: str | None = None) -> list[Flags]:
    """All flags of `pofx data`."""
    return together(Flags.of("flags", data), data_flags())


@verb(flags=look_flags, json_only=("splits", "record"))
def data(spec: str, *, out: str | None = None, n: Size = 64, **options: Any) -> Result:
    """Look at a data set: fields, counts, labels, problems by file name, a picture grid; the first lines of text.

    Args:
        spec: a name (digits, mnist, ...) or a path to a folder of pictures, idx files, .npy, .npz, .csv, .parquet, text, .tsv, .jsonl
        out: a .png to write a grid of the first training rows to
        n: how many of them
        options: how the data are read, as in `pofx.data.load`
    """
    from pofx.commands.files import destination
    from pofx.data import describe, load

    _, loading = split_options("data", options, look_flags(spec))
    file = destination(out, (".png",)) if out else None
    found = load(spec, **loading)
    account = describe(found)
    report: dict[str, Any] = {
        "spec": found.record["spec"],
        "fields": {name: str(kind) for name, kind in found.fields.items()},
        "counts": {name: len(split) for name, split in found.splits.items()},
        "train": {name: _brief(about) for name, about in account["splits"]["train"]["fields"].items()},
        "splits": account["splits"],
        "problems": account["problems"],
        "record": account["record"],
    }
    result, split = Result(report), next(iter(found.splits.values()))
    if found.tokenizers:
        report["padding"] = account["splits"]["train"].get("padding")
        first = split.read(range(min(LINES, len(split))))
        texts = {name: [tokenizer.decode(row) for row in first[name]] for name, tokenizer in found.tokenizers.items()}
        if split.columns["x"].lengths is None:  # running text: each window begins a token after the one before
            texts = {"x": found.tokenizers["x"].decode(split.columns["x"].values[:LOOK, 0]).split("\n")[:LINES]}
        names = [name for name in ("source", "x") if name in texts]
        report["first"] = [dict(zip(names, row, strict=True)) for row in zip(*(texts[name] for name in names), strict=True)]
    if file is not None:
        from pofx.render.pictures import grid

        drawn = next((name for name in ("x", "source") if name in found.fields and not found.fields[name].printed), None)
        if drawn is None:
            raise UserError(f"{spec} is {'text' if found.tokenizers else 'read'}, of which there is no picture: remove --out")
        pictures = split.read(range(min(n, len(split))))[drawn]
        result.artefacts[file] = grid(pictures.numpy(), found.fields[drawn])
        report["picture"] = str(file)
    return result


def _brief(about: dict[str, Any]) -> dict[str, Any]:
    """Rows of each class, or of the rarest and the commonest of many; the range of numbers."""
    if "tokens" in about:
        return about
    if "classes" not in about:
        return {name: about[name] for name in ("min", "max", "mean")}
    rows = about["classes"].values()
    return about["classes"] if len(rows) <= CLASSES else {"classes": len(rows), "fewest rows": min(rows), "most rows": max(rows)}
