"""What follows a training: pictures, the model card, the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pofx.capabilities import Attends, Completes, Decodes, Encodes, Gated, Generates, Samples, Scores, Translates, can
from pofx.environment import first_replica

if TYPE_CHECKING:
    from pofx.run import Run


@contextmanager
def replicas_done() -> Iterator[None]:
    """Leave the process group that training joined, if it joined one, when every replica is done: the first draws pictures meanwhile."""
    from torch import distributed

    joined_before = distributed.is_initialized()
    try:
        yield
        if distributed.is_initialized() and not joined_before:
            distributed.barrier()
    finally:
        if distributed.is_initialized() and not joined_before:
            distributed.destroy_process_group()  # a process that ends within its group is aborted


def finished(run: Run, data: Any) -> dict[str, Any]:
    """Pictures and the model card of a trained run, and the report of what stands where."""
    from pofx.card import write_card
    from pofx.commands.illustrate import illustrate

    last: dict[str, dict[str, Any]] = {"train": {}, "valid": {}}
    for row in run.metrics():
        last.setdefault(row.get("split", "train"), {}).update((name, row[name]) for name in row if "." in name or name == "step")
    model = run.config["model"]
    blank = run.blank(trust=True)
    first, *others = blank.inputs
    conditions = [name for name in others if blank.inputs[name].classes]
    conditions += [name for name in others if name == "source"]
    learned = f"p({first} | {', '.join(conditions)})" if conditions and can(blank, Samples) else None
    report = {
        "run": str(run.path),
        "model": model["name"],
        "parameters": blank.parameter_count,
        "data": run.config["data"]["spec"],
        "learned": learned,
        **last,
        "warnings": [row["warning"] for row in run.metrics() if "warning" in row] or None,
    }
    if first_replica():  # with torchrun, one replica writes for all
        report["pictures"] = [str(file) for file in illustrate(run, data)]
        report["card"] = str(write_card(run))
        trust = " --trust" if model["file"] else ""
        verbs: dict[str, type | None] = {
            **({"translate": Translates} if "source" in blank.inputs else {"sample": Samples}),
            "score": Scores,
            "embed": Encodes,
            "reconstruct": Decodes,
            "sweep": Generates,
            "forecast" if blank.inputs["x"].in_time else "complete": Completes,
            "evaluate": None,
        }
        source = ' --text "..."' if "source" in blank.inputs and blank.inputs["source"].text else ""
        further = {"forecast": " --horizon 12", "translate": source}
        if blank.inputs["x"].text:  # a way between texts, not pairs of pictures
            del verbs["sweep"]
            verbs["interpolate"] = Decodes
            further["interpolate"] = ' --between "..." "..."'
            if can(blank, Attends) or can(blank, Gated):
                verbs["inspect"] = None
                further["inspect"] = source.replace("text", "source") if "source" in blank.inputs else ' --text "..."'
        report["next"] = [
            f"pofx {verb} {run.path}{further.get(verb, '')}{trust}"
            for verb, needed in verbs.items()
            if needed is None or can(blank, needed)
        ]
    return report
