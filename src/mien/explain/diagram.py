"""A network as text: one line a block, in the order of the forward pass, equal blocks in a row as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import nn

from mien.explain.macs import Call

MOST = 40
_SILENT = (nn.Dropout, nn.Identity, nn.Flatten)
_WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class Row:
    """One line.

    Attributes:
        name: of the module, or of the first and the last of several.
        kind: what it is.
        output: its shape [N, ...].
        parameters, macs: of all that the line stands for.
        repeats: how often the line, or the group of lines that it is in, stands in the network.
        group: place in a group of lines that is repeated as a whole: `first`, `inner`, `last`, or empty.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    repeats: int = 1
    group: str = ""

    def facts(self) -> dict[str, Any]:
        return asdict(self)


def rows(root: Call, most: int = MOST) -> list[Row]:
    """The lines of a network, opened as far as at most `most` lines allow; their sums are those of the network."""
    kinds = Counter(type(call.module) for call in _all(root))
    made: list[Row] = []
    for depth in range(8, 0, -1):
        made = _collapse(_open(root, kinds, depth))
        if len(made) <= most:
            break
    return made


def _all(call: Call) -> list[Call]:
    return [call, *(inner for child in call.calls for inner in _all(child))]


def _leaves(module: nn.Module) -> list[nn.Module]:
    """What plain sequences consist of, in order."""
    if type(module) is nn.Sequential:
        return [leaf for child in module for leaf in _leaves(child)]
    return [module]


def _is_unit(module: nn.Module) -> bool:
    """A plain sequence around at most one convolution or linear layer."""
    leaves = _leaves(module)
    plain = type(module) is nn.Sequential and not any(list(leaf.children()) for leaf in leaves)
    return plain and sum(isinstance(leaf, _WEIGHTED) for leaf in leaves) <= 1


def _is_decor(module: nn.Module) -> bool:
    return isinstance(module, _NORMS) or type(module).__module__ == "torch.nn.modules.activation"


def _open(call: Call, kinds: Counter[type], depth: int) -> list[Row]:
    """Lines of a module's calls, and one for what it does or holds itself."""
    found: list[Row] = []
    joins = False  # whether a norm or activation belongs to the line before
    for child in call.calls:
        module = child.module
        if isinstance(module, _SILENT) and not child.parameters:
            continue
        row = Row(child.name, describe(module), child.shape, child.parameters, child.macs)
        whole = not child.calls or _is_unit(module)
        # a class that stands several times is a block; one that stands once is opened to show what it holds
        if not whole and depth > 1 and (type(module) is nn.Sequential or kinds[type(module)] == 1):
            found += _open(child, kinds, depth - 1)
            joins = False
        elif joins and found and not child.calls and _is_decor(module):
            last = found[-1]
            found[-1] = replace(
                last,
                kind=f"{last.kind}, {row.kind}",
                output=row.output,
                parameters=last.parameters + row.parameters,
                macs=last.macs + row.macs,
            )
        else:
            found.append(row)
            weighted = any(isinstance(leaf, _WEIGHTED) for leaf in _leaves(module))
            joins = (whole and weighted) or type(call.module) is nn.Sequential
    held = call.parameters - sum(child.parameters for child in call.calls)
    done = call.macs - sum(child.macs for child in call.calls)
    if held or done:
        what = ", ".join(call.own) if held else "work between blocks"
        found.append(Row(call.name or "network", _short(what), call.shape, held, done))
    return found


def _short(text: str, most: int = 39) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _sides(value: Any) -> str:
    sides = value if isinstance(value, tuple) else (value, value)
    return "×".join(map(str, sides))


def _stride(value: Any) -> str:
    first = value[0] if isinstance(value, tuple) else value
    return f"/{first}" if first != 1 else ""


def describe(module: nn.Module) -> str:
    """A module in few words: `conv 3×3/2, norm, ReLU`."""
    if isinstance(module, _WEIGHTED) and not isinstance(module, nn.Linear):
        groups = int(module.groups)
        word = "depthwise" if groups > 1 and groups == module.in_channels else "grouped" if groups > 1 else "conv"
        word = f"transposed {word}" if isinstance(module, nn.ConvTranspose2d) else word
        return f"{word} {_sides(module.kernel_size)}{_stride(module.stride)}"
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, _NORMS):
        return "norm"
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        word = "max-pool" if isinstance(module, nn.MaxPool2d) else "mean-pool"
        return f"{word} {_sides(module.kernel_size)}{_stride(module.stride)}"
    if isinstance(module, nn.Upsample):
        return f"enlarge ×{module.scale_factor:g}" if module.scale_factor else "enlarge"
    if type(module) is nn.Sequential:
        leaves = [leaf for leaf in _leaves(module) if not isinstance(leaf, _SILENT)]
        return _short(", ".join(describe(leaf) for leaf in leaves)) if _is_unit(module) else f"{len(leaves)} layers"
    return type(module).__name__


def _look(row: Row) -> tuple[Any, ...]:
    return row.kind, row.output, row.parameters, row.macs


def _collapse(lines: Sequence[Row]) -> list[Row]:
    """Lines that are repeated, alone or in groups of up to four, as one group with their sums."""
    found: list[Row] = []
    start = 0
    while start < len(lines):
        best, times = 1, 1
        for period in range(1, 5):
            again = _times(lines, start, period)
            if again > 1 and again * period > best * times:
                best, times = period, again
        for place in range(best):
            same = lines[start + place : start + best * times : best]
            group = "first" if not place else "last" if place == best - 1 else "inner"
            group = group if best > 1 else ""
            found.append(
                replace(
                    same[0],
                    name=_names([row.name for row in same]),
                    parameters=sum(row.parameters for row in same),
                    macs=sum(row.macs for row in same),
                    repeats=times,
                    group=group,
                )
            )
        start += best * times
    return found


def _times(lines: Sequence[Row], start: int, period: int) -> int:
    """How often the group of `period` lines at `start` follows itself, with itself."""
    first = [_look(row) for row in lines[start : start + period]]
    times = 1
    while [_look(row) for row in lines[start + times * period : start + (times + 1) * period]] == first:
        times += 1
    return times


def _names(names: Sequence[str]) -> str:
    """
    >>> _names(["layers.3"]), _names(["layers.3", "layers.4"]), _names(["a.1", "a.3", "a.5"]), _names(["a", "b"])
    ('layers.3', 'layers.3, 4', 'a.1, 3 … 5', 'a … b')
    """
    if len(names) == 1:
        return names[0]
    stems = {name.rpartition(".")[0] for name in names}
    if len(stems) > 1 or "" in stems:
        return f"{names[0]} … {names[-1]}"
    numbers = [name.rpartition(".")[2] for name in names]
    shown = ", ".join(numbers) if len(numbers) < 3 else f"{numbers[0]}, {numbers[1]} … {numbers[-1]}"
    return f"{stems.pop()}.{shown}"


def text(lines: Sequence[Row]) -> list[str]:
    """The lines as a table of plain text with a line of sums."""
    marks = {"first": "┌", "inner": "│", "last": "└"}
    cells = [("  block", "what it is", "output", "parameters", "MACs")]
    for row in lines:
        kind = f"{row.repeats} × {row.kind}" if row.repeats > 1 else row.kind
        name = f"{marks.get(row.group, ' ')} {row.name if len(row.name) <= 28 else '…' + row.name[-27:]}"
        cells.append((name, kind, shape(row.output), f"{row.parameters:,}", f"{row.macs:,}"))
    total = (f"{sum(row.parameters for row in lines):,}", f"{sum(row.macs for row in lines):,}")
    cells.append(("  sum", "", "", *total))
    wide = [max(len(row[i]) for row in cells) for i in range(5)]
    return [
        "  ".join(cell.rjust(w) if i > 2 else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, wide, strict=True)))
        for row in cells
    ]


def shape(output: Sequence[int]) -> str:
    """A shape [N, ...] without N where it is one face.

    >>> shape((1, 64, 6, 6)), shape((6, 64, 6, 6))
    ('64×6×6', '6 of 64×6×6')
    """
    inner = "×".join(map(str, output[1:]))
    return inner if not output or output[0] == 1 else f"{output[0]} of {inner}"
