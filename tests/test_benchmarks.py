"""The benchmarks' own arithmetic: a promise that is missing or not kept is named, and the table says so."""

import importlib
import json
import math

import pytest

from benchmarks import FAMILIES, NAMES, rows
from benchmarks.__main__ import measure
from benchmarks.recipes import RECIPES
from benchmarks.rows import Row
from pofx import models
from pofx.kinds import Binary, Category, Image, Kind, Series, Tokens, Vector
from pofx.model import bind
from pofx.train import Training

LOSS = Row("loss", "nats", ("<=", 90.0), "91 (Somebody, 2016)")
SPEED = Row("speed", "", (">=", 1.5))
SEEN = Row("seen", "nats")
GPU = Row("gpu", "examples/s", optional=True)
PROMISED = {"one": [LOSS, SPEED], "two": [SEEN, GPU]}


def keep(folder, loss, speed, seen):
    rows.write("one", [LOSS.measured(loss, {"seed": 0}, 60.0), SPEED.measured(speed, {}, 1.0)], folder)
    rows.write("two", [SEEN.measured(seen, {}, 1.0)], folder)


def test_nothing_is_named_when_all_is_measured_and_reached(tmp_path):
    keep(tmp_path, 90.0, 1.5, 1e6)
    assert rows.check(PROMISED, tmp_path) == []


@pytest.mark.parametrize(
    ("values", "named"),
    [((90.001, 2.0, 0.0), "loss"), ((80.0, 1.49, 0.0), "speed"), ((math.nan, 2.0, 0.0), "loss"), ((80.0, 2.0, math.inf), "seen")],
)
def test_a_row_that_falls_short_is_named(tmp_path, values, named):
    keep(tmp_path, *values)
    (problem,) = rows.check(PROMISED, tmp_path)
    assert named in problem
    assert "falls short" in problem


def test_missing_rows_are_named_but_optional_ones_are_not(tmp_path):
    rows.write("one", [LOSS.measured(80.0, {}, 1.0)], tmp_path)
    problems = rows.check(PROMISED, tmp_path)
    assert [problem.split(":")[1].strip() for problem in problems] == ["speed", "seen"]
    assert all("missing" in problem for problem in problems)


def test_a_row_is_kept_in_the_agreed_form(tmp_path):
    file = rows.write("one", [LOSS.measured(88.0, {"seed": 3}, 61.23)], tmp_path)
    assert json.loads(file.read_text()) == {
        "rows": [
            {
                "what": "loss",
                "value": 88.0,
                "unit": "nats",
                "reach": {"op": "<=", "value": 90.0},
                "reference": "91 (Somebody, 2016)",
                "protocol": {"seed": 3},
                "seconds": 61.2,
            }
        ]
    }


def test_the_table_has_a_line_for_every_promise(tmp_path):
    rows.write("one", [LOSS.measured(90.5, {"standard_error": 0.26}, 120.0)], tmp_path)
    lines = rows.table(PROMISED, tmp_path).splitlines()
    assert len(lines) == 2 + 3
    assert lines[2] == "| one | loss | 90.5 nats (s.e. 0.26) | <= 90 (not reached) | 91 (Somebody, 2016) | 2.0 |"
    assert "not measured" in lines[3]
    assert "reported" in lines[4]
    assert all(line.count("|") == 7 for line in lines)


def test_a_training_that_was_stopped_is_told_of_once_under_the_table(tmp_path):
    scores = [rows.Row(f"pairs, validation: {what}", "") for what in ("BLEU", "nats")]
    rows.write("one", [row.measured(1.0, {"learning rate": "steps 1 to 9; then resumed"}, 60.0) for row in scores], tmp_path)
    *_, blank, told = rows.table({"one": scores}, tmp_path).splitlines()
    assert (blank, told) == ("", "- pairs, validation: learning rate in training: steps 1 to 9; then resumed.")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_benchmark_promises_is_well_formed(name):
    module = importlib.import_module(f"benchmarks.{name}")
    assert module.__doc__
    assert len({row.what for row in module.ROWS}) == len(module.ROWS) > 0
    assert all(row.reach is None or row.reach[0] in rows.HOLDS for row in module.ROWS)


def test_rows_measured_before_stay_until_they_are_measured_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(rows.write, "__defaults__", (tmp_path,))
    monkeypatch.setattr(rows.read, "__defaults__", (tmp_path,))
    rows.write("one", [LOSS.measured(91.0, {}, 1.0), SPEED.measured(1.2, {}, 1.0), SEEN.measured(3.0, {}, 1.0)])
    measure("one", lambda: [("speed", 1.4, {})], [LOSS, SPEED])  # what is promised no more goes
    assert [(what, row["value"]) for what, row in rows.read("one").items()] == [("loss", 91.0), ("speed", 1.4)]


def test_a_benchmark_stands_in_the_family_of_the_model_that_it_trains():
    family = {name: heading for heading, names in FAMILIES.items() for name in names}
    found = {(models.find(RECIPES[name].model).family(), family[name]) for name in NAMES if name in RECIPES}
    assert found == {
        ("autoencoders", "Autoencoders"),
        ("autoregressive", "Autoregressive models"),
        ("language", "Language models"),
        ("seq2seq", "Sequence to sequence"),
        ("classifiers", "Measures of samples"),
    }
    assert len(set(NAMES)) == len(NAMES)


def test_a_report_has_a_table_a_family(tmp_path):
    text = rows.report({"One": ("a",), "Two": ("b", "c")}, {"a": [LOSS], "b": [LOSS], "c": [SPEED]}, tmp_path)
    assert [line for line in text.splitlines() if line.startswith("#") or line.endswith("not measured |")] == [
        "### One",
        *rows.table({"a": [LOSS]}, tmp_path).splitlines()[2:],
        "### Two",
        *rows.table({"b": [LOSS], "c": [SPEED]}, tmp_path).splitlines()[2:],
    ]


@pytest.mark.parametrize("name", NAMES)
def test_what_was_measured_is_what_is_promised(name):
    promised = {row.what for row in importlib.import_module(f"benchmarks.{name}").ROWS}
    kept = rows.read(name)
    assert kept.keys() <= promised
    for row in kept.values():
        assert {"versions", "machine"} <= row["protocol"].keys()


def kind_of_x(
    spec: str,
    *,
    size: int = 28,
    window: int | None = None,
    binarize: str = "none",
    stacked: int = 1,
    tokens: str = "",
    vocabulary: int = 67,
    **others: object,
) -> Kind:
    """What x is in the data of a recipe, without reading any."""
    if tokens:
        return Tokens(vocabulary, window or 100, ends=window is None)
    if spec.endswith(".csv"):
        return Vector(11) if window is None else Series(window, 7)
    if spec in ("ring", "grid"):
        return Vector(2)
    if binarize != "none" or spec == "binarized-mnist":
        return Binary(1, 28, 28)
    return Image(3 if spec.startswith("emoji") else stacked, size, size)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_makes_its_model_and_schedule(name):
    recipe = RECIPES[name]
    cls = models.find(recipe.model)
    x = kind_of_x(**recipe.data)
    fields = {"x": x, "label": Category(10)}
    if "labelled" in recipe.data:
        fields["x_labelled"] = x
    if "source" in recipe.data:
        fields["source"] = x
    elif "target" in recipe.data:
        fields["source"] = Image(3, recipe.data["size"], recipe.data["size"])
    if spell := recipe.data.get("spell"):
        places = 4 if spell == "hangul" else 1
        context = Binary(places, 11) if spell == "hangul" else Binary(10)
        fields = {"x": Tokens(30, 12), "source": Image(1, 28, 28 * places), "context": context}
    model = cls(**bind(cls, fields), **recipe.arguments)
    assert {key: model.config[key] for key in recipe.arguments} == recipe.arguments
    Training(**recipe.training)


def test_a_training_that_takes_longer_than_promised_is_named(tmp_path):
    row = Row("nll", "nats", ("<=", 90.0), within=30)
    for seconds, problems in ((1799.0, 0), (1801.0, 1)):
        rows.write("short", [row.measured(80.0, {"training_processor_seconds": seconds}, 1.0)], tmp_path)
        assert len(rows.check({"short": [row]}, tmp_path)) == problems
    rows.write("short", [row.measured(80.0, {}, 1.0)], tmp_path)
    assert "more than 30" in rows.check({"short": [row]}, tmp_path)[0]
