"""Peak memory of a pass through self-attention and back, by length: the fused kernel, a sliding window, and weights of n x n numbers.

Each length has a process of its own, whose peak of resident memory is reset before the pass; what it held by then is taken off.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.protocol import machine
from benchmarks.rows import Row
from pofx.layers.attention import SelfAttention
from pofx.randomness import generator

WIDTH, HEADS, WINDOW = 128, 2, 256
LENGTHS = (1024, 2048, 4096, 8192, 16384)
KINDS = {"fused kernel": LENGTHS, f"window of {WINDOW}": LENGTHS, "n x n weights": LENGTHS[:3]}
GROWTH = {
    kind: f"peak memory of causal attention, {WIDTH} wide, {HEADS} heads, there and back, {kind}: length {lengths[-1]} / {lengths[0]}"
    for kind, lengths in KINDS.items()
}
PEAK = {kind: f"the same, {kind}: at length {lengths[-1]}" for kind, lengths in KINDS.items()}
LINEAR = ("<=", 17.6)  # 16 times the memory for 16 times the length, and a tenth
ROWS = [
    row
    for kind in KINDS
    for row in (
        Row(
            GROWTH[kind],
            "",
            None if kind == "n x n weights" else LINEAR,
            f"{math.prod((KINDS[kind][-1] // KINDS[kind][0],) * (2 if kind == 'n x n weights' else 1))} if it is all there is",
        ),
        Row(PEAK[kind], "MB"),
    )
]


def peak(kind: str, length: int) -> int:
    """Bytes that the pass needed at most, beside weights and input."""
    torch.manual_seed(0)
    attention = SelfAttention(WIDTH, HEADS, causal=True, window=WINDOW if kind.startswith("window") else None)
    h_BLD = torch.randn(1, length, WIDTH, generator=generator("attention memory"), requires_grad=True)
    attention(h_BLD[:, :64]).sum().backward()  # what the kernels need once
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now
    if kind == "n x n weights":
        _, _, v_BNLE = attention._heads(h_BLD)
        out_BLD = attention.out((attention.weights(h_BLD) @ v_BNLE).transpose(1, 2).flatten(2))
    else:
        out_BLD = attention(h_BLD)
    out_BLD.sum().backward()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return 1024 * int(line.split()[1])


def measure() -> Iterator[tuple[str, float, dict[str, Any]]]:
    for kind, lengths in KINDS.items():
        found = {}
        for length in lengths:
            code = f"import torch; torch.set_num_threads(1); from benchmarks.attention_memory import peak; print(peak({kind!r}, {length}))"
            found[length] = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
            print(f"{kind}, length {length}: {found[length] / 2**20:.1f} MiB", flush=True)
        protocol = {
            "layer": {"width": WIDTH, "heads": HEADS, "causal": True},
            "batch": 1,
            "precision": "fp32",
            "memory": "VmHWM after the pass, forward and backward, minus VmRSS before it; one process a length",
            "bytes": found,
            **machine(),
        }
        yield GROWTH[kind], found[lengths[-1]] / found[lengths[0]], protocol
        yield PEAK[kind], found[lengths[-1]] / 1e6, protocol
