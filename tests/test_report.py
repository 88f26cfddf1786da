"""Annotated copies and charts: what they keep, what they hide, what they survive."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mien.errors import InputError
from mien.labels import FERPLUS8 as LABELS
from mien.pipeline.sources import Source, read_picture
from mien.report.bins import Bins
from mien.report.draw import draw
from mien.report.hide import hide
from mien.report.overlay import LiveOverlay, overlay_picture, overlay_video
from mien.report.rows import Playback, faces_of
from mien.report.timeline import pictures_chart, timeline
from mien.table import Row
from mien.types import Faces, Frame, FrameResult

TIMES = (0, 40, 80, 200, 220, 260, 300, 500, 540, 580, 620, 660)  # ms: a variable frame rate
BOX = (20.0, 16.0, 60.0, 66.0)


def row(frame: int, *, track: int | None = 0, box: tuple[float, ...] = BOX, top: int = 4, **more: object) -> Row:
    scores = np.full(len(LABELS), 0.02)
    scores[top] = 0.86
    place = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
    base = {"source": "clip", "frame": frame, "time_s": frame / 25, "face": 0, "track": track, "detection": 0.9}
    verdict = {"label": LABELS[top], "score": 0.86, "unsure": False}
    return {**base, **place, **verdict, **{f"p_{k}": v for k, v in zip(LABELS, scores, strict=True)}, **more}


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)


def make_clip(
    path: Path, size: tuple[int, int] = (128, 96), *, rotation: int = 0, audio: str = "aac", seconds: float = 0.7
) -> Source:
    """Flat grey frames that brighten, at TIMES, with a tone."""
    with av.open(str(path), "w") as file:
        video = file.add_stream("mpeg4" if size[0] % 2 else "libx264", rate=25)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            video.set_display_rotation(rotation)
        sound: Any = file.add_stream(audio, rate=48000, layout="mono") if audio else None
        for i, ms in enumerate(TIMES):
            image = np.full((size[1], size[0], 3), 40 + 10 * i, np.uint8)
            image[: size[1] // 4, : size[0] // 4] = (250, 30, 30)  # red marks the top left corner
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = ms, Fraction(1, 1000)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if sound:
            for start in range(0, int(48000 * seconds), 960):
                wave = np.sin(np.arange(start, start + 960) * 0.06)[None].astype(np.float32) * 0.3
                tone = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
                tone.sample_rate, tone.pts, tone.time_base = 48000, start, Fraction(1, 48000)
                file.mux(sound.encode(tone))
            file.mux(sound.encode(None))
    return Source(str(path), "video")


def read_clip(path: Path | str) -> tuple[list[float], list[np.ndarray], float]:
    """Times and pictures of the frames, seconds of sound."""
    with av.open(str(path)) as file:
        frames = [(float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    sound = 0.0
    with av.open(str(path)) as file:
        if file.streams.audio:
            sound = sum(part.samples / part.sample_rate for part in file.decode(audio=0))
    return [time for time, _ in frames], [image for _, image in frames], sound


class TestDraw:
    def test_draws_on_a_copy(self) -> None:
        image = noise(96, 128)
        before = image.copy()
        faces, unsure = faces_of([row(0)], LABELS)
        drawn = draw(image, faces, LABELS, unsure)
        assert np.array_equal(image, before)
        assert np.abs(drawn.astype(int) - image).mean() > 2
        assert np.array_equal(drawn[35:50, 30:50], image[35:50, 30:50]), "the face itself stays free"

    @pytest.mark.parametrize("size", [(1, 1), (30, 40), (200, 150), (2160, 3840)])
    def test_any_size(self, size: tuple[int, int]) -> None:
        image = np.full((*size, 3), 128, np.uint8)
        box = (size[1] * -0.1, size[0] * 0.2, size[1] * 0.8, size[0] * 1.3)
        faces, unsure = faces_of([row(0, box=box), row(0, box=(5, 5, 5, 5)), row(0, unsure=True)], LABELS)
        assert draw(image, faces, LABELS, unsure).shape == image.shape

    def test_unsure_looks_different(self) -> None:
        image = np.full((360, 640, 3), 90, np.uint8)
        faces, _ = faces_of([row(0, box=(200, 100, 330, 260))], LABELS)
        sure, doubtful = (draw(image, faces, LABELS, np.array([flag])) for flag in (False, True))
        gaps = [(picture[150:230, 200] == 90).all(1).mean() for picture in (sure, doubtful)]
        assert gaps[0] == 0
        assert 0.15 < gaps[1] < 0.6, "the line of an unsure face is dashed"

    def test_crowd_without_scores_and_none(self) -> None:
        image = noise(200, 300)
        rows = [row(0, track=i, box=(x, y, x + 18, y + 22)) for i, (x, y) in enumerate(_grid())]
        faces, unsure = faces_of(rows, LABELS)
        assert draw(image, faces, LABELS, unsure).shape == image.shape
        bare = Faces(np.array([[20, 20, 80, 90]]), np.ones(1))
        assert not np.array_equal(draw(image, bare, (), np.array([False])), image)
        empty, unsure = faces_of([], LABELS)
        assert np.array_equal(draw(image, empty, LABELS, unsure), image)


def _grid() -> Iterator[tuple[int, int]]:
    return itertools.product(range(0, 280, 24), range(0, 170, 28))


class TestAnonymous:
    def test_face_is_gone(self) -> None:
        image = noise(96, 128)
        hidden = image.copy()
        hide(hidden, np.array([BOX]))
        before, after = (p[16:66, 20:60].astype(float).ravel() for p in (image, hidden))
        assert abs(np.corrcoef(before, after)[0, 1]) < 0.2
        assert np.array_equal(hidden[:3], image[:3]), "the rest of the picture stays"

    def test_no_more_than_36_cells_remain(self) -> None:
        """Two faces whose averages over the cells agree become the very same picture."""
        one = np.full((120, 120, 3), 100, np.uint8)
        other = one.copy()
        other[::2, ::2], other[1::2, 1::2] = 96, 104  # detail that averages out
        for image in (one, other):
            hide(image, np.array([[20, 20, 100, 100]]))
        assert np.array_equal(one[25:95, 25:95], other[25:95, 25:95])

    def test_the_whole_box_is_covered(self) -> None:
        image = noise(120, 120)
        hidden = image.copy()
        hide(hidden, np.array([[30, 30, 90, 90]]))
        smooth = np.abs(np.diff(hidden[30:90, 30:90].astype(int), axis=1)).max()
        assert smooth < 32

    def test_written_picture_has_no_trace(self, tmp_path: Path) -> None:
        image = noise(96, 128, 3)
        cv2.imwrite(str(tmp_path / "in.png"), image[..., ::-1])
        overlay_picture(tmp_path / "in.png", [row(0)], LABELS, tmp_path / "out.png", anonymous=True)
        drawn = read_picture(tmp_path / "out.png")
        same = (drawn[16:66, 20:60] == image[16:66, 20:60]).all(2).mean()
        assert same < 0.01
        assert not list(tmp_path.glob("*.part"))

    def test_missed_frames_and_pauses_are_hidden(self) -> None:
        moved = (40.0, 16.0, 80.0, 66.0)
        playback = Playback([row(0), row(4, box=moved)], LABELS)
        assert len(playback.at(0).hidden) == 0
        between = playback.at(2)
        assert len(between.faces) == 0
        assert between.hidden.tolist() == [[20.0, 16.0, 80.0, 66.0]]
        assert playback.at(9).hidden.tolist() == [list(moved)]
        assert len(playback.at(30).hidden) == 0

    def test_a_lost_face_stays_hidden_in_the_video(self, tmp_path: Path) -> None:
        source = make_clip(tmp_path / "in.mp4", audio="")
        corner = (0.0, 0.0, 32.0, 24.0)
        rows = [row(i, box=corner) for i in (0, 1, 5, 6)]
        overlay_video(source, rows, LABELS, tmp_path / "out.mp4", anonymous=True)
        _, original, _ = read_clip(source.name)
        _, pictures, _ = read_clip(tmp_path / "out.mp4")
        edges = [np.abs(np.diff(p[2:20, :, 0].astype(int), axis=1)).max() for p in (original[3], pictures[3])]
        assert edges[0] > 100 > 60 > edges[1], "the sharp edge of the red corner is gone on a frame without a row"


class TestPlayback:
    def test_rows_stay_until_the_next_analysed_frame(self) -> None:
        playback = Playback([row(0), row(3, top=0), row(9)], LABELS, every=3)
        tops = [[int(s.argmax()) for s in playback.at(i).faces.scores] for i in range(12)]
        assert tops == [[4]] * 3 + [[0]] * 3 + [[]] * 3 + [[4]] * 3

    def test_rows_are_read_as_needed(self) -> None:
        taken = 0

        def endless() -> Iterator[Row]:
            nonlocal taken
            for taken in itertools.count():
                yield row(taken)

        playback = Playback(endless(), LABELS)
        for index in range(200):
            assert len(playback.at(index).faces) == 1
        assert taken < 230
        assert len(playback._near) < 40

    def test_faces_of_keeps_what_the_row_says(self) -> None:
        faces, unsure = faces_of([row(0, track=None), row(0, track=7, unsure=True)], LABELS)
        assert faces.track.tolist() == [-1, 7]
        assert unsure.tolist() == [False, True]
        assert faces.box[0].tolist() == list(BOX)
        assert faces.scores.shape == (2, 8)


class TestVideo:
    @pytest.mark.parametrize("audio", ["aac", "mp3", "pcm_s16le", ""])
    def test_frames_times_and_sound_stay(self, tmp_path: Path, audio: str) -> None:
        source = make_clip(tmp_path / "in.mkv", audio=audio)
        count = overlay_video(source, (row(i) for i in range(12)), LABELS, tmp_path / "out.mp4")
        times, pictures, sound = read_clip(tmp_path / "out.mp4")
        before, originals, tone = read_clip(source.name)
        assert count == len(pictures) == len(TIMES)
        assert times == pytest.approx([ms / 1000 for ms in TIMES], abs=1e-4)
        assert times == pytest.approx(before, abs=1e-4)
        assert sound == pytest.approx(tone, abs=0.06)
        for picture, original in zip(pictures, originals, strict=True):
            assert abs(int(picture[90, 120, 0]) - int(original[90, 120, 0])) < 6, "each frame at its place"
        assert np.abs(pictures[5][14:70, 15:66].astype(int) - originals[5][14:70, 15:66]).mean() > 5
        assert not list(tmp_path.glob("*.part"))

    def test_colours_stay(self, tmp_path: Path) -> None:
        source = make_clip(tmp_path / "in.mp4", audio="")
        overlay_video(source, [], LABELS, tmp_path / "out.mp4")
        (_, before, _), (_, after, _) = read_clip(source.name), read_clip(tmp_path / "out.mp4")
        assert np.abs(before[0][5:15, 5:20].astype(int).mean((0, 1)) - after[0][5:15, 5:20].mean((0, 1))).max() < 5

    @pytest.mark.parametrize("rotation", [90, 180, 270])
    def test_rotated_video_stands_upright(self, tmp_path: Path, rotation: int) -> None:
        source = make_clip(tmp_path / "in.mp4", rotation=rotation)
        overlay_video(source, [], LABELS, tmp_path / "out.mp4")
        _, pictures, _ = read_clip(tmp_path / "out.mp4")
        with av.open(source.name) as file:
            frame = next(file.decode(video=0))
        upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
        assert pictures[0].shape == upright.shape
        assert np.abs(pictures[0].astype(int) - upright).mean() < 6, "the red corner is where a player shows it"

    def test_odd_size_is_cropped(self, tmp_path: Path) -> None:
        source = make_clip(tmp_path / "in.avi", (129, 97), audio="")
        assert overlay_video(source, [row(0)], LABELS, tmp_path / "out.mp4") > 0
        assert read_clip(tmp_path / "out.mp4")[1][0].shape == (96, 128, 3)

    def test_damage_midway_keeps_the_start(self, tmp_path: Path) -> None:
        source = make_clip(tmp_path / "in.mkv", seconds=0.3)
        data = Path(source.name).read_bytes()
        Path(source.name).write_bytes(data[: len(data) // 2])
        count = overlay_video(source, [row(0)], LABELS, tmp_path / "out.mp4")
        assert 0 < count < len(TIMES)
        assert len(read_clip(tmp_path / "out.mp4")[1]) == count

    def test_unreadable_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "in.mp4").write_bytes(b"no video at all" * 50)
        with pytest.raises(InputError, match=r"in\.mp4"):
            overlay_video(Source(str(tmp_path / "in.mp4"), "video"), [], LABELS, tmp_path / "out.mp4")
        assert [p.name for p in tmp_path.iterdir()] == ["in.mp4"]

    def test_live(self, tmp_path: Path) -> None:
        live = LiveOverlay(tmp_path / "out.mp4", LABELS, anonymous=False, fps=10)
        faces, unsure = faces_of([row(0)], LABELS)
        for i, time_s in enumerate((0.0, 0.1, 0.1, 0.45)):
            live.add(FrameResult(Frame(noise(96, 128), i, time_s, "camera"), faces, LABELS, unsure))
        live.close()
        live.close()
        assert read_clip(tmp_path / "out.mp4")[0] == pytest.approx([0.0, 0.1, 0.101, 0.45], abs=1e-3)
        LiveOverlay(tmp_path / "none.mp4", LABELS, anonymous=False).close()
        assert not (tmp_path / "none.mp4").exists()


def recording(frames: int, tracks: int = 1, fps: float = 25, gap: range = range(0)) -> Iterator[Row]:
    for i in range(frames):
        for track in range(tracks):
            if i not in gap and (track == 0 or i % (track + 1) == 0):
                yield row(i, track=track, top=(i // 20 + track) % 8, time_s=i / fps, unsure=i % 50 < 10)


def coloured(path: Path) -> np.ndarray:
    """Where a chart is not grey or white: bool [H, W]."""
    image = read_picture(path).astype(int)
    seen: np.ndarray = image.max(2) - image.min(2) > 40
    return seen


class TestTimeline:
    @pytest.mark.parametrize("frames", [0, 1, 2, 100])
    def test_any_length(self, tmp_path: Path, frames: int) -> None:
        timeline(recording(frames), LABELS, tmp_path / "t.png", title="clip", unsure_below=0.45)
        assert coloured(tmp_path / "t.png")[160:].any() == (frames > 0)

    def test_gap_stays_empty(self, tmp_path: Path) -> None:
        timeline(recording(500, gap=range(200, 300)), LABELS, tmp_path / "gap.png", title="", unsure_below=0.45)
        timeline(recording(500), LABELS, tmp_path / "full.png", title="", unsure_below=0.45)
        gap, full = (coloured(tmp_path / name)[200:] for name in ("gap.png", "full.png"))
        middle = slice(gap.shape[1] // 2 - 60, gap.shape[1] // 2 + 60)
        assert not gap[:, middle].any()
        assert full[:, middle].any()

    def test_many_people_and_no_track(self, tmp_path: Path) -> None:
        timeline(recording(60, tracks=30), LABELS, tmp_path / "many.png", title="crowd", unsure_below=None)
        timeline((r | {"track": None} for r in recording(60)), LABELS, tmp_path / "one.pdf", title="", unsure_below=0.4)
        many, one = read_picture(tmp_path / "many.png"), (tmp_path / "one.pdf").read_bytes()
        assert many.shape[0] < 3000
        assert one.startswith(b"%PDF")

    def test_hours_are_averaged_without_loss(self) -> None:
        bins = Bins(LABELS, most=50)
        bins.add(recording(2000, tracks=2))
        first, second = bins.series(5)
        assert (first.track, second.track, first.rows, second.rows) == (0, 1, 2000, 1000)
        assert 25 <= len(first.time_s) <= 50
        assert np.all(np.diff(first.time_s) > 0)
        slow = np.mean([[r[f"p_{k}"] for k in LABELS] for r in recording(2000)], 0)
        counts = np.histogram([r["time_s"] for r in recording(2000)], np.arange(51) * bins.width_s)[0]
        assert np.allclose(np.average(first.scores, 0, counts[: len(first.time_s)]), slow)
        assert np.isfinite(first.scores).all()

    def test_very_many_tracks_are_counted_not_kept(self) -> None:
        bins = Bins(LABELS)
        bins.add(row(i, track=0 if i % 2 else i) for i in range(2400))
        assert bins.people == 1200
        assert len(bins._tracks) <= 400
        assert bins.series(1)[0].track == 0

    def test_missing_scores_are_no_nan(self, tmp_path: Path) -> None:
        timeline([row(i, p_fear=None) for i in range(5)], LABELS, tmp_path / "t.png", title="", unsure_below=0.4)
        assert coloured(tmp_path / "t.png").any()

    def test_pictures_chart(self, tmp_path: Path) -> None:
        more: Any = ({"source": f"{'long_' * 20}{i // 2}.jpg", "face": i % 2, "unsure": i % 3 == 0} for i in range(60))
        rows = [row(0, time_s=None, **some) for some in more]
        for name, some in (("none", []), ("one", rows[:1]), ("sixty", rows)):
            pictures_chart(iter(some), LABELS, tmp_path / f"{name}.png")
        none, one, sixty = (coloured(tmp_path / f"{name}.png") for name in ("none", "one", "sixty"))
        assert not none[150:].any()
        assert one[150:].any()
        assert one.shape[0] < sixty.shape[0] < 2500

    def test_no_global_state(self, tmp_path: Path) -> None:
        import matplotlib

        before = dict(matplotlib.rcParams)
        timeline(recording(5), LABELS, tmp_path / "t.png", title="", unsure_below=0.4)
        assert dict(matplotlib.rcParams) == before
