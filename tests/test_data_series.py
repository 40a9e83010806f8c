"""A table whose rows are steps in time: windows, splits in time, dates, and what must be fixed."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch

from pofx.commands.hints import bound
from pofx.data import load, load_series, reload
from pofx.errors import UserError
from pofx.kinds import Series, Vector
from pofx.models.autoregressive.series_markov import SeriesMarkov
from pofx.session import Rows

STEPS = 100


def table(path, header="month,heat,rain", rows=None):
    rows = rows or [f"{1900 + t // 12}-{t % 12 + 1:02d},{t},{t * t / 8}" for t in range(STEPS)]
    path.write_text("\n".join([*([header] if header else []), *rows]) + "\n")
    return path


def starts(split) -> list[int]:
    """The step that each window of a split begins with: the first channel counts the steps."""
    x = split.read(range(len(split)))["x"]
    assert torch.equal(x[:, :, 0], x[:, :1, 0] + torch.arange(x.shape[1]))  # steps in a row
    assert torch.equal(x[:, :, 1], x[:, :, 0].square() / 8)
    return x[:, 0, 0].int().tolist()


def test_windows_are_steps_in_a_row_and_splits_follow_each_other(tmp_path):
    data = load(table(tmp_path / "x.csv"), window=6)
    assert data.fields == {"x": Series(6, 2)}
    assert data.record["steps"] == {"train": (0, 80), "valid": (80, 90), "test": (90, 100)}
    assert data.record["columns"] == ("heat", "rain")
    for name, (first, end) in data.record["steps"].items():
        assert starts(data.splits[name]) == list(range(first, end - 6 + 1))  # none reaches across a border
    assert data.record["counts"] == {"train": 75, "valid": 5, "test": 5}
    assert data.splits["valid"].names[0] == "1906-09"


def test_stride_and_fractions(tmp_path):
    data = load(table(tmp_path / "x.csv"), window=10, stride=4, valid=0.3, test=0)
    assert data.record["steps"] == {"train": (0, 70), "valid": (70, 100)}
    assert starts(data.splits["train"]) == list(range(0, 61, 4))
    assert starts(data.splits["valid"]) == [70, 74, 78, 82, 86, 90]


def test_a_split_holds_two_windows_where_a_tenth_would_not(tmp_path):
    data = load(table(tmp_path / "x.csv"), window=20)
    assert data.record["steps"] == {"train": (0, 58), "valid": (58, 79), "test": (79, 100)}
    assert data.record["counts"]["test"] == 2


def test_windows_are_views_of_one_series(tmp_path, monkeypatch):
    monkeypatch.setenv("POFX_CACHE", str(tmp_path / "cache"))
    path = table(tmp_path / "x.csv")
    data = load(path, window=25)
    columns = [split.columns["x"] for split in data.splits.values()]
    assert all(column.stored is None for column in columns)  # nothing is copied before a batch is read
    assert all(np.shares_memory(column.values, columns[0].values) for column in columns)
    assert isinstance(columns[0].values.base.base, np.memmap) or np.shares_memory(columns[0].values, columns[0].values[:1])
    load(path, window=7, stride=3)
    assert len([pack for pack in (tmp_path / "cache" / "packs").iterdir() if pack.is_dir()]) == 1  # one pack serves every window


def test_batches_are_those_of_any_other_split(tmp_path):
    split = load(table(tmp_path / "x.csv"), window=6).splits["train"]
    epoch = torch.cat([split.batch(k, 15, seed=3)["x"] for k in range(5)])
    assert sorted(epoch[:, 0, 0].int().tolist()) == list(range(75))


def test_without_a_window_a_table_is_what_it_was(tmp_path):
    data = load(table(tmp_path / "x.csv"), columns=("heat", "rain"))
    assert data.fields == {"x": Vector(2)}
    assert not {"window", "stride", "steps"} & data.record.keys()
    with pytest.raises(UserError, match=r"column 'month' is string, not numbers; .* or pass --window if the rows are steps in time"):
        load(tmp_path / "x.csv")
    with pytest.raises(UserError, match=r"needs x: Series, .*Vector.*with --window"):
        bound(SeriesMarkov, data.fields)


@pytest.mark.parametrize(
    ("header", "row", "channels", "time"),
    [
        ("day,a", lambda t: f"2024-01-{t + 1:02d},{t}", ("a",), "2024-01-05"),  # dates
        ("a,when", lambda t: f"{t * t},2024-01-01 {t:02d}:30:00", ("a",), "2024-01-01 04:30:00"),  # dates and times, anywhere
        ("year,a", lambda t: f"{1900 + t},{t % 5}", ("a",), "1904"),  # whole numbers that count, in front
        (",a", lambda t: f"{t},{t % 5}", ("a",), "4"),  # an index without a name
        (",a,when", lambda t: f"{t},{t % 5},2024-01-{t + 1:02d}", ("a",), "2024-01-05"),  # and dates beside it
        ("t,a", lambda t: f"{t}-1,{t}", ("a",), "4-1"),  # text that is no date
        ("name,a", lambda t: f"week {t},{t}", ("a",), "week 4"),  # text, another in each row
        ("a,b", lambda t: f"{t % 3},{t}", ("a", "b"), None),  # none of these
        (None, lambda t: f"{t % 3},{t}", ("1", "2"), None),  # no header
        ("a", lambda t: f"{t}", ("a",), None),  # one column is data whatever it holds
    ],
)
def test_the_time_is_no_channel(tmp_path, header, row, channels, time):
    path = table(tmp_path / "x.csv", header, [row(t) for t in range(20)])
    series = load_series(path)
    assert (series.channels, series.times[4] if series.times else None) == (channels, time)
    assert series.values.shape == (20, len(channels))


def test_columns_are_chosen_by_name_and_the_time_may_be_one(tmp_path):
    path = table(tmp_path / "x.csv", "year,a,b", [f"{1900 + t},{t},{-t}" for t in range(20)])
    assert load_series(path, columns=("b",)).values[:, 0].tolist() == [-t for t in range(20)]
    chosen = load_series(path, columns=("b", "year"))
    assert chosen.values[3].tolist() == [-3, 1903]
    assert chosen.times == []


def test_parquet_and_arrays_have_windows_too(tmp_path):
    x = np.arange(60.0).reshape(30, 2).astype(np.float32)
    times = np.datetime64("2024-01-01") + np.arange(30)
    pyarrow.parquet.write_table(pa.table({"t": times, "a": x[:, 0], "b": x[:, 1]}), tmp_path / "x.parquet")
    np.save(tmp_path / "x.npy", x)
    for name, columns in (("x.parquet", ("a", "b")), ("x.npy", None)):
        data = load(tmp_path / name, window=4)
        assert data.fields == {"x": Series(4, 2)}
        assert data.record["columns"] == columns
        np.testing.assert_array_equal(data.splits["train"].read([3])["x"][0], x[3:7])


def test_a_record_gives_the_same_windows_again(tmp_path):
    data = load(table(tmp_path / "x.csv"), window=6, stride=2, valid=0.2)
    again = reload(json.loads(json.dumps(data.record)))
    for name, split in data.splits.items():
        assert starts(again.splits[name]) == starts(split)
        assert again.splits[name].names == split.names


def test_rows_say_when_they_are(tmp_path):
    about = Rows(load(table(tmp_path / "x.csv"), window=6), "all").ids()
    assert about["row"][:2] == [0, 1]
    assert about["time"][80 - 5] == "1906-09"  # the first window of valid
    assert (about["split"][74], about["split"][75], about["row"][75]) == ("train", "valid", 80)


def test_a_series_that_is_only_asked_about_is_not_cut(tmp_path):
    path = table(tmp_path / "x.csv", "a", [str(t) for t in range(9)])
    data = load(path, True, window=5, stride=2)
    assert data.splits["all"].read(range(3))["x"][:, 0, 0].tolist() == [0, 2, 4]
    assert load(path, True).splits["all"].read([8])["x"].tolist() == [[8]]  # so is a table of rows in no order


BAD = [  # content, options, what the error says
    (["a,b", "1,2", "3,", "5,6"], {"window": 1}, r"row 2 \(line 3\), column 'b' has no number; fill it in, or choose other --columns"),
    (["a,b", "1,2", "3,nan", "5,6"], {"window": 1}, r"row 2 \(line 3\), column 'b' has no number"),
    (["a,b", "1,2", "3,x", "5,6", "7,8"], {"window": 1}, r"row 2 \(line 3\), column 'b' is 'x', not a number"),
    (["t,a,b", "x,1,p", "y,2,p", "z,3,q"], {"window": 1}, "column 'b' is string, not numbers"),
    (["t,a", "2024-01-01,1", "2024-01-03,2", "2024-01-02,3"], {"window": 1}, r"row 3 \(line 4\), .*is 2024-01-02, which is no later"),
    (["t,a", "2024-01-01,1", "2024-01-01,2", "2024-01-02,3"], {"window": 1}, "sort the rows by time, one row a step"),
    (["t", "x", "y", "z"], {"window": 1}, "no column of numbers beside the time 't'"),
    (["a", *map(str, range(9))], {"window": 10}, "has 9 steps, fewer than a window of 10: pass --window 3 or less"),
    (["a", *map(str, range(9))], {"window": 4}, "into 0 for train, 5 for valid, 5 for test, and each must hold a window of 4"),
    (["a", *map(str, range(40))], {"window": 5, "valid": 0.1}, "30 for train, 4 for valid, 6 for test, and each must"),
    (["a", *map(str, range(40))], {"window": 5, "valid": 0.0}, "--valid must be above 0"),
    (["a", *map(str, range(40))], {"window": 5, "label": "a"}, "remove --label"),
    (["a", *map(str, range(40))], {"window": 5, "skip_bad": True}, "a row left out would be a gap in the series"),
    (["a", *map(str, range(40))], {"stride": 5}, "--stride is for windows of a series or of text: pass --window too"),
    (["a", *map(str, range(40))], {"window": 0}, "window must be 1 or more, not 0"),
    (["a", *map(str, range(40))], {"window": 5, "binarize": "dynamic"}, "only pictures are binarised"),
    (["a", *map(str, range(40))], {"window": 5, "columns": ("c",)}, "has no column 'c'; known: a"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "options", "message"), BAD, ids=[message[:30] for *_, message in BAD])
def test_what_the_user_must_mend(tmp_path, content, options, message):
    (tmp_path / "x.csv").write_text("\n".join(content) + "\n")
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path / "x.csv", **options)
    assert "\n" not in str(error.value)


def test_what_has_no_rows_in_time(tmp_path):
    with pytest.raises(UserError, match="digits has no use for --window: remove it"):
        load("digits", window=4)
    np.save(tmp_path / "x.npy", np.zeros((30, 5, 2)))
    with pytest.raises(UserError, match=r"Series.*which is no series of numbers in one piece: remove --window"):
        load(tmp_path / "x.npy", window=4)


def test_real_series(pofx_data):
    for name, channels in {"ETTh1": 7, "monthly-sunspots": 1, "shampoo": 1}.items():
        assert load(pofx_data / "timeseries" / f"{name}.csv", window=8).fields == {"x": Series(8, channels)}
