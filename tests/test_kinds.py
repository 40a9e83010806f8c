"""Kinds are values that survive JSON; ranges refuse in one line."""

import json
import math
import subprocess
import sys
from typing import Annotated, Literal

import numpy as np
import pytest
import torch

from pofx.errors import UserError, nearest
from pofx.kinds import EOS, PAD, Binary, Category, Image, Kind, Record, Refusal, Series, Tokens, Vector, kinds_in
from pofx.kinds.shown import Texts
from pofx.options import Count, Fraction, NonNegative, Positive, Range, Seed, Size, check_value

PERSON = Record((("age", Vector(1)), ("eyes", Category(3, ("blue", "brown", "green"))), ("answers", Binary(2, 2)), ("town", Category(9))))

KINDS = [
    (Image(3, 8, 6), (3, 8, 6)),
    (Image(1, 4, 4, levels=2), (1, 4, 4)),
    (Binary(784), (784,)),
    (Binary(1, 28, 28), (1, 28, 28)),
    (Vector(5), (5,)),
    (Series(6, 2), (6, 2)),
    (Series(6), (6, 1)),
    (Category(10), ()),
    (Category(2, ("cat", "dog")), ()),
    (Tokens(9, 4), (4,)),
    (Tokens(9, 4, ends=False, tokenizer="8d81"), (4,)),
    (Tokens(9, 4, masked=True), (4,)),
    (PERSON, (7,)),
    (Record((("age", Vector(1)),)), (1,)),
]


@pytest.mark.parametrize(("kind", "shape"), KINDS)
def test_a_kind_has_a_shape_and_survives_json(kind, shape):
    assert kind.shape == shape
    assert kind.size == math.prod(shape)
    copy = Kind.from_json(json.loads(json.dumps(kind.to_json())))
    assert copy == kind
    assert hash(copy) == hash(kind)
    assert type(copy) is type(kind)


def test_kinds_that_differ_are_not_equal():
    assert len({kind for kind, _ in KINDS}) == len(KINDS)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Image(0, 8, 8), "Image: channels must be a whole number of 1 or more, not 0"),
        (lambda: Image(1, 8, 8, levels=1), "Image: levels must be 2 or more, not 1"),
        (lambda: Binary(), "Binary: needs at least one dimension"),
        (lambda: Binary(3, -1), "Binary: dimension 1 must be a whole number of 1 or more, not -1"),
        (
            lambda: Vector(2.5),  # type: ignore[arg-type]
            "Vector: dims must be a whole number of 1 or more, not 2.5",
        ),
        (lambda: Vector(True), "Vector: dims must be a whole number of 1 or more, not True"),
        (lambda: Series(0), "Series: length must be"),
        (lambda: Category(3, ("a", "b")), "Category: 2 names for 3 classes"),
        (lambda: Kind.from_json({"kind": "Imag"}), "unknown kind of data 'Imag': did you mean Image?"),
        (lambda: Kind.from_json({"kind": "Vector", "dim": 3}), "unknown key 'dim' in kind Vector: did you mean dims?"),
        (lambda: Record(()), "Record: columns must be pairs of a name and a kind, such as (('age', Vector(1)),"),
        (lambda: Kind.from_json({"kind": "Record", "columns": [["a", 3]]}), "Record: columns must be pairs of a name and a kind"),
        (lambda: Kind.from_json({"kind": "Record", "columns": [["a", {"kind": "Vecto"}]]}), "unknown kind of data 'Vecto': did you mean"),
        (lambda: Record((("a", Vector(1)), ("a", Binary(1)))), "Record: 2 columns are called 'a'; give each a name of its own"),
        (lambda: Record((("", Vector(1)),)), "Record: 1 columns are called ''; give each a name of its own"),
        (lambda: Record((("a", Tokens(4, 3)),)), "Record: column 'a' is Tokens(vocabulary=4, length=3); make it one of Vector, Category"),
        (lambda: Record((("a", Category(2**24 + 1)),)), "Record: column 'a' has 16777217 classes; make it at most 16777216"),
    ],
)
def test_what_is_no_kind_is_refused(build, message):
    with pytest.raises(UserError, match=r"^[^\n]*$") as found:
        build()
    assert message in str(found.value)


CHECKED = [
    (Image(1, 1, 2, levels=3), [[[[0.0, 0.5]]], [[[1.0, 0.0]]]]),
    (Binary(3), [[0.0, 1.0, 1.0]]),
    (Vector(2), [[-7.5, 1e9]]),
    (Series(2, 1), [[[3.0], [-3.0]]]),
    (Category(3), [0, 2, 1]),
    (PERSON, [[-0.5, 2.0, 0.0, 1.0, 1.0, 0.0, 8.0], [1e9, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0]]),
    (Tokens(4, 3), [[2, 3, 1], [1, 0, 0], [2, 3, 3]]),
    (Tokens(4, 3), [[2, 1, 0, 0, 0]]),  # PAD count for nothing
    (Tokens(4, 3, ends=False), [[2, 3, 3, 2, 2]]),  # a running text is of any length
]


def of_both(kind, rows):
    """An array and a tensor of these rows."""
    array = np.array(rows, dtype=kind.dtype)
    return array, torch.from_numpy(array)


@pytest.mark.parametrize(("kind", "rows"), CHECKED)
def test_examples_of_a_kind_pass(kind, rows):
    for x in of_both(kind, rows):
        kind.check(x)
        kind.check(x, strict=False, n=len(rows))


@pytest.mark.parametrize(
    ("kind", "rows", "message"),
    [
        (Image(1, 1, 2), [[[0.0, 0.5]]], "pca was made for x of shape (1, 1, 2), not (1, 2)"),
        (Image(1, 1, 2), [[[[0.0, 255.0]]]], "x must be from 0 to 1 in steps of 1/255: divide whole levels by 255"),
        (Image(1, 1, 2, levels=3), [[[[0.0, 0.4]]]], "x must be from 0 to 1 in steps of 1/2: divide whole levels by 2"),
        (Image(1, 1, 2), [[[[0.0, float("nan")]]]], "x must be from 0 to 1 in steps of 1/255: divide whole levels by 255"),
        (Binary(2), [[0.0, 0.5]], "pca was made for bits, and x has other numbers than 0 and 1: give (x >= 0.5).float()"),
        (Binary(2), [[0.0, 2.0]], "pca was made for bits, and x has other numbers than 0 and 1: give (x >= 0.5).float()"),
        (Vector(2), [[1.0, 2.0, 3.0]], "pca was made for x of shape (2,), not (3,)"),
        (Series(2, 1), [[1.0, 2.0]], "pca was made for x of shape (2, 1), not (2,)"),
        (Category(3), [0, 3], "x must be whole numbers from 0 to 2, one class for each example"),
        (Category(3), [-1, 0], "x must be whole numbers from 0 to 2, one class for each example"),
        (Category(3), [[0, 1]], "x must be whole numbers from 0 to 2, one class for each example"),
        (PERSON, [[1.0, 2.0]], "pca was made for x of shape (7,), not (2,)"),
        (PERSON, [[0, 3.0, 0, 0, 0, 0, 0]], "column 'eyes': x[:, 1] must be whole numbers from 0 to 2, one class for each example"),
        (PERSON, [[0, 1.5, 0, 0, 0, 0, 0]], "column 'eyes': x[:, 1] must be whole numbers from 0 to 2"),
        (PERSON, [[0, 0, 0, 0, 0, 0, float("nan")]], "column 'town': x[:, 6] must be whole numbers from 0 to 8"),
        (PERSON, [[0, 0, 0, 0, 0, 0, float("inf")]], "column 'town': x[:, 6] must be whole numbers from 0 to 8"),
        (PERSON, [[0, 0, 0, 0, 0.5, 0, 0]], "column 'answers': pca was made for bits, and x[:, 2:6] has other numbers than 0 and 1"),
        (Tokens(4, 3), [2, 3], "x must be tokens, int64 of shape (examples, tokens), not"),
        (Tokens(4, 3), [[2, 2, 2, 1]], "pca was made for x of at most 3 tokens with their EOS, not 4: shorten it"),
        (Tokens(4, 3), [[2, 4]], "x has token 4, outside the vocabulary of 4: they are 0 to 3"),
        (Tokens(4, 3), [[-1, 2]], "x has token -1, outside the vocabulary of 4: they are 0 to 3"),
        (Tokens(4, 3), [[1, 2]], "x has tokens after its end: only PAD (0) may stand behind EOS (1), and neither before it"),
        (Tokens(4, 3), [[0, 2]], "x has tokens after its end: only PAD (0) may stand behind EOS (1), and neither before it"),
        (Tokens(4, 3, ends=False), [[2, 1]], "x has an EOS, but pca was made for running text, which has none"),
    ],
)
def test_what_is_no_example_of_a_kind_is_refused(kind, rows, message):
    for x in of_both(kind, rows):
        with pytest.raises(UserError, match=r"^[^\n]*$") as found:
            kind.check(x, model="pca")
        assert str(found.value).startswith(message)


def test_whole_numbers_of_another_type_are_no_classes_and_no_tokens():
    with pytest.raises(UserError, match=r"^given must be 2 whole numbers from 0 to 2"):
        Category(3).check(np.array([0.0, 1.0]), name="given", n=2)
    with pytest.raises(UserError, match=r"not uint64 of shape"):
        Tokens(4, 3).check(np.array([[2, 1]], dtype=np.uint64))


def test_how_many_there_must_be_is_checked():
    with pytest.raises(UserError, match=r"^given must be 3 whole numbers from 0 to 2, one class for each example"):
        Category(3).check(torch.tensor([0, 1]), name="given", n=3)
    for kind, x in ((Vector(2), torch.zeros(1, 2)), (Tokens(4, 3), torch.ones(1, 2, dtype=torch.int64) * 2)):
        with pytest.raises(UserError, match=r"^source must be 3 examples, not 1"):
            kind.check(x, name="source", n=3)


def test_a_source_may_lie_between_levels_but_not_outside_their_range():
    between, outside = torch.full((1, 1, 1, 1), 0.3), torch.full((1, 1, 1, 1), 1.3)
    for kind in (Image(1, 1, 1, levels=2), Binary(1, 1, 1)):
        kind.check(between, strict=False)
        with pytest.raises(UserError):
            kind.check(outside, strict=False)
    with pytest.raises(UserError, match=r"^source must be from 0 to 1: divide whole levels by 255"):
        Image(1, 1, 1).check(outside, name="source", strict=False)
    Tokens(4, 2).check(torch.tensor([[2, 2, 2, 1]]), strict=False)  # how long a source may be its model says


COUNTED = [
    (Image(1, 2, 2, levels=3), 81),
    (Image(3, 1, 1, levels=4), 64),
    (Binary(5), 32),
    (Binary(1, 1, 3), 8),
    (Category(7), 7),
    (Tokens(4, 3), 15),  # of two ordinary tokens 8 beginnings, and 1 + 2 + 4 that have ended
    (Tokens(5, 1), 4),
    (Tokens(4, 3, ends=False), 8),
    (Tokens(5, 3, masked=True), 15),
    (Tokens(5, 3, ends=False, masked=True), 8),
]


@pytest.mark.parametrize(("kind", "count"), COUNTED)
def test_every_example_comes_once_at_its_number(kind, count):
    x = kind.every()
    assert kind.count == count
    assert x.shape == (count, *kind.shape)
    assert len(np.unique(x.reshape(count, -1), axis=0)) == count
    assert kind.number(x).tolist() == list(range(count))
    kind.check(x.astype(kind.dtype))


def test_real_numbers_cannot_be_counted():
    assert Vector(3).count == Series(4, 2).count == 0


OWN = [cls for cls in Kind.known.values() if cls.__module__.startswith("pofx.kinds.")]
SMALL = [kind for cls in OWN for kind in (*cls.small(), *cls.tiny())]


@pytest.mark.parametrize("kind", SMALL, ids=str)
def test_examples_at_random_are_examples(kind):
    stored = kind.random(40, np.random.default_rng(0))
    assert stored.shape == (40, *kind.shape)
    assert np.array_equal(stored, kind.random(40, np.random.default_rng(0)))
    unit = kind.levels - 1 if kind.levels and kind.dtype == "float32" else 1
    kind.check((stored / unit).astype(kind.dtype))
    if kind.levels:  # and of all of them
        assert set(range(kind.levels)) - ({0, 1} if kind.text and not kind.ragged else set()) <= set(np.unique(stored).tolist())


def test_sequences_at_random_are_of_all_lengths_and_some_have_no_end():
    x = Tokens(5, 6).random(80, np.random.default_rng(0))
    assert set((x > 1).sum(1).tolist()) == set(range(7))
    assert ((x == 1).sum(1) == 0).nonzero()[0].tolist() == list(range(7, 80, 8))


def test_every_kind_has_small_ones():
    assert {type(kind) for kind in SMALL} == {Image, Binary, Vector, Series, Category, Record, Tokens}
    for cls in {type(kind) for kind in SMALL}:
        assert all(type(kind) is cls for kind in (*cls.small(), *cls.tiny()))
        assert [kind.size for kind in cls.small()] == sorted({kind.size for kind in cls.small()})


@pytest.mark.parametrize("kind", [Image(1, 1, 1, levels=4), Binary(1), Category(3)], ids=str)
def test_another_number_is_another_and_of_the_kind(kind):
    x = kind.every().reshape(-1)
    assert (kind.other(x) != x).all()
    assert sorted(kind.other(x).tolist()) == sorted(x.tolist())


def test_another_token_is_an_ordinary_one_and_other_reals_are_others():
    assert Tokens(5, 1).other(np.array([0, 1, 2, 3, 4])).tolist() == [4, 2, 3, 4, 2]
    assert Vector(1).other(np.array([0.5, 2.0, 4.0])).tolist() == [5.0, 1.5, 3.0]


def test_sequences_that_have_ended_are_filled_with_ordinary_tokens():
    x = np.array([[3, 1, 0, 0], [2, 4, 3, 2]])
    assert Tokens(5, 4).filled(x).tolist() == [[3, 4, 4, 2], [2, 4, 3, 2]]
    assert Vector(2).filled(x) is x


def test_special_tokens_are_the_kind_s_and_none_are_written_that_were_not_stored_before():
    plain, masked = Tokens(9, 4), Tokens(9, 4, masked=True)
    assert (plain.pad, plain.mask, plain.eos, plain.first) == (PAD, None, EOS, 2) == (0, None, 1, 2)
    assert (masked.pad, masked.mask, masked.eos, masked.first) == (0, 1, 2, 3)
    assert plain.to_json() == {"kind": "Tokens", "vocabulary": 9, "length": 4, "ends": True, "tokenizer": ""}
    assert masked.to_json() == plain.to_json() | {"masked": True}
    assert str(plain) == "Tokens(vocabulary=9, length=4)"
    assert str(masked) == "Tokens(vocabulary=9, length=4, masked=True)"
    with pytest.raises(UserError, match=r"^Tokens: vocabulary must be 3 or more, for two tokens are PAD and EOS, not 2$"):
        Tokens(2, 4)
    with pytest.raises(UserError, match=r"^Tokens: vocabulary must be 4 or more, for three tokens are PAD, MASK and EOS, not 3$"):
        Tokens(3, 4, masked=True)


def test_masked_tokens_end_with_their_own_eos_and_have_no_mask_but_in_a_source():
    kind = Tokens(5, 4, masked=True)
    kind.check(np.array([[3, 4, 2, 0], [3, 4, 4, 3]]))
    kind.check(np.array([[1, 3, 1, 2]]), strict=False)
    for row, message in (
        ([3, 1, 2, 0], "x has MASK (1)"),
        ([3, 2, 3, 0], "x has tokens after its end: only PAD (0) may stand behind EOS (2)"),
    ):
        with pytest.raises(UserError) as found:
            kind.check(np.array([row]))
        assert str(found.value).startswith(message)
    x = kind.random(80, np.random.default_rng(0))
    assert set(np.unique(x).tolist()) == {0, 2, 3, 4}
    assert kind.other(np.array([0, 1, 2, 3, 4])).tolist() == [3, 4, 3, 4, 3]
    assert kind.filled(np.array([[3, 2, 0, 0]])).tolist() == [[3, 4, 3, 4]]


def test_a_record_s_columns_stand_side_by_side_each_in_its_part():
    assert PERSON.kinds == (Vector(1), Category(3, ("blue", "brown", "green")), Binary(2, 2), Category(9))
    assert [PERSON.part(name) for name, _ in PERSON.columns] == [slice(0, 1), slice(1, 2), slice(2, 6), slice(6, 7)]
    assert (PERSON.dtype, PERSON.levels, PERSON.count, PERSON.classes, PERSON.names) == ("float32", 0, 0, 0, ())
    for x in of_both(PERSON, [[-0.5, 2, 0, 1, 1, 0, 8], [7, 0, 1, 1, 0, 0, 3]]):
        assert PERSON.column(x, "age").tolist() == [[-0.5], [7]]
        assert PERSON.column(x, "answers").tolist() == [[[0, 1], [1, 0]], [[1, 1], [0, 0]]]
        assert PERSON.column(x, "town").tolist() == [8, 3]
        assert str(PERSON.column(x, "town").dtype).endswith("int64")
    with pytest.raises(UserError, match=r"^a record has no column 'eye'; its columns are age, eyes, answers, town$"):
        PERSON.part("eye")


@pytest.mark.filterwarnings("error")
def test_what_is_no_number_in_a_record_is_refused_without_a_warning():
    for value in (float("nan"), float("inf")):
        with pytest.raises(UserError, match=r"^column 'town': "):
            PERSON.check(np.array([[0, 0, 0, 0, 0, 0, value]], np.float32))


def test_a_record_is_written_with_its_columns_kinds():
    record = Record((("a", Vector(2)), ("b", Category(2, ("no", "yes")))))
    assert json.loads(json.dumps(record.to_json())) == {
        "kind": "Record",
        "columns": [["a", {"kind": "Vector", "dims": 2}], ["b", {"kind": "Category", "classes": 2, "names": ["no", "yes"]}]],
    }
    assert Kind.from_json(record.to_json()) == record  # as it is before JSON makes lists of tuples


def test_a_record_is_drawn_as_the_names_and_values_of_its_columns():
    x = np.array([[-0.5, 2, 0, 1, 1, 0, 8], [7, 0, 1, 1, 0, 0, 3]], np.float32)
    assert PERSON.draw(x) == Texts(["age -0.5, eyes green, answers 0 1 1 0, town 8", "age 7, eyes blue, answers 1 1 0 0, town 3"])
    assert PERSON.number_names(x[0].tolist()) == ["-0.5", "green", "0", "1", "1", "0", "8"]


def test_a_record_at_random_has_columns_that_differ():
    x = Record((("a", Category(3)), ("b", Category(3)), ("c", Vector(1)))).random(90, np.random.default_rng(0))
    assert x.dtype == np.float32
    assert [np.bincount(x[:, i].astype(int)).tolist() for i in (0, 1)] == [[30, 30, 30]] * 2
    assert 10 < (x[:, 0] == x[:, 1]).sum() < 50  # about a third
    with pytest.raises(TypeError, match="depends on its column"):
        PERSON.other(x[:, 0])


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ((("a", Vector(1)), ("b", Category(2))), ()),
        ((("a", Vector(1)),), ("it has no column 'b'",)),
        ((("a", Binary(1)), ("b", Category(2))), ("column 'a' is Binary(dims=(1,)) there, not Vector(dims=1)",)),
        ((("a", Vector(1)), ("b", Category(3))), ("column 'b' is Category(classes=3, names=()) there, not Category(classes=2, names=())",)),
        ((("b", Category(2)), ("a", Vector(1))), ("column 'a' stands where it has 'b'",)),
        ((("a", Vector(1)), ("b", Category(2)), ("c", Vector(1)), ("d", Vector(1))), ("remove column 'c'",)),
    ],
)
def test_a_record_s_refusal_names_the_first_column_that_differs(columns, why):
    assert tuple(refusal.what for refusal in Record((("a", Vector(1)), ("b", Category(2)))).accepts(Record(columns))) == why


def test_a_record_takes_records_alone():
    assert Record.takes(PERSON) == ()
    assert Record.takes(Vector(7)) == PERSON.accepts(Vector(7)) == (Refusal(),)
    assert Vector(7).accepts(PERSON) == (Refusal(),)


def test_kinds_load_no_torch_and_no_numpy():
    code = "import sys, pofx.kinds; print(sorted({'torch', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


U8 = np.uint8
CLAIMED = [
    ("x", np.array([[0, 1], [1, 1]], U8), Binary(2)),
    ("x", np.array([[0, 2], [1, 1]], U8), Vector(2)),
    ("x", np.array([True, False]), Binary(1)),
    ("x", np.full((2, 1, 4, 5), 7, U8), Image(1, 4, 5)),
    ("x", np.zeros((2, 1, 4, 5), U8), Binary(1, 4, 5)),
    ("x", np.zeros((2, 4, 3)), Series(4, 3)),
    ("x", np.zeros((2, 4), np.int16), Vector(4)),
    ("x", np.zeros(2), Vector(1)),
    ("x", np.array([0, 1, 2]), Vector(1)),
    ("label", np.array([0, 1, 2]), Category(3)),
    ("label", np.array([0, 1], U8), Category(2)),
    ("label", np.array([0.0, 1.0]), Vector(1)),
    ("x", np.array(["b", "a"]), Category(2, ("a", "b"))),
    ("x", np.array([1j]), None),
    ("x", np.zeros((1, 2, 3, 4, 5)), None),
]


@pytest.mark.parametrize(("name", "array", "kind"), CLAIMED, ids=str)
def test_the_first_kind_that_is_asked_and_claims_an_array_has_it(name, array, kind):
    asked = sorted(Kind.known.values(), key=lambda cls: cls.claim_order)
    found = next((claimed for cls in asked if (claimed := cls.claims(name, {"all": array})) is not None), None)
    assert (found and found[0]) == kind
    if found is not None:
        assert found[1]["all"].shape == (len(array), *found[0].shape)


def test_where_there_is_too_much_to_look_at_zeros_and_ones_are_numbers_and_nan_is_not_found():
    assert Binary.claims("x", {"all": np.zeros((2, 3), U8)}, whole=False) is None
    assert Vector.claims("x", {"all": np.array([np.nan])}, whole=False) is not None
    with pytest.raises(UserError, match=r"^has nan at row 2, column 1 of valid: fix it or remove the row$"):
        Vector.claims("x", {"train": np.zeros(2), "valid": np.array([0, np.nan])})
    with pytest.raises(UserError, match=r"^has 1e\+300 at row 1, column 1, 2: fix it"):
        Series.claims("x", {"all": np.array([[[0, 1e300]]])})
    with pytest.raises(UserError, match=r"^is float64 of shape \(n, 3, 4, 4\); pictures are uint8 with 1 or 3 channels$"):
        Image.claims("x", {"all": np.zeros((2, 3, 4, 4))})


def test_kinds_of_pictures_become_others():
    assert Image(3, 4, 6, levels=17).binarised() == Binary(3, 4, 6)
    assert Image(1, 4, 6, levels=17).beside(3) == Image(1, 4, 18, levels=17)
    assert Binary(1, 4, 6).beside(3) == Binary(1, 4, 18)
    assert Image(1, 4, 6, levels=17).at() == Image(1, 4, 6)
    assert Image(1, 4, 6).at(5, "rgb") == Image(3, 5, 5)
    assert Image(3, 4, 6).at((7, 2)) == Image(3, 2, 7)


def test_what_is_no_picture_becomes_none():
    with pytest.raises(UserError, match=r"^it is binary already$"):
        Binary(3).binarised()
    kinds: list[Kind] = [Vector(3), Tokens(4, 3), Category(3), Series(3)]
    for kind in kinds:
        with pytest.raises(UserError, match=r"^only pictures are binarised$"):
            kind.binarised()
    for kind in (*kinds, Binary(3)):
        with pytest.raises(UserError, match="do not stand side by side"):
            kind.beside(2)
    for kind in (*kinds, Binary(1, 4, 4)):
        with pytest.raises(UserError, match="have no size or colour"):
            kind.at(3)


GOOD = [
    (Size, 1),
    (Count, 0),
    (Positive, 1e-9),
    (Positive, 3),
    (NonNegative, 0),
    (Fraction, 1.0),
    (Seed, 2**63 - 1),
    (Size | None, None),
    (Fraction | None, 0.5),
    (tuple[Size, ...], (3, 4)),
    (tuple[Size, ...] | None, None),
    (tuple[int, float], (1, 2.5)),
    (Literal["mlp", "conv"], "conv"),
    (bool, True),
    (str, "text"),
    (Annotated[float, Range(0, 1, above=True)], 1),
]
BAD = [
    (Size, 0, "must be 1 or more, not 0"),
    (Size, 1.0, "must be a whole number, not 1.0"),
    (Size, True, "must be a whole number, not True"),
    (Size, "3", "must be a whole number, not '3'"),
    (Positive, 0, "must be above 0, not 0"),
    (Positive, float("nan"), "must be a number, not nan"),
    (NonNegative, float("inf"), "must be a number, not inf"),
    (Fraction, 1.1, "must be between 0 and 1, not 1.1"),
    (Seed, -1, "must be between 0 and"),
    (Size | None, 0, "must be 1 or more, not 0"),
    (tuple[Size, ...], (3, 0), "must be 1 or more, not 0"),
    (tuple[Size, ...], 3, "must be several values, not 3"),
    (tuple[int, float], (1,), "must be 2 values, not 1"),
    (Literal["mlp", "conv"], "con", "must be one of mlp, conv, not 'con': did you mean conv?"),
    (bool, 1, "must be bool, not 1"),
    (Image, Vector(3), "must be Image, not Vector(dims=3)"),
    (Annotated[float, Range(0, 1, above=True)], 0, "must be between 0 (not included) and 1, not 0"),
]


@pytest.mark.parametrize(("annotation", "value"), GOOD)
def test_values_in_range_pass(annotation, value):
    check_value("name", annotation, value)


@pytest.mark.parametrize(("annotation", "value", "message"), BAD)
def test_values_out_of_range_are_refused_in_one_line(annotation, value, message):
    with pytest.raises(UserError) as found:
        check_value("name", annotation, value)
    assert str(found.value).startswith(f"name {message}")
    assert "\n" not in str(found.value)


def test_the_kinds_that_an_annotation_names():
    assert kinds_in(Image | Vector | None) == (Image, Vector)
    assert kinds_in(Image) == (Image,)
    assert kinds_in(int | None) == ()
    assert kinds_in(tuple[Size, ...]) == ()


def test_nearest():
    assert nearest("denoisng", ["vae", "denoising"]) == "did you mean denoising?"
    assert nearest("xyz", ["vae", "pca"]) == "known: pca, vae"
    assert nearest("xyz", []) == "none is known"
    assert nearest("xyz", [f"m{k:02}" for k in range(20)]).endswith("m11, ...")
