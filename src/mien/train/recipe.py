"""A recipe: one training run as one TOML file, read strictly into frozen dataclasses."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mien.augment import Augment
from mien.errors import RecipeError, WeightsError

FOLDER = Path(__file__).parent / "recipes"

T = TypeVar("T")


@dataclass(frozen=True)
class Optimiser:
    """How the weights are stepped.

    Attributes:
        kind: `sgd` (with Nesterov momentum), `adam` or `adamw`.
        schedule: after the warm-up, a `cosine` to zero or `constant`.
        half: 16-bit brain floats where they are safe (autocast; never for 3-D convolutions on a CPU).
        lr: peak learning rate for a batch of 128; scaled linearly with the batch.
        ema: decay per step of the averaged weights, which are the ones evaluated and kept.
    """

    kind: str = "sgd"
    schedule: str = "cosine"
    half: bool = True
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup_epochs: float = 1.0
    ema: float = 0.998


@dataclass(frozen=True)
class Term:
    """One term of the loss.

    Attributes:
        name: of a registered loss.
        weight: its factor in the sum.
        arguments: passed to its constructor.
    """

    name: str
    weight: float = 1.0
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """What is done once, before the first epoch, in another way than by steps down the loss.

    Attributes:
        name: of a registered stage.
        epochs: passes over the training split, or rounds of what the stage does.
        lr: learning rate.
        arguments: passed to the stage.
    """

    name: str
    epochs: int = 10
    lr: float = 1e-3
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """A further task that the network learns beside the expression (multitask learning).

    Attributes:
        task: `points` (68 key points), `pose` (roll and yaw), `votes` (the taggers' votes), or `identity` (who it is).
        weight: factor of its loss in the sum.
    """

    task: str
    weight: float = 0.1


@dataclass(frozen=True)
class Paper:
    """The figure that this run stands beside in the tables.

    Attributes:
        source: authors, year, table.
        figure: accuracy in percent.
        warning: why the figure may not be comparable, if it may not.
    """

    source: str = ""
    figure: float = 0.0
    warning: str = ""


@dataclass(frozen=True)
class Distill:
    """Learn from a trained network's scores as well (Hinton et al., 2015).

    Attributes:
        teachers: folders of finished runs, relative to the run folder's parent; their scores are averaged.
        weight: share of the teachers' scores in the target, in [0, 1].
        per_view: ask the teachers about each augmented view, instead of once about each face and its mirror image.
    """

    teachers: tuple[str, ...] = ()
    weight: float = 0.5
    per_view: bool = False


@dataclass(frozen=True)
class Ensemble:
    """Finished runs that answer together; none of their weights is trained any more (network `ensemble`).

    Attributes:
        members: names of finished runs in the same folder of runs, which saw the same training faces.
        rule: `mean` of their scores, of their `logits`, `majority` of their votes, mean with learnt `weights`, or
            logistic regression on their `features`.
    """

    members: tuple[str, ...] = ()
    rule: str = "mean"


@dataclass(frozen=True)
class Fusion:
    """Finished runs over one or several modalities that answer together (in place of a network: `model = "fusion"`).

    Attributes:
        members: names of finished runs in the same folder of runs, which saw the same rows of the same data.
        rule: a registered fusion; what it learns, it learns from validation rows, or from training rows' features.
        arguments: passed to the fusion.
    """

    members: tuple[str, ...] = ()
    rule: str = "mean"
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Clips:
    """How a network over clips sees them.

    Attributes:
        frames: T, spread evenly over each clip; in training each is drawn from around its place.
        order: `time`, or `shuffled`: the control that tells whether the order of the frames says anything.
        until: take frames up to the `end` of the clip or up to its `peak`.
        embed: weights (in the package, or a path to an .onnx file) that read each frame before, so that the network
            sees what they say in place of the pixels; empty gives it the pixels.
        reads: what they say: `embeddings`, or `scores`, as their logarithms. A network over scores can be exported for
            `mien analyze --sequence`, for scores are what every table of faces holds.
    """

    frames: int = 16
    order: str = "time"
    until: str = "end"
    embed: str = ""
    reads: str = "embeddings"


@dataclass(frozen=True)
class Modalities:
    """How a network over several modalities is trained and tested (table `[streams]`).

    Attributes:
        standardise: features are brought to mean 0 and deviation 1, by the training rows; kept with the weights.
        longest: steps of features over time; of longer samples the middle is taken. 0 takes as many as the longest has.
        dropout: probability that a modality is hidden from a training row; one of those that are there always stays.
        noise: standard deviation of noise added in training, in standard deviations of each feature.
        time_mask: largest share of the steps of a training row that is hidden, as one stretch.
        missing: also test with each modality absent, and with each taken from another row (more than one modality).
    """

    standardise: bool = True
    longest: int = 0
    dropout: float = 0.0
    noise: float = 0.0
    time_mask: float = 0.0
    missing: bool = True


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        name: of the run and of the weights it makes.
        model: name of a registered network.
        arguments: passed to the network's constructor.
        dataset: name of a registered data set.
        target: a column of the data set to learn in place of the expression, such as `genuine`: yes or no, or texts.
        dimensions: columns of numbers to learn in place of classes, such as `valence` and `arousal`; with the losses
            `ccc` or `mse`. What is reported is the concordance correlation coefficient.
        protocol: `official` split, `kfold` by person, or `loso` (leave one subject out).
        folds: of `kfold`.
        colour: train on RGB instead of grey.
        inputs: channels that the network reads, each a map of the face: `grey`, `lbp`, `gabor`, `gradient`, `angles`
            (the change of angles between key points, where the data set has it), or `run:NAME` (a cascade: where an
            earlier run looks and what it says). Empty gives the face as it is.
        head: further tasks, each a linear head on the embedding.
        epochs: passes over the training split that the learning rate's cosine spans.
        stop: leave off after this many epochs; 0 runs all.
        faces: train on so many of the training faces at most, drawn by the seed; 0 takes all.
        batch: faces per step.
        size: side of the training faces, pixels: at the start and in the last third, growing linearly between.
        labels: train on `votes` where the data set has them, or on the `majority` only.
        select: keep the weights of the epoch with the best validation `balanced` (mean of accuracy and UAR) or
            `accuracy`, or of the `last` one. Folds without validation rows always keep the last.
        oracle: also score the test rows after every epoch, and report, marked as such and never as the result, the
            figures of each fold's best epoch on them: what papers print that choose their epoch so.
        views: test-time views whose logits are averaged: `one`, `mirror`, or `ten` (five crops, mirrored too).
        least_votes: votes of fewer taggers than this are taken for slips and left out (2 in Barsoum et al.).
        second_opinion: how many votes FER2013's own label adds to the ten FER+ votes.
        balance: faces are drawn with a weight that grows with the rarity of their labels to this power, in [0, 1].
        tau: strength of the logit adjustment for rare classes (`soft-cross-entropy`).
        smoothing: label smoothing (`soft-cross-entropy`).
        loss: terms of the loss; by default `soft-cross-entropy` alone, which takes `tau` and `smoothing` from here.
        init: name of an earlier run, in the same folder of runs, whose last weights this one starts from, or empty.
            A head of another size starts anew.
        frozen: parameters whose names begin so are not trained by the loss; a stage may train them.
        stage: what is done before the first epoch, in this order.
        ensemble: the runs that a recipe of the network `ensemble` joins, and by what rule.
        fusion: the runs that a recipe of `model = "fusion"` joins, and by what fusion.
        clips: how a network over clips sees them.
        modalities: what a network over several modalities (or one that is not a face) is given, as the data set calls
            them, such as `audio`, `video` and `text`.
        features: modality -> the extractor that reads it, `name`, `name:what` (as `embed:mien-s`) or a table of `name`
            and options; by default `as-is`.
        streams: how several modalities are trained and tested.
    """

    name: str
    model: str
    arguments: dict[str, Any] = field(default_factory=dict)
    dataset: str = "ferplus"
    target: str = ""
    dimensions: tuple[str, ...] = ()
    protocol: str = "official"
    folds: int = 10
    colour: bool = False
    inputs: tuple[str, ...] = ()
    head: tuple[Head, ...] = ()
    seed: int = 1
    epochs: int = 40
    stop: int = 0
    faces: int = 0
    batch: int = 128
    size: tuple[int, ...] = (48, 48)
    labels: str = "votes"
    select: str = "balanced"
    oracle: bool = False
    views: str = "one"
    least_votes: int = 1
    second_opinion: float = 0.0
    balance: float = 0.0
    tau: float = 0.0
    smoothing: float = 0.0
    init: str = ""
    frozen: tuple[str, ...] = ()
    stage: tuple[Stage, ...] = ()
    loss: tuple[Term, ...] = (Term("soft-cross-entropy"),)
    optimiser: Optimiser = field(default_factory=Optimiser)
    augment: Augment = field(default_factory=Augment)
    distill: Distill = field(default_factory=Distill)
    ensemble: Ensemble = field(default_factory=Ensemble)
    fusion: Fusion = field(default_factory=Fusion)
    clips: Clips = field(default_factory=Clips)
    modalities: tuple[str, ...] = ()
    features: dict[str, Any] = field(default_factory=dict)
    streams: Modalities = field(default_factory=Modalities)
    paper: Paper = field(default_factory=Paper)

    def __post_init__(self) -> None:
        # runs lie in folders of these names
        for name in (self.name, self.init, *self.joins, *self.distill.teachers):
            if name and not NAME.fullmatch(name):
                raise RecipeError(f"{name!r} is no name for a run; use letters, digits, '.', '_', '+' and '-'")
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise RecipeError(f"{self.name}: {key} = {getattr(self, key)!r}; choose one of {', '.join(allowed)}")
        if self.ensemble.rule not in RULES:
            raise RecipeError(f"{self.name}: rule = {self.ensemble.rule!r}; choose one of {', '.join(RULES)}")
        for key, allowed in CLIP_CHOICES.items():
            if getattr(self.clips, key) not in allowed:
                found = getattr(self.clips, key)
                raise RecipeError(f"{self.name}: [clips] {key} = {found!r}; choose one of {', '.join(allowed)}")
        if self.clips.frames < 2:
            raise RecipeError(f"{self.name}: [clips] frames = {self.clips.frames}; a clip has two at least")
        if bool(self.ensemble.members) != (self.model == "ensemble"):
            raise RecipeError(f'{self.name}: [ensemble] members go with model = "ensemble", and with no other')
        if bool(self.fusion.members) != (self.model == "fusion"):
            raise RecipeError(f'{self.name}: [fusion] members go with model = "fusion", and with no other')
        self._check_streams()

    @property
    def joins(self) -> tuple[str, ...]:
        """The finished runs that it joins, as an ensemble or by a fusion; none where it trains a network."""
        return self.ensemble.members or self.fusion.members

    def _check_streams(self) -> None:
        if self.dimensions and (self.target or self.joins or self.oracle or self.distill.teachers or self.tau):
            raise RecipeError(f"{self.name}: dimensions are numbers; leave out target, members, oracle, teachers, tau")
        strange = sorted(self.features.keys() - set(self.modalities))
        if strange or len(set(self.modalities)) < len(self.modalities):
            raise RecipeError(
                f"{self.name}: [features] {', '.join(strange)}; modalities are {', '.join(self.modalities) or 'none'}, "
                "each named once"
            )
        for key in ("dropout", "time_mask"):
            if not 0 <= getattr(self.streams, key) < 1:
                raise RecipeError(f"{self.name}: [streams] {key} = {getattr(self.streams, key)}; it must lie in [0, 1)")
        if self.streams.noise < 0 or self.streams.longest < 0:
            raise RecipeError(f"{self.name}: [streams] noise and longest cannot be below 0")


NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
RULES = ("mean", "logits", "majority", "weights", "features")
CLIP_CHOICES = {"order": ("time", "shuffled"), "until": ("end", "peak"), "reads": ("embeddings", "scores")}
CHOICES = {
    "protocol": ("official", "kfold", "loso"),
    "labels": ("votes", "majority"),
    "select": ("balanced", "accuracy", "last"),
    "views": ("one", "mirror", "ten"),
}


def _build(kind: type[T], table: dict[str, Any], where: str) -> T:
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in hints:
            raise RecipeError(f"{where}: unknown key {key!r}; allowed are {', '.join(sorted(hints))}")
        expected = hints[key]
        if dataclasses.is_dataclass(expected):
            if not isinstance(value, dict):
                raise RecipeError(f"{where}: {key} must be a table [{key}]")
            values[key] = _build(typing.cast(type, expected), value, f"{where} [{key}]")
            continue
        values[key] = _convert(expected, value, f"{where}: {key}")
    required = {f.name for f in dataclasses.fields(kind) if f.default is f.default_factory}  # type: ignore[arg-type]
    missing = sorted(required - values.keys())
    if missing:
        raise RecipeError(f"{where}: {', '.join(missing)} missing")
    return kind(**values)


def _convert(expected: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(expected)
    if origin is tuple and isinstance(value, list):
        inner = typing.get_args(expected)[0]
        if dataclasses.is_dataclass(inner):
            if not all(isinstance(item, dict) for item in value):
                raise RecipeError(f"{where} must be tables [[{where.split(': ')[-1]}]]")
            return tuple(_build(typing.cast(type, inner), item, where) for item in value)
        return tuple(_convert(inner, item, where) for item in value)
    if origin is dict and isinstance(value, dict):
        return value
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is None and type(value) is expected:
        return value
    raise RecipeError(f"{where}: expected {getattr(expected, '__name__', expected)}, got {value!r}")


def read_record(run: Path) -> tuple[Recipe, str]:
    """The recipe that a run was trained by and the name of its fold, as its `run.json` says.

    Raises:
        WeightsError: there is no such record, or it cannot be read.
        RecipeError: the recipe has keys that this version does not know.
    """
    file = Path(run) / "run.json"
    if not file.is_file():
        if any(Path(run).glob("fold-*/run.json")):
            raise WeightsError(f"{run} has several folds; name one of them, such as {Path(run) / 'fold-01'}")
        raise WeightsError(f"{run} has no run.json; it is no finished run of `mien train`")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        table, fold = record["recipe"], str(record["protocol"]["fold"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{file} is not the record of a run ({error}); train that run again") from error
    return _build(Recipe, table, str(file)), fold


def recipes() -> list[str]:
    """Names of the recipes in the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe with another seed; its name, and those of the runs that it builds on, then end in `-seedN`.

    >>> with_seed(Recipe("b", "mini-s", init="a"), 2).init
    'a-seed2'
    """

    def named(name: str) -> str:
        return f"{name}-seed{seed}" if name and not re.search(r"-seed\d+$", name) else name

    teachers = tuple(named(name) for name in recipe.distill.teachers)
    distill = dataclasses.replace(recipe.distill, teachers=teachers)
    ensemble = dataclasses.replace(recipe.ensemble, members=tuple(named(name) for name in recipe.ensemble.members))
    fusion = dataclasses.replace(recipe.fusion, members=tuple(named(name) for name in recipe.fusion.members))
    inputs = tuple(f"run:{named(kind[4:])}" if kind.startswith("run:") else kind for kind in recipe.inputs)
    changes: dict[str, Any] = {"name": named(recipe.name), "init": named(recipe.init), "inputs": inputs}
    changes |= {"distill": distill, "ensemble": ensemble, "fusion": fusion}
    return dataclasses.replace(recipe, seed=seed, **changes)


def load_recipe(name: str | Path, /, **changes: Any) -> Recipe:
    """Read a recipe by name (one in the package) or by path; the key `base` names a recipe that it alters.

    Args:
        changes: fields that replace the file's, such as `epochs=2`, which stages then do not exceed either, or
                `faces=2000`, which then also stands in the run's name.

    Raises:
        RecipeError: no such recipe, an unknown key, or a value of the wrong type.
    """
    known = str(name).endswith(".toml") or str(name) in recipes()
    path = Path(name) if str(name).endswith(".toml") else FOLDER / f"{name}.toml"
    if not known or not _is_file(path):
        raise RecipeError(f"no recipe {str(name)!r}; in the package are {', '.join(recipes())}; or give a .toml file")
    try:
        table = _read(path)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecipeError(f"{path.name} is not TOML: {error}") from error
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from error
    recipe = dataclasses.replace(_build(Recipe, table, path.name), **changes)
    if "epochs" in changes and "stage" not in changes:
        short = tuple(dataclasses.replace(s, epochs=min(s.epochs, recipe.epochs)) for s in recipe.stage)
        recipe = dataclasses.replace(recipe, stage=short)
    if changes.get("faces"):
        # so that a full training does not go on from it
        recipe = dataclasses.replace(recipe, name=f"{recipe.name}-{changes['faces']}-faces")
    return recipe


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except ValueError:  # a NUL
        return False


def _read(path: Path, depth: int = 0) -> dict[str, Any]:
    """The tables of a recipe over those of the recipe that its key `base` names, in the same folder or the package."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    base = table.pop("base", None)
    if base is None:
        return table
    plain = isinstance(base, str) and NAME.fullmatch(base)
    found = [folder / f"{base}.toml" for folder in (path.parent, FOLDER) if plain and _is_file(folder / f"{base}.toml")]
    if not found or depth > 5:
        raise RecipeError(f"{path.name}: base = {base!r} is no recipe of {path.parent} or of the package")
    merged = _read(found[0], depth + 1)
    for key, value in table.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged
