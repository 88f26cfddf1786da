/** Pictures as plain arrays, and the few operations on them that the Python package leaves to OpenCV. */

export interface Picture {
  /** RGB or grey, one byte a channel, row after row. */
  data: Uint8ClampedArray;
  width: number;
  height: number;
  channels: 1 | 3;
}

/** RGB of a canvas's RGBA. */
export function fromRgba(rgba: Uint8ClampedArray, width: number, height: number): Picture {
  const data = new Uint8ClampedArray(width * height * 3);
  for (let i = 0, j = 0; i < data.length; i += 3, j += 4) {
    data[i] = rgba[j];
    data[i + 1] = rgba[j + 1];
    data[i + 2] = rgba[j + 2];
  }
  return { data, width, height, channels: 3 };
}

/** Grey by the weights of ITU-R BT.601, in the fixed point that OpenCV uses. */
export function toGrey(picture: Picture): Picture {
  if (picture.channels === 1) return picture;
  const { data, width, height } = picture;
  const grey = new Uint8ClampedArray(width * height);
  for (let i = 0, j = 0; i < grey.length; i++, j += 3) {
    grey[i] = (data[j] * 9798 + data[j + 1] * 19235 + data[j + 2] * 3735 + 16384) >> 15;
  }
  return { data: grey, width, height, channels: 1 };
}

/** A part of a picture; it must lie within. */
export function part(picture: Picture, x: number, y: number, width: number, height: number): Picture {
  const { channels: c } = picture;
  const data = new Uint8ClampedArray(width * height * c);
  for (let row = 0; row < height; row++) {
    const start = ((y + row) * picture.width + x) * c;
    data.set(picture.data.subarray(start, start + width * c), row * width * c);
  }
  return { data, width, height, channels: c };
}

/** A picture with a grey border of `room` pixels. */
export function frame(picture: Picture, room: number): Picture {
  const { width: w, height: h, channels: c } = picture;
  const [width, height] = [w + 2 * room, h + 2 * room];
  const data = new Uint8ClampedArray(width * height * c).fill(128);
  for (let y = 0; y < h; y++) {
    data.set(picture.data.subarray(y * w * c, (y + 1) * w * c), ((y + room) * width + room) * c);
  }
  return { data, width, height, channels: c };
}

/** For each new pixel of one axis: the old pixels below it and their shares, which sum to 1. */
function shares(from: number, to: number): { first: number; weights: Float64Array }[] {
  const step = from / to;
  return Array.from({ length: to }, (_, i) => {
    if (step <= 1) {
      const centre = Math.min(Math.max((i + 0.5) * step - 0.5, 0), from - 1);
      const first = Math.min(Math.floor(centre), Math.max(from - 2, 0));
      return { first, weights: from > 1 ? Float64Array.of(1 - (centre - first), centre - first) : Float64Array.of(1) };
    }
    const [start, end] = [i * step, Math.min((i + 1) * step, from)];
    const [first, last] = [Math.floor(start), Math.min(Math.ceil(end), from)];
    const weights = new Float64Array(last - first);
    for (let k = first; k < last; k++) {
      weights[k - first] = (Math.min(end, k + 1) - Math.max(start, k)) / (end - start);
    }
    return { first, weights };
  });
}

/** Another size: shrinking averages areas, growing interpolates linearly. */
export function resize(picture: Picture, width: number, height: number): Picture {
  if (width === picture.width && height === picture.height) return picture;
  const c = picture.channels;
  const across = shares(picture.width, width);
  const down = shares(picture.height, height);
  const source = picture.data;
  const data = new Uint8ClampedArray(width * height * c);
  const row = new Float32Array(picture.width * c);
  const long = row.length;
  for (let y = 0; y < height; y++) {
    row.fill(0);
    const { first: top, weights: tall } = down[y];
    for (let k = 0; k < tall.length; k++) {
      const weight = tall[k];
      const start = (top + k) * long;
      for (let i = 0; i < long; i++) row[i] += weight * source[start + i];
    }
    let at = y * width * c;
    for (let x = 0; x < width; x++) {
      const { first, weights } = across[x];
      for (let channel = 0; channel < c; channel++) {
        let sum = 0;
        for (let k = 0, i = first * c + channel; k < weights.length; k++, i += c) sum += weights[k] * row[i];
        data[at++] = Math.round(sum);
      }
    }
  }
  return { data, width, height, channels: c };
}

/** Pixels (x, y) of a picture of `size` x `size` taken from `matrix` * (x, y, 1); the border is repeated. */
export function warp(picture: Picture, matrix: number[], size: number): Picture {
  const { data: source, width, height, channels: c } = picture;
  const [a, b, tx, d, e, ty] = matrix;
  const data = new Uint8ClampedArray(size * size * c);
  const hold = (value: number, most: number): number => (value < 0 ? 0 : value > most ? most : value);
  for (let y = 0, i = 0; y < size; y++) {
    for (let x = 0; x < size; x++, i += c) {
      const [u, v] = [a * x + b * y + tx, d * x + e * y + ty];
      const [left, top] = [Math.floor(u), Math.floor(v)];
      const [fx, fy] = [u - left, v - top];
      const [x0, x1] = [hold(left, width - 1), hold(left + 1, width - 1)];
      const [y0, y1] = [hold(top, height - 1) * width, hold(top + 1, height - 1) * width];
      for (let k = 0; k < c; k++) {
        const above = source[(y0 + x0) * c + k] * (1 - fx) + source[(y0 + x1) * c + k] * fx;
        const below = source[(y1 + x0) * c + k] * (1 - fx) + source[(y1 + x1) * c + k] * fx;
        data[i + k] = Math.round(above * (1 - fy) + below * fy);
      }
    }
  }
  return { data, width: size, height: size, channels: c };
}
