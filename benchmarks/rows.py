"""What is promised and what was measured: the rows of the table, their check, and their picture in Markdown."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
HOLDS = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True)
class Row:
    """A number that a benchmark promises to measure.

    Args:
        what: what is measured, unique within its benchmark
        unit: of the value
        reach: ("<=" or ">=", number), or None for a number that is only reported
        reference: what others measured, and who
        optional: may be absent, because not every machine can measure it
        within: minutes of one core's processor time that the training behind the number may take
    """

    what: str
    unit: str
    reach: tuple[str, float] | None = None
    reference: str = ""
    optional: bool = False
    within: float | None = None

    def reached(self, value: float) -> bool:
        """Whether `value` is a number that keeps the promise.

        Example:
            >>> Row("loss", "nats", ("<=", 90.0)).reached(89.1), Row("loss", "nats").reached(float("nan"))
            (True, False)
        """
        if not math.isfinite(value):
            return False
        return self.reach is None or HOLDS[self.reach[0]](value, self.reach[1])

    def measured(self, value: float, protocol: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The row as it is kept in `results/`."""
        reach = None if self.reach is None else {"op": self.reach[0], "value": self.reach[1]}
        return {
            "what": self.what,
            "value": value,
            "unit": self.unit,
            "reach": reach,
            "reference": self.reference,
            "protocol": protocol,
            "seconds": round(seconds, 1),
        }


def write(name: str, rows: Iterable[dict[str, Any]], folder: Path = RESULTS) -> Path:
    """Keep the measured rows of benchmark `name`."""
    file = folder / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"rows": list(rows)}, indent=2) + "\n")
    return file


def read(name: str, folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """The measured rows of benchmark `name` by what they measure; empty when it has not been run."""
    file = folder / f"{name}.json"
    return {row["what"]: row for row in json.loads(file.read_text())["rows"]} if file.is_file() else {}


def check(promised: dict[str, list[Row]], folder: Path = RESULTS) -> list[str]:
    """A line for every promised row that is missing or falls short; none when all is well."""
    problems = []
    for name, rows in promised.items():
        kept = read(name, folder)
        for row in rows:
            if row.what not in kept:
                if not row.optional:
                    problems.append(f"{name}: {row.what}: missing (python -m benchmarks {name})")
            elif row.within is not None and not (minutes := _processor_minutes(kept[row.what])) <= row.within:
                problems.append(f"{name}: {row.what}: training takes {minutes:.0f} minutes of one core, more than {row.within:g}")
            elif not row.reached(value := kept[row.what]["value"]):
                wanted = "a finite number" if row.reach is None else f"{row.reach[0]} {row.reach[1]:g} {row.unit}"
                problems.append(f"{name}: {row.what}: {value:.4g} {row.unit} falls short of {wanted}")
    return problems


def _processor_minutes(measured: dict[str, Any]) -> float:
    return measured["protocol"].get("training_processor_seconds", math.nan) / 60


def table(promised: dict[str, list[Row]], folder: Path = RESULTS) -> str:
    """Every promised row, measured or not, as a Markdown table; under it, where a training was stopped, how its learning rate went on."""
    lines = ["| benchmark | what | measured | to reach | reference | minutes |", "|---|---|---|---|---|---|"]
    notes = []
    for name, rows in promised.items():
        kept = read(name, folder)
        for row in rows:
            measured = kept.get(row.what)
            if measured is None and row.optional:
                continue
            value = minutes = "not measured"
            if measured is not None:
                error = measured["protocol"].get("standard_error")
                value = f"{measured['value']:.4g} {row.unit}".strip() + (f" (s.e. {error:.2g})" if error is not None else "")
                minutes = f"{measured['seconds'] / 60:.1f}"
                if stopped := measured["protocol"].get("learning rate"):
                    notes.append(f"- {row.what.partition(': ')[0]}: learning rate in training: {stopped}.")
            reach = "reported" if row.reach is None else f"{row.reach[0]} {row.reach[1]:g}"
            if measured is not None and not row.reached(measured["value"]):
                reach += " (not reached)"
            lines.append(f"| {name} | {row.what} | {value} | {reach} | {row.reference} | {minutes} |")
    return "\n".join([*lines, *([""] if notes else []), *dict.fromkeys(notes)])


def report(families: dict[str, tuple[str, ...]], promised: dict[str, list[Row]], folder: Path = RESULTS) -> str:
    """The table of each family of benchmarks under its name, as Markdown."""
    return "\n\n".join(f"### {family}\n\n{table({name: promised[name] for name in names}, folder)}" for family, names in families.items())
