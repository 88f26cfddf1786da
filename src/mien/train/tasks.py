"""Further tasks beside the expression: what their targets are, how those follow the augmentation, and their loss.

Paper: Li, Deng, "Deep facial expression recognition: a survey", IEEE TAC 2020, section 4.1.5 (multitask networks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mien.augment import mirrored
from mien.datasets.faces import FaceSet
from mien.errors import RecipeError
from mien.faces.angles import MIRROR
from mien.faces.landmarks import Landmarks
from mien.faces.quality import angles
from mien.types import Faces


def moved(points: Tensor, theta: Tensor) -> Tensor:
    """Where points are after an augmentation.

    Args:
        points: [N, 68, 2] from -1 to 1 over the face.
        theta: [N, 2, 3] from places after it to places before it (`torch.nn.functional.affine_grid`). Where it mirrors,
            the left points become the right ones.
    """
    turn, shift = theta[:, :, :2], theta[:, :, 2]
    after = torch.linalg.solve(turn[:, None], (points - shift[:, None])[..., None])[..., 0]
    return torch.where(mirrored(theta)[:, None, None], after[:, MIRROR], after)


def key_points(faces: FaceSet) -> Tensor:
    """68 points of every face [N, 68, 2] from -1 to 1, by the landmark network in the package.

    The whole picture stands for the face's box.
    """
    side = faces.pixels.shape[1]
    find, box = Landmarks(), np.array([[0, 0, side, side]], np.float32)
    found = []
    for picture in faces.pixels:
        colour = picture if picture.ndim == 3 else cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
        found.append(find(colour, Faces(box, np.ones(1, np.float32)), "none").landmarks[0])
    return torch.from_numpy((np.stack(found) + 0.5) * 2 / side - 1).float()


class Task(Protocol):
    """One further task.

    Attributes:
        units: of its head.
    """

    units: int

    def targets(self, faces: FaceSet) -> Tensor:
        """What the head should say about each face [N, ...], before augmentation."""

    def follow(self, targets: Tensor, theta: Tensor) -> Tensor:
        """The targets of augmented faces."""

    def loss(self, said: Tensor, targets: Tensor) -> Tensor:
        """Mean over the batch."""


@dataclass
class Points:
    """68 key points, x and y from -1 to 1: smooth L1, as if the packaged landmark network were right."""

    units: int = 136

    def targets(self, faces: FaceSet) -> Tensor:
        return key_points(faces)

    def follow(self, targets: Tensor, theta: Tensor) -> Tensor:
        return moved(targets, theta)

    def loss(self, said: Tensor, targets: Tensor) -> Tensor:
        return F.smooth_l1_loss(said.view_as(targets), targets, beta=0.05)


@dataclass
class Pose(Points):
    """Roll and yaw, radians, as `mien.faces.quality.angles` finds them from the points: smooth L1."""

    units: int = 2

    def loss(self, said: Tensor, targets: Tensor) -> Tensor:
        wanted = torch.from_numpy(np.radians(np.stack(angles(targets.cpu().numpy()), 1)))
        return F.smooth_l1_loss(said, wanted.to(targets), beta=0.1)


@dataclass
class Votes:
    """The taggers' votes as a distribution: cross-entropy. Of use where the main task trains on the majority."""

    units: int = 0

    def targets(self, faces: FaceSet) -> Tensor:
        self.units = len(faces.labels)
        return torch.from_numpy(faces.targets)

    def follow(self, targets: Tensor, theta: Tensor) -> Tensor:
        return targets

    def loss(self, said: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(said, targets)


@dataclass
class Identity:
    """Who it is, among the people of the training faces: cross-entropy."""

    units: int = 0

    def targets(self, faces: FaceSet) -> Tensor:
        people, number = np.unique(faces.group, return_inverse=True)
        if len(people) > len(faces) // 2:
            raise RecipeError("head identity: the data set does not say who is shown; leave that head out")
        self.units = len(people)
        return torch.from_numpy(np.eye(len(people), dtype=np.float32)[number])

    def follow(self, targets: Tensor, theta: Tensor) -> Tensor:
        return targets

    def loss(self, said: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(said, targets)


TASKS: dict[str, type[Task]] = {"points": Points, "pose": Pose, "votes": Votes, "identity": Identity}


def make(name: str) -> Task:
    """The task of that name.

    Raises:
        RecipeError: there is none.
    """
    if name not in TASKS:
        raise RecipeError(f"head: task {name!r} is unknown; use {', '.join(TASKS)}")
    return TASKS[name]()
