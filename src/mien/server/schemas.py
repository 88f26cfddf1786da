"""What is asked for and answered, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field, JsonValue

FACE: dict[str, JsonValue] = {
    "time_s": None, "face": 0, "track": None, "x1": 173.2, "y1": 62.0, "x2": 271.9, "y2": 194.5, "detection": 0.999,
    "label": "happiness", "score": 0.981, "unsure": False, "p_anger": 0.001, "p_happiness": 0.981, "p_neutral": 0.012,
    "face_px": 99.0, "blur": 0.61, "brightness": 0.55, "roll": 2.1, "yaw": 0.1,
}  # fmt: skip
JOB: dict[str, JsonValue] = {
    "id": "Zk3vX0b1S9yQm2wLr8Tt5A", "state": "running", "created": "2026-11-21T10:00:00Z", "stage": "analysing",
    "frames": 120, "frames_expected": 750, "error": "", "files": [],
}  # fmt: skip
JobId = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{22}$", description="As `POST /v1/jobs` gave it.")]


class Choice(BaseModel):
    """Options of every analysis."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field("", max_length=100, description="Weights, one of `GET /v1/models`; the server's own by default.")
    detector: str = Field("", max_length=40, description="One of `GET /v1/models`; the first one there by default.")
    min_face: int = Field(24, ge=1, le=10_000, description="Leave out faces smaller than this, pixels.")


class PictureChoice(Choice):
    """Options of a picture."""

    anonymous: bool = Field(False, description="Hide the faces in the annotated copy.")


class JobChoice(Choice):
    """Options of a job; they mean what those of `mien analyze` mean."""

    every: int = Field(1, ge=1, le=100_000, description="Analyse every N-th frame.")
    format: Literal["csv", "jsonl"] = Field("csv", description="Of the rows: faces.csv or faces.jsonl.")
    smooth: float = Field(0.0, ge=0, le=3600, allow_inf_nan=False, description="Add smoothed scores; reach, seconds.")
    baseline: bool = Field(False, description="Add scores corrected for how each person looks at rest.")
    event_threshold: float = Field(0.5, gt=0, le=1, description="Smoothed score that an event's apex must reach.")
    event_min_seconds: float = Field(
        0.5, ge=0, le=3600, allow_inf_nan=False, description="Drop shorter events, seconds."
    )
    overlay: bool = Field(False, description="Make annotated copies.")
    anonymous: bool = Field(False, description="Hide the faces, not the voices, in the annotated copies.")
    plot: bool = Field(False, description="Draw a timeline per video, a chart of pictures.")
    report: bool = Field(False, description="Write report.html: the results as one page, without faces.")


class Face(BaseModel):
    """One face; `p_<label>` is the score of each label (docs/data-dictionary.md explains every field)."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [FACE]})

    time_s: float | None
    face: int
    track: int | None
    x1: float
    y1: float
    x2: float
    y2: float
    detection: float
    label: str
    score: float
    unsure: bool


class Analysis(BaseModel):
    """What a picture showed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"model": "mien-s", "labels": ["anger", "..."], "width": 512, "height": 512, "faces": [FACE]}]
        }
    )

    model: str
    labels: list[str]
    width: int
    height: int
    faces: list[Face]


class ResultFile(BaseModel):
    """A file that can be fetched."""

    name: str
    bytes: int


class JobView(BaseModel):
    """How a job stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [JOB]})

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    created: str
    finished: str | None = None
    removed: str | None = Field(default=None, description="When it and its results will be removed.")
    ahead: int | None = Field(default=None, description="Jobs that wait before it.")
    stage: str | None = None
    frames: int | None = None
    frames_expected: int | None = Field(default=None, description="By the files' headers; null if unstated.")
    error: str = Field("", description="Why it failed, or which files could not be analysed.")
    files: list[ResultFile] = []


class ModelFacts(BaseModel):
    """Weights that a request may name."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    parameters: int
    megabytes: float
    labels: list[str]
    trained_on: list[str]
    licence: str
    figures: dict[str, Any]


class Models(BaseModel):
    """What a request may name."""

    default: str
    detectors: list[str]
    models: list[ModelFacts]


class Problem(BaseModel):
    """Why there is no other answer, in one sentence."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "all workers are busy; try again later"}]})

    error: str


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Answers other than 200, for OpenAPI."""
    texts = {
        400: "the sender went away",
        401: "no token, or an unknown one",
        403: "a page of another site",
        404: "there is no such job or file",
        405: "not with this method",
        408: "the body came too slowly",
        409: "not in this state",
        413: "the body is too large",
        415: "a packed body",
        422: "something in the request or the file cannot be used; the sentence says what and how to mend it",
        429: "the line is full; Retry-After says when to come again",
        500: "a fault of the server",
        503: "the database does not answer",
        504: "the analysis took too long",
        507: "the server's disk is full",
    }
    found: dict[int | str, dict[str, Any]] = {s: {"model": Problem, "description": texts[s]} for s in statuses}
    if 429 in statuses:
        schema = {"type": "integer", "minimum": 1}
        found[429]["headers"] = {"Retry-After": {"description": "seconds", "schema": schema}}
    return found


def body(kinds: tuple[str, ...], many: bool) -> dict[str, Any]:
    """A request body that is a file, or a form with files."""
    binary = {"type": "string", "format": "binary"}
    file = {"type": "array", "items": binary, "minItems": 1} if many else binary
    form = {"type": "object", "properties": {"file": file}, "required": ["file"], "additionalProperties": False}
    content: dict[str, Any] = {"multipart/form-data": {"schema": form}}
    content |= {kind: {"schema": binary} for kind in (*kinds, "application/octet-stream")}
    return {"requestBody": {"required": True, "content": content}}
