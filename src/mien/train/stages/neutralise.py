"""A conditional GAN that learns to make a person's neutral face out of any other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.errors import DataError
from mien.layers.neutraliser import PatchDiscriminator
from mien.train.stages import STAGES, Figures, Setting, learning
from mien.train.views import to_tensor


def _rows_of(people: Tensor) -> list[Tensor]:
    order = torch.argsort(people)
    counts = torch.bincount(people)
    return list(torch.split(order, counts[counts > 0].tolist()))


def _nearest(pixels: Tensor, neutral: Tensor, among: int) -> Tensor:
    """Mean of the neutral faces [M, H, W, ...] that lie nearest to each face of 12 x 12 pixels, uint8 like `pixels`."""

    def small(faces: Tensor) -> Tensor:
        x = F.interpolate(to_tensor(faces), (12, 12), mode="area").flatten(1)
        return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-3)

    own, theirs = small(pixels), small(neutral)
    picked = [
        torch.cdist(part, theirs).topk(min(among, len(neutral)), 1, largest=False)[1] for part in torch.split(own, 512)
    ]
    return torch.stack([neutral[rows].float().mean(0).round().to(torch.uint8) for rows in torch.cat(picked)])


def neutral_faces(setting: Setting, among: int) -> Tensor:
    """The neutral face that belongs to each face, uint8 like the faces.

    It is the mean of the person's neutral faces; of all of the person's faces where nobody's neutral face is known;
    else the mean of the `among` nearest neutral faces of anybody.

    Raises:
        DataError: no neutral faces, and nobody is shown twice.
    """
    pixels, targets = setting.pixels, setting.pixels.clone()
    known = "neutral" in setting.labels
    calm = setting.classes == setting.labels.index("neutral") if known else torch.zeros_like(setting.classes).bool()
    alone = torch.zeros(len(pixels), dtype=torch.bool)
    for rows in _rows_of(setting.people):
        own = rows[calm[rows]] if calm.any() else rows
        alone[rows] = not len(own) or (len(rows) == 1 and not calm.any())
        if len(own):
            targets[rows] = pixels[own].float().mean(0).round().to(torch.uint8)
    if not calm.any() and alone.all():
        raise DataError("neutralise needs neutral faces, or several faces of each person; choose another data set")
    if calm.any() and alone.any():
        targets[alone] = _nearest(pixels[alone], pixels[calm], among)
    return targets


@STAGES.register(
    "neutralise", paper="Yang et al., Facial expression recognition by de-expression residue learning, 2018"
)
@dataclass(frozen=True)
class Neutralise:
    """min_G max_D E log D(x, y) + E log(1 - D(x, G(x))) + lambda E |y - G(x)|_1, y the neutral face of x's person.

    Paper: Yang, Ciftci, Yin, "Facial expression recognition by de-expression residue learning", CVPR 2018; Isola et
        al., "Image-to-image translation with conditional adversarial networks", CVPR 2017.
    Differs: where the data have no neutral face of a person, `neutral_faces` says what stands for it. The generator
        steps up log D(x, G(x)), as Isola et al. do.

    Attributes:
        weight: lambda.
        among: how many nearest neutral faces stand for one that is missing.
    """

    weight: float = 100.0
    among: int = 8

    def __call__(self, setting: Setting) -> Figures:
        generator: nn.Module = setting.part("generator")
        wanted = neutral_faces(setting, self.among)
        judge = PatchDiscriminator(setting.faces(torch.arange(1)).shape[1]).to(setting.device)
        with learning(generator) as made:
            step = torch.optim.Adam(made, lr=setting.lr, betas=(0.5, 0.999))
            against = torch.optim.Adam(judge.parameters(), lr=setting.lr, betas=(0.5, 0.999))
            for _ in range(setting.epochs):
                gaps = []
                for rows in setting.batches():
                    flip = setting.flips(len(rows))
                    x, y = setting.faces(rows), to_tensor(wanted[rows].to(setting.device))
                    x, y = torch.where(flip, x.flip(3), x), torch.where(flip, y.flip(3), y)
                    gaps.append(self._step(generator, judge, step, against, x, y))
        return {"l1": round(sum(gaps) / len(gaps), 4)}

    def _step(
        self,
        generator: nn.Module,
        judge: nn.Module,
        step: torch.optim.Optimizer,
        against: torch.optim.Optimizer,
        x: Tensor,
        y: Tensor,
    ) -> float:
        """One step of the discriminator, one of the generator; returns the mean absolute error."""
        fake = generator(x)[0]
        x, y = (F.interpolate(z, fake.shape[-2:], mode="bilinear", align_corners=False) for z in (x, y))
        # softplus(-z) = -log sigmoid(z)
        real, made = judge(x, y), judge(x, fake.detach())
        against.zero_grad(set_to_none=True)
        ((F.softplus(-real).mean() + F.softplus(made).mean()) / 2).backward()  # type: ignore[no-untyped-call]
        against.step()
        gap = (fake - y).abs().mean()
        step.zero_grad(set_to_none=True)
        (F.softplus(-judge(x, fake)).mean() + self.weight * gap).backward()
        step.step()
        return float(gap.detach())
