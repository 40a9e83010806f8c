"""The picture of the rooms: what each imports, read off the sources and drawn as SVG, which code hosts and the site show alike.

An arrow goes from a room to one that it imports. Those that follow from others are left out: who imports `data`, which imports
`kinds`, may import `kinds` too; and so are all arrows to the ground, the lowest rows, which every room may import. A dashed arrow
points upwards, which a test lists one by one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "pofx"
HIDDEN = {"__init__", "__main__"}  # the package's own face: they are above every room

GROUND = 3  # rows whose arrows are not drawn

WIDTH, HEIGHT, GAP, ROW, MARGIN = 124, 28, 28, 58, 16  # of a box, between boxes, from row to row, around the picture
TIGHT = HEIGHT + 8  # from row to row of the ground


def rows() -> list[list[str]]:
    """The rooms, lowest row first, as `tests/test_imports.py` holds them."""
    tree = ast.parse((ROOT / "tests" / "test_imports.py").read_text())
    assigned = {
        node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    return [[room for room in row if room not in HIDDEN] for row in ast.literal_eval(assigned["ROOMS"])]


def room(path: str) -> str:
    """The room of a dotted path, or "" if it is in none.

    Example:
        >>> room("pofx.train.loop"), room("torch.nn")
        ('train', '')
    """
    parts = path.split(".")
    return parts[1] if parts[0] == "pofx" and len(parts) > 1 else ""


def imported(source: str) -> set[str]:
    """The rooms that a source imports, anywhere in it.

    Example:
        >>> sorted(imported("from pofx import kinds\\ndef f(): import pofx.train.loop"))
        ['kinds', 'train']
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {room(name.name) for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {room(f"{node.module}.{name.name}") for name in node.names}
    return found - {""}


def edges() -> dict[str, set[str]]:
    """Room -> the rooms that its files import."""
    known = [room for row in rows() for room in row]
    found: dict[str, set[str]] = {room: set() for room in known}
    for file in sorted(PACKAGE.rglob("*.py")):
        own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own in found:
            found[own] |= (imported(file.read_text()) & set(known)) - {own}
    return found


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """A graph without circles, less the arrows that follow from others.

    Example:
        >>> reduced({"c": {"a", "b"}, "b": {"a"}, "a": set()})
        {'c': {'b'}, 'b': {'a'}, 'a': set()}
    """

    def reached(room: str) -> set[str]:
        return graph[room].union(*(reached(other) for other in graph[room]))

    return {room: others - set[str]().union(*(reached(other) for other in others)) for room, others in graph.items()}


# Drawn


def svg() -> str:
    """The picture: a box a room, a line of boxes a row, the lowest at the bottom, on the ground."""
    ground, table, graph = rows()[:GROUND], rows()[GROUND:], edges()
    level = {room: number for number, row in enumerate(table) for room in row}
    graph = {room: graph[room] & level.keys() for room in level}
    upwards = sorted((room, other) for room in graph for other in graph[room] if level[other] > level[room])
    downwards = reduced({room: {other for other in graph[room] if (room, other) not in upwards} for room in graph})
    paths = [[room, *_between(level[room], level[other], (room, other)), other] for room in downwards for other in sorted(downwards[room])]
    placed = _placed(_ordered([list(row) for row in table], paths), paths)
    shift = 2 * MARGIN + WIDTH // 2 - min(placed[room] for room in level)
    x = {node: round(place + shift) for node, place in placed.items()}
    width = max(max(x.values()), 3 * WIDTH) + WIDTH // 2 + 2 * MARGIN
    floor = MARGIN + len(table) * ROW  # where the ground begins
    height = floor + GROUND * TIGHT + 8 + MARGIN

    def y(node: str) -> int:
        return MARGIN + HEIGHT // 2 + (len(table) - 1 - _level(node, level)) * ROW

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        "<title>The rooms of pofx: an arrow goes from a room to one that it imports</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<rect x="{MARGIN}" y="{floor}" width="{width - 2 * MARGIN}" height="{GROUND * TIGHT + 8}" rx="6" fill="#eeeeec"/>',
    ]
    for path in paths:
        lines += _arrow([(x[node], y(node)) for node in path], beside=level[path[0]] == level[path[-1]])
    for low, high in upwards:
        lines += _arrow([(x[low], y(low)), (x[high], y(high))], dashed=True)
    for name in level:
        lines += _box(name, x[name], y(name))
    for number, row in enumerate(reversed(ground)):
        for i, name in enumerate(row):
            place = width // 2 + round((i - (len(row) - 1) / 2) * (WIDTH + 8))
            lines += _box(name, place, floor + 8 + HEIGHT // 2 + number * TIGHT, colours=("#fbfbfa", "#8a8a86"))
    return "\n".join([*lines, "</svg>", ""])


def _box(name: str, x: int, y: int, colours: tuple[str, str] = ("#e8f0fa", "#4a6f9c")) -> list[str]:
    fill, stroke = colours
    left, top = x - WIDTH // 2, y - HEIGHT // 2
    return [
        f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{fill}" stroke="{stroke}"/>',
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="#1a2a3a">{name}</text>',
    ]


def _between(high: int, low: int, ends: tuple[str, str]) -> list[str]:
    """The places of an arrow in the rows that it passes."""
    return [f"{ends[0]}>{ends[1]}@{row}" for row in range(high - 1, low, -1)]


def _level(node: str, level: dict[str, int]) -> int:
    return level[node] if node in level else int(node.rpartition("@")[2])


def _neighbours(paths: Iterable[list[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        for one, other in pairwise(path):
            found.setdefault(one, []).append(other)
            found.setdefault(other, []).append(one)
    return found


def _ordered(table: list[list[str]], paths: list[list[str]]) -> list[list[str]]:
    """The rows with the arrows that pass them, each row in an order that lets few arrows cross: by the mean place of what a node meets."""
    for path in paths:
        for node in path[1:-1]:
            table[int(node.rpartition("@")[2])].append(node)
    meets = _neighbours(paths)

    def crossings() -> int:
        place = {node: i for row in table for i, node in enumerate(row)}
        level = {node: number for number, row in enumerate(table) for node in row}
        spans = [(place[a], place[b], level[a]) for path in paths for a, b in pairwise(path)]
        return sum(p[2] == q[2] and (p[0] - q[0]) * (p[1] - q[1]) < 0 for i, p in enumerate(spans) for q in spans[:i])

    best, least = [list(row) for row in table], crossings()
    for sweep in range(24):
        for number in range(len(table)) if sweep % 2 else reversed(range(len(table))):
            place = {node: i / max(1, len(row) - 1) for row in table for i, node in enumerate(row)}
            beside = {node for row in (number - 1, number + 1) if 0 <= row < len(table) for node in table[row]}
            mean = {node: _mean([place[m] for m in meets.get(node, []) if m in beside] or [place[node]]) for node in table[number]}
            table[number].sort(key=lambda node, mean=mean: mean[node])  # type: ignore[misc]
        if (count := crossings()) < least:
            best, least = [list(row) for row in table], count
    return best


def _placed(table: list[list[str]], paths: list[list[str]]) -> dict[str, float]:
    """Where each node of the rows is: near what it meets, and not on its neighbour."""
    meets = _neighbours(paths)
    x = {node: (i - (len(row) - 1) / 2) * (WIDTH + GAP) for row in table for i, node in enumerate(row)}
    for _ in range(60):
        for row in table:
            wanted = {node: _mean([x[other] for other in meets.get(node, [])] or [x[node]]) for node in row}
            right = dict.fromkeys(row, 0.0)
            for i, node in enumerate(row):  # pushed to the right, then to the left; between the two they are evenly apart
                right[node] = max(wanted[node], right[row[i - 1]] + _apart(row[i - 1], node)) if i else wanted[node]
            left = dict(wanted)
            for i in reversed(range(len(row) - 1)):
                left[row[i]] = min(wanted[row[i]], left[row[i + 1]] - _apart(row[i], row[i + 1]))
            x |= {node: (right[node] + left[node]) / 2 for node in row}
    return x


def _apart(one: str, other: str) -> float:
    return sum(WIDTH / 2 if "@" not in node else 8 for node in (one, other)) + (GAP if "@" not in one + other else 8)


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def _arrow(points: list[tuple[int, int]], *, dashed: bool = False, beside: bool = False) -> list[str]:
    """A line through these places with a head at its end."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    if beside:
        side = 1 if x1 > x0 else -1
        start, end, shape = x0 + side * WIDTH // 2, x1 - side * (WIDTH // 2 + 7), ""
        shape, head = f"M{start},{y0} L{end},{y1}", [(end + side * 7, y1), (end, y1 - 4), (end, y1 + 4)]
    else:
        down = 1 if y1 > y0 else -1
        places = [(x0, y0 + down * HEIGHT // 2), *points[1:-1], (x1, y1 - down * (HEIGHT // 2 + 7))]
        bend = ROW // 2 - 4
        shape = f"M{places[0][0]},{places[0][1]}" + "".join(
            f" C{a[0]},{a[1] + down * bend} {b[0]},{b[1] - down * bend} {b[0]},{b[1]}" for a, b in pairwise(places)
        )
        tip = (x1, y1 - down * HEIGHT // 2)
        head = [tip, (tip[0] - 4, tip[1] - down * 7), (tip[0] + 4, tip[1] - down * 7)]
    colour, dashes = ("#b04a3a", ' stroke-dasharray="5 4"') if dashed else ("#7a8694", "")
    corners = " ".join(f"{x},{y}" for x, y in head)
    return [f'<path d="{shape}" fill="none" stroke="{colour}"{dashes}/>', f'<polygon points="{corners}" fill="{colour}"/>']
