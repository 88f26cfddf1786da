"""Several processes that train one network (`torchrun`): who am I, my share of a batch, one mean gradient."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class Team:
    """This process among those of one training; a team of one needs no torch.distributed."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Only the leader validates, writes and speaks."""
        return self.rank == 0

    def share(self, batch: Tensor) -> Tensor:
        """This process's rows of a batch; all shares are equally long, so that their mean is the batch's."""
        return batch[self.rank : len(batch) // self.size * self.size : self.size] if self.size > 1 else batch

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the team, in one exchange."""
        grads = [p.grad for p in parameters if p.grad is not None]
        if self.size == 1 or not grads:
            return
        flat = torch.cat([g.flatten() for g in grads])
        dist.all_reduce(flat)
        flat /= self.size
        for grad, new in zip(grads, torch.split(flat, [g.numel() for g in grads]), strict=True):
            grad.copy_(new.view_as(grad))

    def agree(self, model: nn.Module) -> None:
        """Everyone takes the leader's weights and statistics."""
        if self.size > 1:
            for value in model.state_dict().values():
                dist.broadcast(value, 0)

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()


def join() -> Team:
    """The team that `torchrun` has started, or a team of one."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    if not dist.is_initialized():
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return Team(dist.get_rank(), dist.get_world_size())
