"""Several processes that train one model: `torchrun` starts them, each holds a replica, and gradients are summed over all.

Losses are divided by the size of the global batch before they are differentiated, so a sum is the average; each replica gets the same
bytes from the sum, so replicas that begin equal stay equal bit for bit. They are whole copies: `fully_shard` is not there yet, and a
model that does not fit one device cannot be trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from pofx.environment import local_rank, one_of_several
from pofx.errors import UserError
from pofx.train.torch_private import mkldnn_has_bf16


class Replicas:
    """This process among its replicas. Without torchrun: one, alone.

    Args:
        device: where the model lives; decides between gloo and nccl
    """

    def __init__(self, device: torch.device):
        if one_of_several() and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        self.active = dist.is_initialized() and dist.get_world_size() > 1
        self.rank = dist.get_rank() if self.active else 0
        self.world = dist.get_world_size() if self.active else 1

    def cut(self, total: int) -> slice:
        """This replica's rows of a batch of `total`; sizes differ by one at most."""
        return slice(self.rank * total // self.world, (self.rank + 1) * total // self.world)

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the replicas: one flat exchange."""
        tensors = list(tensors)
        if not self.active or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    def same(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by the first replica's."""
        if self.active:
            for tensor in tensors:
                dist.broadcast(tensor, 0)

    def gather(self, value: Any) -> list[Any]:
        """Each replica's value, in order of rank: the same list in every replica."""
        if not self.active:
            return [value]
        values = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any replica."""
        if not self.active:
            return flag
        count = torch.tensor([float(flag)], device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(count)
        return bool(count.item())


def device(asked: str) -> torch.device:
    """The device to train on; with torchrun, each process takes the GPU of its own number."""
    try:
        found = torch.device(asked if asked != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        if found.type == "cuda":
            found = torch.device("cuda", local_rank() if found.index is None else found.index)
        torch.empty(0, device=found)
        if found.type == "cuda":
            torch.cuda.set_device(found)
    except (AssertionError, RuntimeError) as error:
        raise UserError(f"no device {asked!r} here ({str(error).splitlines()[0]}): pass --device auto or --device cpu") from error
    return found


def computes_bf16(device: torch.device) -> bool:
    """Whether products in bfloat16 are the device's own. A CPU without them takes some 20 times as long for one as in float32."""
    return device.type != "cpu" or not torch.backends.mkldnn.is_available() or mkldnn_has_bf16()
