"""Pictures are arithmetic: every number has its pixels, none is lost, and the same numbers give the same bytes."""

import numpy as np
import pytest

from pofx.kinds import Binary, Image, Series, Vector
from pofx.render.pictures import GAP, UNKNOWN, curves, grid, growth, labelled_rows, masked, moments, scatter, stacked


def tile(picture, i, columns, height, width):
    """The pixels (height, width, 3) of tile `i`."""
    top, left = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
    return np.asarray(picture)[top : top + height, left : left + width]


@pytest.mark.parametrize("kind", [Image(1, 8, 6), Image(3, 8, 6), Binary(1, 8, 6), Binary(8, 6)])
def test_a_grid_loses_no_pixel(kind):
    x = np.random.default_rng(0).random((5, *kind.shape), dtype=np.float32)
    picture = grid(x, kind, columns=3)
    scale = 6  # the longer side, 8, becomes 48
    for i in range(5):
        shown = tile(picture, i, 3, 8 * scale, 6 * scale)[::scale, ::scale]
        expected = np.rint(x[i].reshape(-1, 8, 6) * 255).transpose(1, 2, 0)
        assert (shown == expected).all()
        assert (tile(picture, i, 3, 8 * scale, 6 * scale) == shown.repeat(scale, 0).repeat(scale, 1)).all()
    assert (tile(picture, 5, 3, 8 * scale, 6 * scale) == 255).all()  # no sixth example


def test_large_pictures_stay_as_they_are_and_what_lies_outside_is_clipped():
    x = np.full((1, 1, 60, 50), 1.5, np.float32)
    x[0, 0, 0, 0] = -3
    picture = grid(x, Image(1, 60, 50))
    assert picture.size == (50 + 2 * GAP, 60 + 2 * GAP)
    assert np.asarray(picture)[GAP, GAP].tolist() == [0, 0, 0]
    assert (np.asarray(picture)[GAP, GAP + 1 :] == 255).all()


def test_grids_are_near_to_square():
    assert grid(np.zeros((64, 1, 48, 48)), Image(1, 48, 48)).size == (8 * 50 + 2, 8 * 50 + 2)
    assert grid(np.zeros((5, 1, 48, 48)), Image(1, 48, 48)).size == (3 * 50 + 2, 2 * 50 + 2)


def test_labelled_rows_stand_one_above_the_other_to_the_right_of_their_labels():
    kind = Image(1, 48, 48)
    rows = {"original": (np.zeros((3, 1, 48, 48)), kind), "reconstruction": (np.full((3, 1, 48, 48), 0.5), kind)}
    sheet = np.asarray(labelled_rows(rows))
    strip = grid(np.zeros((3, 1, 48, 48)), kind, columns=3)
    assert sheet.shape[0] == 2 * strip.height
    assert (sheet[: strip.height, -strip.width :] == np.asarray(strip)).all()
    assert (sheet[strip.height + GAP : -GAP, -strip.width + GAP : -strip.width + GAP + 48] == 128).all()
    left = sheet[:, : -strip.width]
    assert left.min() < 100  # there is ink
    assert (left[:, -1] == 255).all()  # which does not run into the pictures
    assert np.asarray(labelled_rows(rows, "A title")).shape[0] > sheet.shape[0]


@pytest.mark.parametrize(("kind", "n"), [(Vector(2), 40), (Vector(7), 40), (Series(20, 2), 3), (Binary(9), 4)])
def test_what_is_no_picture_is_plotted_deterministically(kind, n):
    assert not kind.picture
    x = np.random.default_rng(0).normal(size=(n, *kind.shape))
    first, second = grid(x, kind), grid(x, kind)
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != grid(x + np.arange(n).reshape(-1, *[1] * len(kind.shape)), kind).tobytes()


def test_plots_show_every_line_and_every_label():
    lines = {f"run {i}": ([0, 1, 2], [i, i + 1, i]) for i in range(3)}
    picture = np.asarray(curves(lines, title="Loss", x="step", y="nats"))
    without = np.asarray(curves({"run 0": lines["run 0"]}, title="Loss", x="step", y="nats"))
    colours = [(0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E), (0x2C, 0xA0, 0x2C)]
    assert all((picture == colour).all(2).any() for colour in colours)
    assert not (without == colours[1]).all(2).any()
    points = scatter(np.arange(12.0).reshape(6, 2), title="Codes", x="first", y="second", labels=["a"] * 3 + ["b"] * 3)
    assert all((np.asarray(points) == colour).all(2).any() for colour in colours[:2])


def test_a_stack_is_as_wide_as_its_widest():
    one, two = grid(np.zeros((1, 1, 48, 48)), Image(1, 48, 48)), grid(np.zeros((4, 1, 48, 48)), Image(1, 48, 48), columns=4)
    sheet = stacked([one, two])
    assert sheet.size == (two.width, one.height + two.height)
    assert (np.asarray(sheet)[: one.height, one.width :] == 255).all()


def test_what_is_not_known_has_a_colour_of_its_own_or_is_a_gap():
    x, known = np.full((2, 3, 4, 5), 0.5), np.ones((2, 3, 4, 5), bool)
    known[1, 2, 3, 4] = False  # one channel of one pixel
    shown, kind = masked(x, known, Image(3, 4, 5))
    assert kind == Image(3, 4, 5)
    assert (shown[1, :, 3, 4] * 255).tolist() == list(UNKNOWN)
    assert (shown == 0.5).sum() == x.size - 3
    shown, kind = masked(x[:, 0], known[:, 2], Binary(4, 5))
    assert kind == Image(3, 4, 5)
    assert (shown == 0.5).sum() == x.size - 3
    shown, kind = masked(np.ones((1, 3)), np.array([[True, False, True]]), Vector(3))
    assert kind == Vector(3)
    assert np.array_equal(shown, [[1, np.nan, 1]], equal_nan=True)
    assert grid(shown, kind).tobytes() != grid(np.ones((1, 3)), kind).tobytes()


def test_a_film_ends_with_the_whole_pictures_and_follows_the_order():
    x = np.random.default_rng(0).random((3, 1, 2, 3))
    order = np.array([5, 0, 1, 4, 3, 2])
    frames, milliseconds = growth(x, Image(1, 2, 3), order, columns=3)
    assert len(frames) == len(milliseconds) == 7
    assert milliseconds[-1] > milliseconds[0]
    shown = np.asarray(frames[1].convert("RGB"))[GAP : GAP + 32, GAP : GAP + 48].astype(int)  # tiles of 16 pixels a number
    known = np.abs(shown[8::16, 8::16] - UNKNOWN).max(2) > 4
    assert known.flatten().nonzero()[0].tolist() == [5]
    last = np.asarray(grid(x, Image(1, 2, 3), columns=3)).astype(int)
    assert np.abs(np.asarray(frames[-1].convert("RGB")).astype(int) - last).max() <= 2  # 256 colours are enough
    strip = np.asarray(moments(x, Image(1, 2, 3), order))
    assert (strip[:, -(48 + 2 * GAP) :] == np.asarray(grid(x, Image(1, 2, 3), columns=1))).all()
