"""The tracker on made clips whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mien.faces.identity import Identity
from mien.faces.overlap import iou
from mien.faces.track import Cuts, Tracker, describe
from mien.types import Faces

SIZE = (360, 640)
# shirts and heads; the fourth person looks like the first, the fifth differs from the first by the light on the head
COLOURS = ((200, 40, 40), (40, 180, 60), (50, 60, 210), (200, 40, 40), (200, 40, 40))
HEADS = ((190, 150, 130), (160, 150, 130), (130, 150, 130), (190, 150, 130), (120, 95, 82))


def picture(people: list[tuple[int, float, float]]) -> tuple[np.ndarray, Faces]:
    """A frame with people (number, x, y): a grey head over a coloured shirt; later ones hide earlier ones."""
    image = np.full((*SIZE, 3), 128, np.uint8)
    boxes = []
    for person, x, y in people:
        x1, y1 = int(x) - 30, int(y) - 40
        image[max(0, y1 + 80) : y1 + 180, max(0, x1 - 20) : max(0, x1 + 80)] = COLOURS[person]
        image[max(0, y1) : y1 + 80, max(0, x1) : max(0, x1 + 60)] = HEADS[person]
        boxes.append((x1, y1, x1 + 60, y1 + 80))
    return image, Faces(np.array(boxes, float).reshape(-1, 4), np.ones(len(boxes)))


def follow(frames: list[list[tuple[int, float, float]]], tracker: Tracker | None = None) -> list[dict[int, int]]:
    """Track of each person in each frame."""
    tracker = tracker or Tracker()
    result = []
    for index, people in enumerate(frames):
        image, faces = picture(people)
        tracks = tracker(image, faces, index / 25).track
        result.append({person: int(track) for (person, _, _), track in zip(people, tracks, strict=True)})
    return result


def switches(seen: list[dict[int, int]]) -> int:
    """How often a person's track changes."""
    last: dict[int, int] = {}
    count = 0
    for frame in seen:
        for person, track in frame.items():
            count += last.get(person, track) != track
            last[person] = track
    return count


@pytest.mark.parametrize(("other", "speed", "hidden"), [(1, 4, 36), (3, 3, 140)], ids=["briefly", "alike, two seconds"])
def test_two_people_cross_without_a_switch(other: int, speed: int, hidden: int) -> None:
    frames = []
    for t in range(400 // speed):
        left, right = 100 + speed * t, 500 - speed * t
        people = [(0, left, 120.0), (other, right, 124.0)]
        # the one behind is not detected while hidden
        frames.append([people[1]] if abs(left - right) < hidden else people)
    assert switches(follow(frames)) == 0


@pytest.mark.parametrize(("beside", "same"), [(True, True), (False, False)])
def test_who_was_hidden_may_look_less_the_same_than_who_left(beside: bool, same: bool) -> None:
    """A look-alike after a second: the same person, half lit, behind somebody; or somebody else where one left."""
    image, faces = picture([(0, 200.0, 120.0)])
    other, _ = picture([(4, 200.0, 120.0)])
    unlike = 1 - float(describe(image, faces.box[0]) @ describe(other, faces.box[0]))
    assert Tracker.LEFT < unlike < Tracker.HIDDEN
    # the other one stands in front, or far away
    front = (1, 290.0 if beside else 560.0, 120.0)
    seen = follow([[(0, 200.0, 120.0), front]] * 20 + [[front]] * 25 + [[front, (4, 200.0, 120.0)]] * 5)
    assert (seen[0][0] == seen[-1][4]) is same


def test_three_people_wander_without_a_switch() -> None:
    random = np.random.default_rng(3)
    x = np.array([100.0, 320.0, 540.0])
    speed = np.array([3.0, -2.0, -3.5])
    frames = []
    for _ in range(250):
        speed = np.where((x < 60) | (x > 580), -speed, speed) + random.normal(0, 0.1, 3)
        x = np.clip(x + speed, 55, 585)
        shaking = random.normal(0, 1.5, (3, 2))
        people = [(p, x[p] + shaking[p, 0], 120 + shaking[p, 1]) for p in range(3)]
        visible = [p for p in people if not any(q[0] > p[0] and abs(q[1] - p[1]) < 35 for q in people)]
        frames.append([p for p in visible if random.random() > 0.03])
    assert switches(follow(frames)) == 0


@pytest.mark.parametrize(("away", "same"), [(10, True), (40, True), (120, True), (140, False)])
def test_a_face_that_comes_back_within_five_seconds_keeps_its_track(away: int, same: bool) -> None:
    here: list[tuple[int, float, float]] = [(0, 200.0, 120.0)]
    seen = follow([here] * 20 + [[]] * away + [here] * 20)
    assert (seen[0][0] == seen[-1][0]) is same


def test_frames_half_a_second_apart_keep_a_changing_person() -> None:
    tracker, tracks = Tracker(), []
    for index in range(8):
        image, faces = picture([(0, 200.0 + 8 * index, 120.0)])
        light = image if index % 2 else (image * 0.45).astype(np.uint8)  # a flickering lamp changes the looks
        tracks.append(int(tracker(light, faces, index * 0.501).track[0]))
    assert set(tracks) == {0}


def test_another_person_at_the_same_place_gets_a_new_track() -> None:
    seen = follow([[(0, 200.0, 120.0)]] * 20 + [[]] * 30 + [[(2, 200.0, 120.0)]] * 5)
    assert seen[0][0] != seen[-1][2]


def test_many_faces_keep_their_tracks() -> None:
    people = [(n % 3, 40.0 + 62 * (n % 10), 60.0 + 90 * (n // 10)) for n in range(30)]
    image, faces = picture(people)
    tracker = Tracker()
    first = tracker(image, faces, 0.0).track
    second = tracker(image, faces, 0.04).track
    assert first.tolist() == second.tolist() == list(range(30))


def test_state_goes_through_json() -> None:
    frames: list[list[tuple[int, float, float]]] = [[(0, 100.0 + t, 120.0), (1, 400.0 - t, 120.0)] for t in range(40)]
    tracker = Tracker()
    follow(frames[:20], tracker)
    again = Tracker()
    again.restore(json.loads(json.dumps(tracker.state())))
    image, faces = picture(frames[20])
    assert again(image, faces, 0.8).track.tolist() == tracker(image, faces, 0.8).track.tolist()


def test_iou_agrees_with_counting_pixels() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        a, b = (np.sort(random.integers(0, 30, (2, 2)), axis=0).ravel() for _ in range(2))
        masks = []
        for x1, y1, x2, y2 in (a, b):
            mask = np.zeros((30, 30), bool)
            mask[y1:y2, x1:x2] = True
            masks.append(mask)
        union = (masks[0] | masks[1]).sum()
        expected = (masks[0] & masks[1]).sum() / union if union else 0.0
        assert iou(a[None].astype(float), b[None].astype(float))[0, 0] == pytest.approx(expected)


class ByHead(Identity):
    """Tells people by the colour of their heads."""

    def __init__(self) -> None:
        super().__init__()
        self.described = 0

    def crops(self, image: np.ndarray, faces: Faces, detector: str) -> list[np.ndarray | None]:
        corners = faces.box.astype(int)
        return [image[y1 + 20 : y2 - 20, x1 + 10 : x2 - 10] if x2 - x1 >= 32 else None for x1, y1, x2, y2 in corners]

    def describe(self, crops: list[np.ndarray]) -> np.ndarray:
        self.described += len(crops)
        return np.stack([crop.mean((0, 1)) / 50 for crop in crops]).astype(np.float32)


def room(number: int, people: list[tuple[int, float, float]]) -> tuple[np.ndarray, Faces]:
    """People before the wall of a room."""
    image, faces = picture(people)
    wall = np.random.default_rng(number).integers(60, 200, (4, 6, 3), np.uint8).repeat(90, 0).repeat(107, 1)
    return np.where((image == 128).all(2, keepdims=True), wall[: SIZE[0], : SIZE[1]], image), faces


def shots(tracker: Tracker, *scenes: tuple[int, list[tuple[int, float, float]]]) -> list[list[int]]:
    """Tracks at the end of each shot of ten frames."""
    tracks, time_s = [], 0.0
    for number, people in scenes:
        for _ in range(10):
            found = tracker(*room(number, people), time_s).track
            time_s += 0.04
        tracks.append(found.tolist())
    return tracks


def test_a_cut_to_somebody_else_at_the_same_place_gives_a_new_track_and_back_the_old_one() -> None:
    here = 300.0, 150.0
    scenes = [(1, [(0, *here)]), (2, [(4, *here)]), (1, [(0, *here)]), (2, [(4, *here)])]
    assert shots(Tracker(identity=ByHead()), *scenes) == [[0], [1], [0], [1]]
    assert shots(Tracker(), *scenes)[:2] == [[0], [0]]  # by place and looks alone they are one


def test_after_a_cut_places_say_nothing() -> None:
    """Two people who change places in the next shot, and one of whom is then seen alone, far from both places."""
    scenes = [(1, [(0, 150.0, 150.0), (2, 450.0, 150.0)]), (2, [(2, 150.0, 150.0), (0, 450.0, 150.0)])]
    assert shots(Tracker(identity=ByHead()), *scenes, (3, [(2, 580.0, 60.0)])) == [[0, 1], [1, 0], [1]]


def test_a_look_alike_at_the_place_of_who_left_is_told_by_the_face() -> None:
    tracker = Tracker(identity=ByHead())
    for index in range(60):
        people = [] if 20 <= index < 45 else [(0 if index < 20 else 4, 200.0, 120.0)]
        tracks = tracker(*picture(people), index / 25).track
    assert tracks.tolist() == [1]


def test_faces_are_not_compared_where_nothing_is_in_doubt() -> None:
    identity = ByHead()
    tracker = Tracker(identity=identity)
    for index in range(100):
        tracker(*room(1, [(0, 100.0 + index, 120.0), (1, 400.0, 140.0)]), index / 25)
    assert identity.described == 0


def test_small_faces_go_by_place_and_looks() -> None:
    tracker, tracks = Tracker(identity=ByHead()), []
    for number in (1, 1, 2, 2):
        image, _ = room(number, [(0, 200.0, 120.0)])
        small = Faces(np.array([[200.0, 120.0, 220.0, 145.0]]), np.ones(1))
        tracks += tracker(image, small, 0.04 * len(tracks)).track.tolist()
    assert tracks == [0, 0, 0, 0]


@pytest.mark.parametrize(("remember", "same"), [(2.0, False), (20.0, True)])
def test_how_long_somebody_is_remembered_is_the_users_choice(remember: float, same: bool) -> None:
    tracker = Tracker(remember, ByHead())
    for index in range(20):
        tracker(*picture([(0, 200.0, 120.0)]), index / 25)
    tracker(*picture([]), 1.0)
    assert (tracker(*picture([(0, 460.0, 150.0)]), 11.0).track.tolist() == [0]) is same


def test_the_state_holds_no_face() -> None:
    tracker = Tracker(identity=ByHead())
    shots(tracker, (1, [(0, 300.0, 150.0)]), (2, [(1, 300.0, 150.0)]))
    again = Tracker(identity=ByHead())
    again.restore(json.loads(json.dumps(tracker.state())))
    assert not any(track.crops or track.known is not None for track in again._tracks)
    assert set(tracker.state()["cuts"]) == {"usual"}
    assert set(tracker.state()["tracks"][0]) == {"id", "box", "velocity", "looks", "seen_s", "missed", "hidden", "cut"}


def test_cuts_are_found_and_movement_and_light_are_none() -> None:
    wall = np.random.default_rng(0).integers(0, 255, (9, 40, 3), np.uint8).repeat(40, 0).repeat(40, 1)
    pan = [wall[:, 4 * t : 4 * t + 640] for t in range(50)]
    cuts = Cuts()
    assert not any(cuts(image, t / 25) for t, image in enumerate(pan))
    assert not cuts((pan[-1] * 0.4).astype(np.uint8), 2.0)
    assert not cuts(np.zeros_like(pan[0]), 2.04)
    assert cuts(wall[:, 800:1440], 2.08)  # after a black frame
    assert not cuts(wall[:, 801:1441], 2.12)
    assert not cuts(wall[:, 200:840], 4.0)  # too long after to say


def test_a_wild_scene_is_no_row_of_cuts() -> None:
    random = np.random.default_rng(0)
    base = random.integers(0, 255, (9, 16, 3), np.uint8).repeat(40, 0).repeat(40, 1).astype(np.int16)
    cuts, found = Cuts(), []
    for t in range(60):
        shaken = base + random.integers(-90, 91, (9, 16, 1)).repeat(40, 0).repeat(40, 1)
        found.append(cuts(np.clip(base if t < 20 else shaken, 0, 255).astype(np.uint8), t / 25))
    assert found[20] == 2
    assert not any(found[-20:])
