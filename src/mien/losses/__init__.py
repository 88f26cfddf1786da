"""Losses, one file each. Needs torch (extra `train`)."""

from __future__ import annotations

from torch import nn

from mien.registry import Registry

LOSSES: Registry[nn.Module] = Registry("loss", "mien.losses")
