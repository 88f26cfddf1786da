/** A picture in, faces with scores out: find, follow, cut, classify. One path for page and tests. */

import type { InferenceSession, Tensor } from "onnxruntime-web";
import {
  type Box,
  DRAWN_AS,
  type Face,
  type Point,
  SIDE,
  asDrawnHere,
  boxSquare,
  cut,
  decode,
  look,
  merge,
  squareOf,
  tiles,
  toPicture,
} from "./faces";
import { type Picture, frame, resize, toGrey } from "./image";
import { type Quality, quality } from "./quality";
import { type Spec, forDetector, readSpec } from "./spec";
import { Tracker } from "./track";

/** What the page needs of ONNX Runtime; the tests give another build of it. */
export interface Runtime {
  InferenceSession: { create(file: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession> };
  Tensor: new (type: "float32", data: Float32Array, dims: number[]) => Tensor;
}

export interface Row extends Quality {
  box: Box;
  detection: number;
  /** -1 in a still picture. */
  track: number;
  points: Point[];
  label: string;
  score: number;
  unsure: boolean;
  scores: Float32Array;
}

const THRESHOLD = 0.6;
const ROOM = 96;
const [DETECTION_SIDE, LARGEST_SIDE, SMALLEST_FOUND] = [640, 960, 14];

/** A network with its Spec. */
export class Net {
  private constructor(
    private readonly runtime: Runtime,
    private readonly session: InferenceSession,
    readonly spec: Spec,
  ) {}

  static async open(runtime: Runtime, file: Uint8Array, name: string): Promise<Net> {
    const spec = readSpec(file, name);
    const options: InferenceSession.SessionOptions = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
    return new Net(runtime, await runtime.InferenceSession.create(file, options), spec);
  }

  /** Outputs by name for one float32 input. */
  async run(input: Float32Array, dims: number[]): Promise<Record<string, Float32Array>> {
    const { inputNames } = this.session;
    const answer = await this.session.run({ [inputNames[0]]: new this.runtime.Tensor("float32", input, dims) });
    return Object.fromEntries(Object.entries(answer).map(([name, tensor]) => [name, tensor.data as Float32Array]));
  }

  /** The network's input for square crops of its own size, or of any size. */
  prepare(crops: Picture[]): Float32Array {
    const { size, colour, mean, std } = this.spec;
    const channels = colour === "gray" ? 1 : 3;
    const input = new Float32Array(crops.length * channels * size * size);
    crops.forEach((crop, n) => {
      const { data } = resize(channels === 1 ? toGrey(crop) : crop, size, size);
      for (let i = 0; i < size * size; i++) {
        for (let c = 0; c < channels; c++) {
          input[((n * channels + c) * size * size) + i] = (data[i * channels + c] / 255 - mean[c]) / std[c];
        }
      }
    });
    return input;
  }

  /** What the network says of each crop: rows of its only output. */
  async read(crops: Picture[]): Promise<Float32Array[]> {
    if (!crops.length) return [];
    const { size, colour } = this.spec;
    const dims = [crops.length, colour === "gray" ? 1 : 3, size, size];
    const values = Object.values(await this.run(this.prepare(crops), dims))[0];
    const width = values.length / crops.length;
    return crops.map((_, n) => values.slice(n * width, (n + 1) * width));
  }
}

export class Pipeline {
  private tracker = new Tracker();

  constructor(
    private readonly detector: Net,
    private readonly landmarks: Net,
    public classifier: Net,
    private readonly smallest = 24,
  ) {}

  get labels(): string[] {
    return this.classifier.spec.labels;
  }

  /** Forget who was who. */
  restart(): void {
    this.tracker = new Tracker();
  }

  /** Faces of a picture, from left to right; with a time (seconds) they are followed. */
  async read(picture: Picture, time: number | null): Promise<Row[]> {
    const faces = await this.detect(picture, time === null);
    faces.sort((a, b) => a.box[0] - b.box[0] || a.box[1] - b.box[1]);
    const tracks = time === null ? faces.map(() => -1) : this.tracker.follow(picture, faces.map((f) => f.box), time);
    const points = await this.points(picture, faces);
    const { spec } = this.classifier;
    const crops = faces.map((face, i) => cut(picture, squareOf(face.box, points[i], spec.geometry), spec.size));
    const scores = await this.classifier.read(crops);
    return faces.map((face, i) => {
      const best = scores[i].indexOf(Math.max(...scores[i]));
      return {
        ...quality(face.box, points[i], crops[i]),
        box: face.box,
        detection: face.score,
        track: tracks[i],
        points: points[i],
        label: spec.labels[best],
        score: scores[i][best],
        unsure: scores[i][best] < spec.unsure_below,
        scores: scores[i],
      };
    });
  }

  /** Boxes of faces; a still picture is looked at more closely than a frame of a film. */
  async detect(picture: Picture, still: boolean): Promise<Face[]> {
    const long = Math.max(picture.width, picture.height);
    const wanted = Math.max(DETECTION_SIDE / long, still ? SMALLEST_FOUND / this.smallest : 0);
    const scale = Math.min(1, wanted, LARGEST_SIDE / long);
    const width = Math.max(1, Math.round(picture.width * scale));
    const height = Math.max(1, Math.round(picture.height * scale));
    const small = scale < 1 ? resize(picture, width, height) : picture;
    let faces = await this.find(small);
    const grow = [picture.width / width, picture.height / height];
    faces = faces.map(({ box, score }) => ({ box: box.map((v, i) => v * grow[i % 2]) as Box, score }));
    if (!faces.length && still) faces = await this.findFramed(picture);
    return faces.filter(({ box }) => Math.min(box[2] - box[0], box[3] - box[1]) >= this.smallest);
  }

  private async find(picture: Picture): Promise<Face[]> {
    const found: Face[] = [];
    for (const square of tiles(picture.width, picture.height)) {
      const { regressors, scores } = await this.detector.run(look(picture, square), [1, 3, SIDE, SIDE]);
      const scale = SIDE / square[2];
      for (const { box, score } of decode(regressors, scores, THRESHOLD)) {
        found.push({ box: box.map((v, i) => v / scale + square[i % 2]) as Box, score });
      }
    }
    return merge(found).map(({ box, score }) => ({ box: asDrawnHere(box), score }));
  }

  /** Second look at a picture that may be a tight crop: the detector wants room around a face. */
  private async findFramed(picture: Picture): Promise<Face[]> {
    const scale = 256 / Math.max(picture.width, picture.height);
    const width = Math.max(1, Math.round(picture.width * scale));
    const height = Math.max(1, Math.round(picture.height * scale));
    const framed = frame(resize(picture, width, height), ROOM);
    const back = [picture.width / width, picture.height / height];
    return (await this.find(framed)).map(({ box, score }) => ({
      box: box.map((v, i) => (v - ROOM) * back[i % 2]) as Box,
      score,
    }));
  }

  private async points(picture: Picture, faces: Face[]): Promise<Point[][]> {
    const { spec } = this.landmarks;
    const squares = faces.map((face) => boxSquare(face.box, forDetector(spec.geometry, DRAWN_AS)));
    const values = await this.landmarks.read(squares.map((square) => cut(picture, square, spec.size)));
    return values.map((row, i) =>
      Array.from({ length: 68 }, (_, p) => toPicture([row[2 * p], row[2 * p + 1]], squares[i])),
    );
  }
}
