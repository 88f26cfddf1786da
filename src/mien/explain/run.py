"""A finished run as something that can be asked about faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mien.datasets import SPLITS
from mien.datasets.faces import FaceSet
from mien.errors import DataError, WeightsError
from mien.explain.cam import grad_cam
from mien.explain.maps import last_map, watch
from mien.explain.occlusion import occlusion
from mien.models import Inputs
from mien.protocols import Fold
from mien.train.checkpoint import load_network, load_state
from mien.train.distributed import Team
from mien.train.feed import angles_of
from mien.train.folding import folds_of
from mien.train.prepare import read_faces
from mien.train.recipe import read_record
from mien.train.study import Study
from mien.train.views import predict, to_tensor


class FinishedRun:
    """The best network of a run's folder, scored as `mien bench run` scores it; Grad-CAM shows where it looks.

    On the run's own data set, `train`, `val` and `test` are the rows of its fold; on another, those of its authors'
    split.

    Args:
        folder: with best.pt and run.json.
        absent: a modality to take from every row, for a run over several.
        wrong: a modality that every row is to have from another row.

    Raises:
        WeightsError: one of the files is missing or damaged, or the run does not read that modality.
        RecipeError: the run's recipe has keys that this version does not know.
    """

    def __init__(self, folder: Path, device: torch.device, *, absent: str = "", wrong: str = "") -> None:
        self.folder, self.device, self.absent, self.wrong = folder, device, absent, wrong
        self.recipe, self.fold = read_record(folder)
        if self.recipe.fusion.members:
            joined = ", ".join(self.recipe.fusion.members)
            raise WeightsError(f"{folder} joins {joined} and has no weights of its own; score it with mien bench run")
        if self.recipe.dimensions:
            raise WeightsError(f"{folder} predicts {', '.join(self.recipe.dimensions)}; score it with mien bench run")
        for name in (absent, wrong):
            if name and name not in self.recipe.modalities:
                read = ", ".join(self.recipe.modalities) or "faces alone"
                raise WeightsError(f"{folder} does not read {name!r}; it reads {read}")
        state = load_state(folder / "best.pt")
        if state is None:
            several = sorted(path.parent.name for path in folder.glob("fold-*/best.pt"))
            cure = f"name one of its folds, such as {folder / several[0]}" if several else "train that run first"
            raise WeightsError(f"{folder} has no best.pt; {cure}")
        self.name = self.recipe.name if self.fold == "official" else f"{self.recipe.name}, {self.fold}"
        self.labels = tuple(state["labels"])
        self.dataset = self.recipe.dataset
        self.network = load_network(folder, device).float()
        self.method = ""

    def faces(self, dataset: str, data: Path, split: str) -> FaceSet:
        """The faces of a split in the size and colour of the run.

        Raises:
            DataError: the split is empty.
        """
        recipe = replace(self.recipe, dataset=dataset)
        faces = read_faces(recipe, data)
        if split == "all":
            return faces
        rows = np.flatnonzero(faces.split == SPLITS.index(split))
        if dataset == self.recipe.dataset:
            named = {fold.name: fold for fold in folds_of(recipe, faces)[0]}
            if self.fold not in named:
                raise DataError(f"{data} has no {self.fold!r}; it is not what {self.folder} was trained on")
            rows = np.asarray(getattr(named[self.fold], split))
        if not len(rows):
            raise DataError(f"{dataset} has no {split} rows for {self.folder}; choose another --split, such as test")
        return faces[rows]

    def scores(self, faces: FaceSet) -> np.ndarray:
        study = Study(self.recipe, faces, self.folder, self.device, Team())
        nothing = np.zeros(0, np.int64)
        fold = Fold(self.fold, nothing, nothing, np.arange(len(faces)))
        return study.scores(fold, self.folder, absent=self.absent, wrong=self.wrong)

    def maps(self, faces: FaceSet, classes: np.ndarray) -> np.ndarray:
        if faces.streams is not None:
            raise DataError(f"--explain shows faces; {self.name} reads {', '.join(faces.streams.names)}")
        inputs = self._inputs(faces)
        found = last_map(*watch(self.network, inputs))
        if found is None:
            self.method = WITHOUT_MAP
            return occlusion(self._plain_scores, faces.pixels, classes)
        places = "tokens" if found.value.ndim == 3 else "×".join(map(str, found.value.shape[2:]))
        self.method = f"Grad-CAM for the predicted class, on the map `{found.name}` ({places})"
        maps = grad_cam(self.network, inputs, torch.from_numpy(classes))
        assert maps is not None
        return np.asarray(maps.cpu().numpy())

    def _inputs(self, faces: FaceSet) -> Inputs:
        x = to_tensor(torch.from_numpy(faces.pixels)).to(self.device)
        angles = angles_of(self.recipe, faces)
        return x if angles is None else {"face": x, "angles": torch.from_numpy(angles).to(self.device)}

    def _plain_scores(self, pixels: np.ndarray) -> np.ndarray:
        logits = predict(self.network, pixels, self.device)
        return np.asarray(torch.softmax(torch.from_numpy(logits), 1).numpy())


WITHOUT_MAP = "occlusion sensitivity (no feature map): how far the predicted class's score falls behind a grey patch"
