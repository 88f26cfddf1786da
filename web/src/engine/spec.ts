/** The Spec that a weight file carries: read from the ONNX file itself, as the Python package does. */

export interface Geometry {
  align: "box" | "landmarks";
  scale: number;
  shift_y: number;
  detectors: Record<string, [number, number]>;
}

export interface Spec {
  name: string;
  task: string;
  labels: string[];
  size: number;
  colour: "gray" | "rgb";
  mean: number[];
  std: number[];
  geometry: Geometry;
  unsure_below: number;
  licence: string;
}

const KEY = "mien.spec";
const METADATA_PROPS = 14; // field of ModelProto

/** One field after another of a protobuf message: its number, and its bytes where it has a length. */
function* fields(bytes: Uint8Array): Generator<[number, Uint8Array | null]> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    let shift = 1;
    for (;;) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("the file ends within a number");
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
      shift *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      if (at + length > bytes.length) throw new Error("the file is cut short");
      yield [Math.floor(tag / 8), bytes.subarray(at, at + length)];
      at += length;
    } else throw new Error(`a field of kind ${kind} is not known`);
  }
}

/** The Spec of an ONNX file; throws a sentence where it has none. */
export function readSpec(file: Uint8Array, name: string): Spec {
  const decoder = new TextDecoder();
  try {
    for (const [number, bytes] of fields(file)) {
      if (number !== METADATA_PROPS || !bytes) continue;
      const entry: Record<number, string> = {};
      for (const [key, value] of fields(bytes)) if (value) entry[key] = decoder.decode(value);
      if (entry[1] === KEY) return JSON.parse(entry[2] ?? "") as Spec;
    }
  } catch (error) {
    throw new Error(`${name} is no whole ONNX file (${(error as Error).message})`);
  }
  throw new Error(`${name} has no ${KEY} metadata; export it with "mien export"`);
}

/** Scale and downward shift of crops around the boxes of a detector. */
export function forDetector(geometry: Geometry, detector: string): [number, number] {
  const own: [number, number] = geometry.align === "box" ? [geometry.scale, geometry.shift_y] : [1, 0];
  return geometry.detectors[detector] ?? own;
}
