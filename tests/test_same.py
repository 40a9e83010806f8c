"""The comparison behind `python -m benchmarks same`: what it calls different, and what only renamed."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from benchmarks import same
from benchmarks.same import compared, data_for, report

A, B = np.arange(3, dtype=np.float32), np.ones((2, 2))


def test_equal_arrays_are_the_same_and_a_last_bit_is_not():
    assert compared({"a": A, "b": B}, {"b": B.copy(), "a": A.copy()}) == ([], [])
    assert compared({"a": A}, {"a": np.nextafter(A, np.float32(9))}) == (["a"], [])
    assert compared({"a": A}, {"a": A.reshape(1, 3)}) == (["a"], [])
    assert compared({"a": np.float32([0.0])}, {"a": np.float32([-0.0])}) == (["a"], [])
    assert compared({"a": np.float32([np.nan])}, {"a": np.float32([np.nan])}) == ([], [])


def test_a_new_name_is_only_told_and_what_is_gone_or_new_differs():
    assert compared({"old": A}, {"new": A}) == ([], ["old -> new"])
    assert compared({"a": A, "b": A}, {"a": A, "c": A}) == ([], ["b -> c"])
    assert compared({"a": A, "b": A}, {"c": A}) == (["b is gone"], ["a -> c"])
    assert compared({"a": A}, {"a": A, "b": A}) == (["b is new"], [])


def test_two_that_changed_names_with_each_other_differ():
    assert compared({"a": A, "b": B}, {"a": B, "b": A}) == (["a", "b"], [])


def test_the_report_has_a_line_a_model_and_counts_those_that_differ():
    lines: list[str] = []
    old = {"vae, bits": {"weights": {"a": A}}, "vae, ring": {"weights": {"a": A}}, "gan, ring": {"weights": {"old": B}}}
    new = {"vae, bits": {"weights": {"a": A}}, "vae, ring": {"weights": {"a": -A}}, "gan, ring": {"weights": {"new": B}}}
    assert report(old, new, lines.append) == 1
    assert lines[0].split(maxsplit=1) == ["vae", "DIFFERENT in 1: vae, ring: weights: a"]
    assert lines[1].split(maxsplit=1) == ["gan", "same, once; 1 with other names: old -> new"]
    assert lines[2] == "1 of 2 differ"


@pytest.mark.parametrize(
    "new", [{}, {"vae, bits": {}}, {"vae, bits": {"weights": {"a": A}, "error": {"error": np.array("no")}}}], ids=["job", "part", "error"]
)
def test_what_is_missing_or_failed_here_differs(new):
    assert report({"vae, bits": {"weights": {"a": A}}}, new, lambda line: None) == 1


def test_a_worktree_goes_away_after_a_failure_too(tmp_path, monkeypatch):
    asked: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda words, **how: asked.append(words))
    with pytest.raises(ZeroDivisionError), same.worktree("HEAD", tmp_path / "tree"):
        raise ZeroDivisionError
    assert [words[2] for words in asked] == ["add", "remove"]


def test_data_are_of_the_kinds_that_a_model_takes(tmp_path):
    ways = data_for({"x": (["Tokens"], True), "source": (["Image"], True)}, tmp_path)
    assert list(ways) == ["digits spelled"]
    ways = data_for({"x": (["Binary"], True), "label": (["Category"], False)}, tmp_path)
    assert list(ways) == ["bits", "few bits", "bits without labels"]
