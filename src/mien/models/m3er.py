"""M3ER: ineffective modalities are found by CCA and replaced by proxies; the answers are fused multiplicatively."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, permutations

import torch
from torch import Tensor, nn

from mien.errors import RecipeError
from mien.layers.over_modalities import mean_there, modality
from mien.layers.sequence_encoder import SequenceEncoder
from mien.models import MODELS, Inputs, Output
from mien.models.joint_fusion import MOSI_SHAPES


class M3ER(nn.Module):
    """An encoder and a head for each modality; logits = sum_m c_m log p_m with c_m = max_k p_mk^(beta / (M - 1)).

    Before that, each sample's modalities are checked: the means over time of two modalities are projected by what CCA
    has found in the training rows, and compared by the cosine of the projections. A modality that is missing, or agrees
    with none of the others, is ineffective, and a proxy takes its place: what a linear map, learnt on the training
    rows, makes of the effective ones. The stage `check-modalities` learns directions and maps; until then all
    modalities that are there are effective, and missing ones are left out.

    `aux["by_modality"]` holds the logits [N, M, K] (for the loss `multiplicative`), `aux["effective"]` [N, M] 1 for
    modalities that answer (proxies do), and `aux["checked"]` [N, M] 1 for those that needed none.

    Paper: Mittal et al., "M3ER: multiplicative multimodal emotion recognition using facial, textual, and speech cues",
        AAAI 2020 (arXiv 1911.05659).
    Differs: where the paper has a memory fusion network, here are small encoders, for utterance features have no steps
        to remember. The proxy is made by ridge regression; the paper solves for coefficients in a basis of training
        vectors and applies them to the other modality's, which is the least-squares map without the ridge. We
        found a loss and no rule for the fused answer: here the modalities' log-scores, weighted by their confidence, as
        the loss weights them. The projections have 16 components, not 100.

    Args:
        shapes: modality -> [T, D] of its features.
        width: numbers of each modality's embedding.
        check: look for ineffective modalities among those that are there; missing ones get proxies in any case.
        threshold: cosine from which two modalities agree.
        components: of each projection.

    Raises:
        RecipeError: a modality is not of features over time.
    """

    def __init__(
        self,
        classes: int,
        shapes: Mapping[str, Sequence[int]],
        width: int = 64,
        drop: float = 0.3,
        check: bool = True,
        threshold: float = 0.1,
        components: int = 16,
        beta: float = 2.0,
        tiny: bool = False,
    ) -> None:
        super().__init__()
        self.names, self.check, self.threshold = tuple(shapes), check, threshold
        self.power = beta / max(1, len(self.names) - 1)
        width = 8 if tiny else width
        self.dims = {name: _dim(name, shape) for name, shape in shapes.items()}
        self.encoders = nn.ModuleDict({name: SequenceEncoder(s[1], width, s[0]) for name, s in shapes.items()})
        self.heads = nn.ModuleDict(
            {name: nn.Sequential(nn.Dropout(drop), nn.Linear(width, classes)) for name in shapes}
        )
        self.register_buffer("ready", torch.tensor(False))
        self.ready: Tensor
        for name, dim in self.dims.items():
            self.register_buffer(f"mean_{name}", torch.zeros(dim))
        for one, other in permutations(self.names, 2):
            count = min(components, self.dims[one], self.dims[other])
            self.register_buffer(f"canon_{one}_{other}", torch.zeros(self.dims[one], count))
            self.register_buffer(f"map_{one}_{other}", torch.zeros(self.dims[one] + 1, self.dims[other]))

    def agreement(self, means: Mapping[str, Tensor]) -> Tensor:
        """Cosine of the projections of each two modalities [N, M, M], -1 on the diagonal."""
        count, rows = len(self.names), len(next(iter(means.values())))
        cosines = [[torch.full((rows,), -1.0, device=self.ready.device)] * count for _ in range(count)]
        for i, j in combinations(range(count), 2):
            one, other = self.names[i], self.names[j]
            first = (means[one] - getattr(self, f"mean_{one}")) @ getattr(self, f"canon_{one}_{other}")
            second = (means[other] - getattr(self, f"mean_{other}")) @ getattr(self, f"canon_{other}_{one}")
            cosines[i][j] = cosines[j][i] = torch.cosine_similarity(first.float(), second.float(), dim=1)
        return torch.stack([torch.stack(row, 1) for row in cosines], 1)

    def effective(self, means: Mapping[str, Tensor], there: Tensor) -> Tensor:
        """Which modalities are there [N, M] and agree with another that is; all that are there where none agrees."""
        if not self.check or not bool(self.ready):
            return there
        agrees = (self.agreement(means) >= self.threshold) & there[:, :, None] & there[:, None, :]
        found = agrees.any(2)
        return torch.where(found.any(1, keepdim=True), found, there)

    def proxy(self, name: str, means: Mapping[str, Tensor], effective: Tensor) -> tuple[Tensor, Tensor]:
        """What the effective modalities say a modality's mean [N, D] should be; and whether any does [N]."""
        total, count = torch.zeros_like(means[name]), torch.zeros(len(effective), 1, device=effective.device)
        for place, other in enumerate(self.names):
            if other != name:
                table = getattr(self, f"map_{other}_{name}")
                told = effective[:, place, None].to(total.dtype)
                total = total + told * (means[other] @ table[:-1] + table[-1])
                count = count + told
        return total / count.clamp_min(1), count[:, 0] > 0

    def forward(self, inputs: Inputs) -> Output:
        given = {name: modality(inputs, name) for name in self.names}
        means = {name: mean_there(x, there) for name, (x, there) in given.items()}
        there = torch.stack([mask.any(1) for _, mask in given.values()], 1)
        checked = self.effective(means, there)
        answers, embeddings, use = [], [], checked
        for place, (name, (x, mask)) in enumerate(given.items()):
            if bool(self.ready):
                made, known = self.proxy(name, means, checked)
                needed = (~checked[:, place] & known)[:, None]
                first = torch.zeros_like(mask)
                first[:, 0] = True
                x = torch.where(needed[:, :, None], made[:, None].expand_as(x), x)
                mask = torch.where(needed, first, mask)
                use = use | (needed & (torch.arange(len(given), device=use.device) == place))
            embedding = self.encoders[name](x, mask) * use[:, place, None].to(x.dtype)
            embeddings.append(embedding)
            answers.append(self.heads[name](embedding))
        logits = torch.stack(answers, 1)
        logs = torch.log_softmax(logits.float(), 2)
        sure = torch.exp(self.power * logs.amax(2)) * use
        aux = {"by_modality": logits, "effective": use.float(), "checked": checked.float()}
        return Output((sure[:, :, None] * logs).sum(1), torch.cat(embeddings, 1), aux)


def _dim(name: str, shape: Sequence[int]) -> int:
    if len(shape) != 2:
        raise RecipeError(f"m3er reads features [T, D]; {name} is {list(shape)}: name an extractor for it")
    return int(shape[1])


@MODELS.register("m3er", paper="Mittal et al., AAAI 2020", parameters=18_054, classes=2, size=1, modality="streams")
def m3er(
    classes: int = 2,
    shapes: Mapping[str, Sequence[int]] = MOSI_SHAPES,
    width: int = 64,
    drop: float = 0.3,
    check: bool = True,
    threshold: float = 0.1,
    components: int = 16,
    beta: float = 2.0,
    tiny: bool = False,
) -> M3ER:
    """M3ER, by default for CMU-MOSI's three kinds of features."""
    return M3ER(classes, shapes, width, drop, check, threshold, components, beta, tiny)
