/** How well a face can be read: the same figures as the columns of faces.csv. */

import { type Box, type Point, fivePoints } from "./faces";
import { type Picture, toGrey } from "./image";

export interface Quality {
  face_px: number;
  blur: number;
  brightness: number;
  roll: number;
  yaw: number;
}

function variance(values: Float64Array): number {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
}

export function quality(box: Box, points: Point[], crop: Picture): Quality {
  const { data, width, height } = toGrey(crop);
  const at = (x: number, y: number): number => data[y * width + x];
  // beyond the edge the picture is mirrored, the edge itself not repeated
  const fold = (i: number, n: number): number => (i < 0 ? -i : i >= n ? 2 * n - 2 - i : i);
  const edges = new Float64Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      edges[y * width + x] =
        at(fold(x - 1, width), y) + at(fold(x + 1, width), y) + at(x, fold(y - 1, height)) +
        at(x, fold(y + 1, height)) - 4 * at(x, y);
    }
  }
  const [right, left, nose] = fivePoints(points);
  const across: Point = [left[0] - right[0], left[1] - right[1]];
  const eyes = Math.max(Math.hypot(...across), 1e-3);
  const middle: Point = [(left[0] + right[0]) / 2, (left[1] + right[1]) / 2];
  const offset = ((nose[0] - middle[0]) * across[0] + (nose[1] - middle[1]) * across[1]) / (eyes * eyes);
  const grey = Float64Array.from(data);
  return {
    face_px: Math.min(box[2] - box[0], box[3] - box[1]),
    blur: variance(edges) / (variance(grey) + 1),
    brightness: grey.reduce((sum, v) => sum + v, 0) / grey.length / 255,
    roll: (Math.atan2(across[1], across[0]) * 180) / Math.PI,
    // the nose stands out by 0.6 of the distance between the eyes: good to about ten degrees
    yaw: (Math.atan(offset / 0.6) * 180) / Math.PI,
  };
}
