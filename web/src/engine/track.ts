/** Who is who over time: by place, motion and looks, as the Python package follows people. */

import { type Box } from "./faces";
import { type Picture, part, resize } from "./image";

interface Track {
  id: number;
  box: Box;
  velocity: [number, number];
  looks: Float32Array;
  seen: number;
  missed: number;
  hidden: boolean;
}

const [MOVED, LOOKS, LIMIT] = [1, 2.5, 1.6];
/** Seconds: how long an absent person is remembered, and how long a motion is believed. */
const [MEMORY, BELIEVED] = [5, 2];
/** Face sides between the centres of a lost face and one that may hide it. */
const NEAR = 2;
/** Most difference in looks of who comes back: of who was hidden, and of who left. */
const [HIDDEN, LEFT] = [0.25, 0.08];
const PATCH = 24;

/** Hue (of 180), saturation and value (of 256) of one pixel. */
function hsv(r: number, g: number, b: number): [number, number, number] {
  const most = Math.max(r, g, b);
  const range = most - Math.min(r, g, b);
  if (!range) return [0, 0, most];
  const sector = most === r ? (g - b) / range : most === g ? 2 + (b - r) / range : 4 + (r - g) / range;
  return [((sector * 30 + 180) % 180) | 0, Math.round((255 * range) / most), most];
}

/** Looks of a person: hue and saturation of the head and of what is worn below it; of unit length. */
export function describe(picture: Picture, [x1, y1, x2, y2]: Box): Float32Array {
  const [w, h] = [x2 - x1, y2 - y1];
  const regions: Box[] = [
    [x1 - 0.1 * w, y1 - 0.4 * h, x2 + 0.1 * w, y2],
    [x1 - 0.2 * w, y2, x2 + 0.2 * w, y2 + 0.8 * h],
  ];
  const looks = new Float32Array(2 * 72);
  regions.forEach(([left, top, right, bottom], region) => {
    const hold = (v: number, low: number, high: number): number => Math.trunc(Math.min(Math.max(v, low), high));
    const [a, b] = [hold(left, 0, picture.width - 1), hold(right, 1, picture.width)];
    const [c, d] = [hold(top, 0, picture.height - 1), hold(bottom, 1, picture.height)];
    if (b - a < 2 || d - c < 2) return;
    const patch = resize(part(picture, a, c, b - a, d - c), PATCH, PATCH).data;
    for (let i = 0; i < patch.length; i += 3) {
      const [hue, saturation, value] = hsv(patch[i], patch[i + 1], patch[i + 2]);
      looks[72 * region + 8 * Math.min(7, Math.floor((hue * 8) / 180)) + (saturation >> 5)]++;
      looks[72 * region + 64 + (value >> 5)]++;
    }
  });
  const values = looks.map((count) => Math.sqrt(count / (PATCH * PATCH)));
  return unit(values);
}

function unit(values: Float32Array): Float32Array {
  const length = Math.max(Math.sqrt(values.reduce((sum, v) => sum + v * v, 0)), 1e-6);
  return values.map((v) => v / length);
}

const centreOf = (box: Box): [number, number] => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
const sideOf = (box: Box): number => Math.max((box[2] - box[0] + box[3] - box[1]) / 2, 1);

/** From where the person should be by now to the middle of a box, pixels; the motion is believed less and less. */
function distance(track: Track, box: Box, time: number): number {
  const ahead = BELIEVED * (1 - Math.exp(-Math.max(time - track.seen, 0) / BELIEVED));
  const [[x, y], [ox, oy]] = [centreOf(box), centreOf(track.box)];
  return Math.hypot(x - ox - track.velocity[0] * ahead, y - oy - track.velocity[1] * ahead);
}

/**
 * Gives each face the number of its person; someone away for at most `memory` seconds gets the old one back. Who was
 * lost beside another face was probably hidden by it; of who left, closer looks are asked.
 */
export class Tracker {
  private tracks: Track[] = [];
  private next = 0;

  constructor(private readonly memory = MEMORY) {}

  /** A number for each box; frames must come in order of time (seconds). */
  follow(picture: Picture, boxes: Box[], time: number): number[] {
    this.tracks = this.tracks.filter((track) => time - track.seen <= this.memory);
    const looks = boxes.map((box) => describe(picture, box));
    const ids: number[] = boxes.map(() => -1);
    for (const [face, track] of this.match(boxes, looks, time)) {
      update(track, boxes[face], looks[face], time);
      ids[face] = track.id;
    }
    for (const track of this.tracks) {
      if (ids.includes(track.id)) continue;
      if (!track.missed) {
        const own = sideOf(track.box);
        track.hidden = boxes.some((box) => distance(track, box, time) < NEAR * Math.max(own, sideOf(box)));
      }
      track.missed++;
    }
    boxes.forEach((box, face) => {
      if (ids[face] >= 0) return;
      const fresh = { id: this.next, box, looks: looks[face], seen: time, missed: 0, hidden: false };
      this.tracks.push({ ...fresh, velocity: [0, 0] });
      ids[face] = this.next++;
    });
    return ids;
  }

  private match(boxes: Box[], looks: Float32Array[], time: number): [number, Track][] {
    const pairs = this.tracks.flatMap((track) =>
      boxes.map((box, face) => ({ face, track, cost: costOf(track, box, looks[face], time) })),
    );
    pairs.sort((a, b) => a.cost - b.cost);
    const [faces, tracks] = [new Set<number>(), new Set<Track>()];
    const chosen: [number, Track][] = [];
    for (const { face, track, cost } of pairs) {
      if (cost > LIMIT) break;
      if (faces.has(face) || tracks.has(track)) continue;
      faces.add(face);
      tracks.add(track);
      chosen.push([face, track]);
    }
    return chosen;
  }
}

function costOf(track: Track, box: Box, looks: Float32Array, time: number): number {
  const gone = Math.max(time - track.seen, 0);
  const [own, other] = [sideOf(track.box), sideOf(box)];
  const away = distance(track, box, time) / Math.sqrt(own * other);
  const grown = Math.abs(Math.log(other / own));
  const unlike = 1 - track.looks.reduce((sum, v, i) => sum + v * looks[i], 0);
  if (away > 1.2 + 6 * gone || grown > 0.8) return Infinity;
  // a person who was away comes back by looks alone, so those must agree
  if (track.missed && gone > 0.5 && unlike > (track.hidden ? HIDDEN : LEFT)) return Infinity;
  return (MOVED * away) / (1 + 3 * gone) + 0.5 * grown + LOOKS * unlike;
}

function update(track: Track, box: Box, looks: Float32Array, time: number): void {
  const passed = time - track.seen;
  if (passed > 0 && passed <= 0.5) {
    const share = 1 - 0.8 ** (25 * passed);
    for (const axis of [0, 1] as const) {
      const moved = (box[axis] + box[axis + 2] - track.box[axis] - track.box[axis + 2]) / 2 / passed;
      track.velocity[axis] = (1 - share) * track.velocity[axis] + share * moved;
    }
  } else track.velocity = [0, 0];
  track.looks = unit(track.looks.map((v, i) => 0.9 * v + 0.1 * looks[i]));
  track.box = box;
  track.seen = time;
  track.missed = 0;
  track.hidden = false;
}
