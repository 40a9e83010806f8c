"""What a number depends on besides the model: versions, machine and threads."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pofx.train.strategy import computes_bf16


def machine() -> dict[str, Any]:
    """Versions, kind of processor and number of threads; nothing that names one machine.

    The name alone does not say how fast a processor is: what has no bf16 of its own takes some 20 times as long for it.
    """
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("pofx", "torch", "numpy")}},
        "machine": {
            "cpu": cpu,
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "bf16": computes_bf16(torch.device("cpu")),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        },
    }


def digest(x: Tensor) -> str:
    """SHA-256 of binary `x` (B, ...), packed eight to a byte: the very draw that was scored."""
    return hashlib.sha256(np.packbits(x.numpy().astype(bool)).tobytes()).hexdigest()
