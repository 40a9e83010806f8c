"""The model card of a run: README.md in its folder, written from what the folder holds."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pofx.capabilities import Samples, can
from pofx.models import ARXIV

if TYPE_CHECKING:
    from pofx.run import Run

DENSITY = {
    "exact": "Density: explicit; log p(x) is exact.",
    "bound": "Density: explicit, but only a lower bound of log p(x) is known.",
    None: "Density: implicit; there is no log p(x), so the model is measured by its samples, as each score's protocol says.",
    "none": "Density: none; the model draws no x.",
}


def write_card(run: Run) -> Path:
    """Write README.md into the run folder: what the model is, how it was trained, its pictures and its scores."""
    from pofx.run import explained, write_whole

    file = run.path / "README.md"
    with explained(file):
        write_whole(file, card(run).encode())
    return file


def card(run: Run) -> str:
    """The model card as Markdown."""
    from pofx import models

    model, data, training = run.config["model"], run.config.get("data", {}), run.config.get("training", {})
    lines = [f"# {model['name']} on {Path(data.get('spec', 'data unknown')).name}", ""]
    if model["file"] is None:
        cls = models.find(model["name"])
        authors, year, reference = cls.paper
        summary = (cls.__doc__ or "").strip().splitlines()[0]
        count = run.blank().parameter_count
        lines += [summary, "", f"Paper: {authors}, {year}, {_link(reference)}", "", f"Parameters: {count:,}", ""]
        lines += [DENSITY[cls.density if can(cls, Samples) else "none"], ""]
    if warnings := [row["warning"] for row in run.metrics() if "warning" in row]:
        lines += ["## Warnings", "", "What training warned of, once each:", "", *(f"- {warning}" for warning in warnings), ""]
    pictures = {
        "samples.png": "samples",
        "sweep.png": "one part of the code changes along a row",
        "reconstructions.png": "originals above, reconstructions below",
        "loss.png": "loss",
        "game.png": "how adversarial training went",
        "training.gif": "samples of the same codes as training went on",
    }
    for name, words in pictures.items():
        if (run.path / "samples" / name).is_file():
            lines += [f"![{words}](samples/{name})", "", f"*{words.capitalize()}.*", ""]

    texts = {
        "samples.txt": "Samples",
        "translations.txt": "Translations of the first sources of the validation split",
        "reconstructions.txt": "What is left of the first texts of the validation split",
    }
    for name, words in texts.items():
        if (file := run.path / "samples" / name).is_file():
            text = file.read_text(encoding="utf-8").rstrip("\n")
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
            lines += [f"{words}:", "", f"{fence}text", text, fence, ""]

    scores = run.path / "scores.json"
    lines += ["## Scores", ""]
    if scores.is_file():
        lines += ["| what | value | standard error | unit | split | rows |", "|---|---|---|---|---|---|"]
        for score in json.loads(scores.read_text()):
            error = "" if score["standard_error"] is None else f"{score['standard_error']:.3g}"
            protocol = score["protocol"]
            where = f"{protocol.get('split', '')} | {protocol.get('rows', '')}"
            lines.append(f"| {score['what']} | {score['value']:.6g} | {error} | {score['unit']} | {where} |")
        lines += ["", "How each number was made is in `scores.json`; a bound is not a likelihood."]
    else:
        lines += [f"None yet: `pofx evaluate {run.path}` measures what the model allows and writes them here."]

    trust = ", trust=True" if model["file"] else ""
    lines += ["", "## Use", "", "```python", "import pofx", "", f'model = pofx.load("{run.path}"{trust})', "```", ""]
    sections = {"Model": model["arguments"], "Training": training, "Data": {k: v for k, v in data.items() if k not in ("fields", "spec")}}
    for title, table in sections.items():
        if table:
            lines += [f"## {title}", "", "| | |", "|---|---|", *(f"| {key} | {_cell(value)} |" for key, value in table.items()), ""]
    lines.append(f"Made with pofx {run.config.get('pofx', '')}.")
    return "\n".join(lines) + "\n"


def _link(reference: str) -> str:
    if reference.startswith("doi:"):
        return f"[{reference}](https://doi.org/{reference.removeprefix('doi:')})"
    return f"[arXiv {reference}](https://arxiv.org/abs/{reference})" if re.fullmatch(ARXIV, reference) else reference


def _cell(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
