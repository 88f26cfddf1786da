"""The recurrent network of rectified units that starts as a sum over time, and recurrent cells by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mien.errors import RecipeError


class IRNN(nn.RNN):
    """h_t = relu(W h_(t-1) + U x_t + b), h_0 = 0, where W starts as `gain` times the identity and b as zero.

    At the start the hidden state is a running sum of what each step puts in, so that gradients neither vanish nor
    explode over long clips.

    Paper: Le, Jaitly, Hinton, "A simple way to initialize recurrent networks of rectified linear units", 2015.
    Differs: b is kept as two vectors that add up.

    Args:
        inputs: D of the steps [N, T, D].
        hidden: H.
        gain: of the identity; below 1 it forgets.
    """

    def __init__(self, inputs: int, hidden: int, gain: float = 1.0) -> None:
        super().__init__(inputs, hidden, nonlinearity="relu", batch_first=True)
        for name, parameter in self.named_parameters():
            if name.startswith("bias"):
                nn.init.zeros_(parameter)
            elif name.startswith("weight_ih"):
                # larger ones make running sums on which an attention's softmax gets stuck
                nn.init.normal_(parameter, std=0.001)
            else:
                with torch.no_grad():
                    parameter.copy_(gain * torch.eye(hidden))


CELLS = ("irnn", "lstm", "gru")


class Recurrent(nn.Module):
    """One recurrent layer over clips of unequal length: frames beyond a clip's end change nothing.

    Args:
        cell: `irnn`, `lstm` (Hochreiter, Schmidhuber, 1997) or `gru` (Cho et al., 2014).
        inputs: D of the steps [N, T, D].
        hidden: H of each direction.
        bidirectional: reads the clip backwards as well; not for `irnn`.

    Raises:
        RecipeError: another cell, or an IRNN in two directions.
    """

    def __init__(self, cell: str, inputs: int, hidden: int, bidirectional: bool = False) -> None:
        super().__init__()
        if cell not in CELLS:
            raise RecipeError(f"cell = {cell!r}; choose one of {', '.join(CELLS)}")
        if cell == "irnn" and bidirectional:
            raise RecipeError("cell = 'irnn' reads forwards only; choose 'lstm' or 'gru' for both directions")
        self.rnn: nn.RNNBase
        if cell == "irnn":
            self.rnn = IRNN(inputs, hidden)
        else:
            made = nn.LSTM if cell == "lstm" else nn.GRU
            self.rnn = made(inputs, hidden, batch_first=True, bidirectional=bidirectional)
        self.width = hidden * (1 + bidirectional)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """States [N, T, width], zero beyond the end, and the last state [N, width] of each direction.

        Args:
            x: [N, T, D].
            mask: [N, T], true from the start to the clip's end; None where all clips have T frames.
        """
        if mask is None:
            states, last = self.rnn(x)
        else:
            packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
            states, last = self.rnn(packed)
            states = pad_packed_sequence(states, batch_first=True, total_length=x.shape[1])[0]
        if isinstance(last, tuple):
            last = last[0]
        return states, last.transpose(0, 1).flatten(1)
