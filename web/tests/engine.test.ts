/** The engine against the Python package's answers (fixture.json, written by scripts/make_web_fixture.py). */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import * as ort from "onnxruntime-web/wasm";
import { beforeAll, describe, expect, test } from "vitest";
import { Follower } from "../src/engine/events";
import { type Box, DRAWN_AS, asDrawnHere, cut, decode, iou, merge, tiles } from "../src/engine/faces";
import { type Picture, fromRgba, resize, toGrey, warp } from "../src/engine/image";
import { Net, Pipeline, type Runtime } from "../src/engine/pipeline";
import { forDetector, readSpec } from "../src/engine/spec";
import { Tracker, describe as looksOf } from "../src/engine/track";
import { History, csv } from "../src/history";

const here = import.meta.dirname;
const fixture = JSON.parse(readFileSync(resolve(here, "fixture.json"), "utf8"));
const weights = (name: string): Uint8Array => readFileSync(resolve(here, `../../src/mien/weights/${name}.onnx`));
const runtime = ort as unknown as Runtime;

function unpack({ shape, bytes }: { shape: number[]; bytes: string }): Picture[] {
  const [height, width, channels] = shape.slice(-3);
  const data = new Uint8ClampedArray(Buffer.from(bytes, "base64"));
  const size = height * width * channels;
  return Array.from({ length: data.length / size }, (_, i) => ({
    data: data.slice(i * size, (i + 1) * size), width, height, channels: channels as 3,
  }));
}

const largest = (a: ArrayLike<number>, b: number[]): number => Math.max(...b.map((v, i) => Math.abs(v - a[i])));
const [picture] = unpack(fixture.picture);

beforeAll(() => {
  ort.env.wasm.numThreads = 1;
});

describe("weights", () => {
  test.each(["mien-s", "mien-m"])("%s says of the same crops what Python says, to 1e-3", async (name) => {
    const net = await Net.open(runtime, weights(name), name);
    expect(net.spec.labels).toEqual(fixture.labels);
    const scores = await net.read(unpack(fixture.crops));
    scores.forEach((row, i) => expect(largest(row, fixture.scores[name][i])).toBeLessThan(1e-3));
  });

  test("the spec is read from the file", () => {
    const spec = readSpec(weights("mien-s"), "mien-s");
    expect(spec.task).toBe("expression");
    expect(forDetector(spec.geometry, DRAWN_AS)[0]).toBeGreaterThan(0.5);
    expect(() => readSpec(new Uint8Array([1, 2, 3]), "x")).toThrow(/x is no whole ONNX file|no mien.spec/);
    expect(() => readSpec(weights("mien-s").subarray(0, 900_000), "x")).toThrow("cut short");
  });
});

describe("a picture", () => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    const [a, b, c] = await Promise.all(
      ["blazeface", "landmarks68", "mien-s"].map((name) => Net.open(runtime, weights(name), name)),
    );
    pipeline = new Pipeline(a, b, c);
  });

  test("the same face, points, quality and scores as in Python", async () => {
    const rows = await pipeline.read(picture, null);
    expect(rows).toHaveLength(1);
    const { found } = fixture;
    expect(largest(rows[0].box, found.box)).toBeLessThan(1);
    expect(largest(rows[0].points.flat(), found.points.flat())).toBeLessThan(1);
    expect(largest(rows[0].scores, found.scores)).toBeLessThan(0.03); // the crop's pixels differ by rounding
    expect(rows[0].label).toBe("happiness");
    expect(rows[0].track).toBe(-1);
    for (const name of ["face_px", "roll", "yaw"] as const) expect(rows[0][name]).toBeCloseTo(found.quality[name], -0.2);
    expect(rows[0].brightness).toBeCloseTo(found.quality.brightness, 1);
    expect(Math.abs(rows[0].blur / found.quality.blur - 1)).toBeLessThan(0.15);
  });

  test("frames are followed, a plain picture has no face", async () => {
    const first = await pipeline.read(picture, 0);
    const second = await pipeline.read(picture, 0.1);
    expect([first[0].track, second[0].track]).toEqual([0, 0]);
    const plain = { ...picture, data: new Uint8ClampedArray(picture.data.length).fill(127) };
    expect(await pipeline.read(plain, null)).toEqual([]);
  });

  test("a tight crop is found at a second look", async () => {
    const [x1, y1, x2, y2] = fixture.found.box.map(Math.round);
    const side = Math.max(x2 - x1, y2 - y1);
    const tight = cut(picture, { x: (x1 + x2) / 2, y: (y1 + y2) / 2, side, roll: 0 }, 64);
    expect(await pipeline.read(tight, null)).toHaveLength(1);
  });
});

describe("pictures", () => {
  test("shrinking averages areas, growing interpolates", () => {
    const line: Picture = { data: Uint8ClampedArray.of(0, 30, 60, 90, 120, 150), width: 6, height: 1, channels: 1 };
    expect([...resize(line, 3, 1).data]).toEqual([15, 75, 135]);
    expect([...resize(line, 4, 1).data]).toEqual([10, 50, 100, 140]);
    const two: Picture = { data: Uint8ClampedArray.of(0, 100), width: 2, height: 1, channels: 1 };
    expect([...resize(two, 4, 1).data]).toEqual([0, 25, 75, 100]);
  });

  test("grey weighs the colours as BT.601", () => {
    const rgb = fromRgba(Uint8ClampedArray.of(255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255), 3, 1);
    expect([...toGrey(rgb).data]).toEqual([76, 150, 29]);
  });

  test("a warp by nothing changes nothing; the border is repeated", () => {
    const small: Picture = { data: Uint8ClampedArray.of(1, 2, 3, 4), width: 2, height: 2, channels: 1 };
    expect([...warp(small, [1, 0, 0, 0, 1, 0], 2).data]).toEqual([1, 2, 3, 4]);
    expect([...warp(small, [1, 0, 5, 0, 1, 5], 2).data]).toEqual([4, 4, 4, 4]);
  });

  test("looks agree with Python's", () => {
    expect(largest(looksOf(picture, fixture.found.box), fixture.found.looks)).toBeLessThan(0.12);
  });
});

describe("faces", () => {
  test("squares are Python's", () => {
    for (const { size, squares } of fixture.tiles) expect(tiles(size[0], size[1])).toEqual(squares);
  });

  test("only confident cells become boxes, each where its cell is", () => {
    const logits = new Float32Array(2304).fill(-9);
    logits[48 * 3 + 5] = 2;
    const regressors = new Float32Array(2304 * 16);
    regressors.set([1, -1, 20, 10], 16 * (48 * 3 + 5));
    expect(decode(regressors, logits, 0.6).map((face) => face.box)).toEqual([[13, 8, 33, 18]]);
    expect(decode(regressors, new Float32Array(2304).fill(NaN), 0.6)).toEqual([]);
  });

  test("overlapping boxes become their weighted mean", () => {
    const boxes: Box[] = [[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]];
    const merged = merge(boxes.map((box, i) => ({ box, score: [0.6, 0.9, 0.7][i] })));
    expect(merged.map((face) => face.score)).toEqual([0.9, 0.7]);
    expect(merged[0].box[0]).toBeCloseTo(0.6);
    expect(iou(asDrawnHere([0, 0, 100, 100]), [0, 0, 100, 100])).toBeLessThan(1);
  });
});

describe("time", () => {
  const labels = ["happiness", "neutral"];
  const smile = (from: number, to: number, until = 6): [number, number[]][] =>
    Array.from({ length: until * 25 }, (_, i) => [i / 25, i / 25 >= from && i / 25 < to ? [0.9, 0.1] : [0, 1]]);

  test("an event has the onset and offset that Python's rules give it", () => {
    const follower = new Follower(0, labels);
    smile(2, 4).forEach(([t, scores], i) => follower.add(t, i, scores));
    follower.close();
    expect(follower.events).toHaveLength(1);
    expect(follower.events[0]).toMatchObject({ label: "happiness", onset_s: 1.96, offset_s: 4, onset_frame: 49 });
  });

  test("short flashes and rest are no events; an absence ends one", () => {
    const follower = new Follower(0, labels);
    smile(2, 2.2).forEach(([t, scores], i) => follower.add(t, i, scores));
    follower.add(20, 500, [0.9, 0.1]);
    follower.add(20.04, 501, [0.9, 0.1]);
    follower.close();
    expect(follower.events).toEqual([]);
  });

  test("who was hidden may look less the same than who left", () => {
    const flat = (level: number): typeof picture => ({ ...picture, data: new Uint8ClampedArray(picture.data.length).fill(level) });
    const [here, front, far]: Box[] = [[60, 40, 100, 80], [110, 40, 150, 80], [240, 40, 280, 80]];
    for (const [other, track] of [[front, 0], [far, 2]] as const) {
      const tracker = new Tracker();
      // every third row of a part is in another light
      const later = flat(60);
      const own = looksOf(flat(60), here);
      for (let y = 40; y < 112; y++) for (let x = 50; x < 110; x++) if (y % 3 === 0) later.data.fill(90, 3 * (y * picture.width + x), 3 * (y * picture.width + x) + 3);
      const unlike = 1 - own.reduce((sum, v, i) => sum + v * looksOf(later, here)[i], 0);
      expect(unlike).toBeGreaterThan(0.08);
      expect(unlike).toBeLessThan(0.25);
      for (let i = 0; i < 10; i++) expect(tracker.follow(flat(60), [here, other], i / 25)).toEqual([0, 1]);
      expect(tracker.follow(flat(60), [other], 0.4)).toEqual([1]);
      expect(tracker.follow(later, [other, here], 1.4)).toEqual([1, track]);
    }
  });

  test("a person who moves keeps the number, another one gets a new one", () => {
    const tracker = new Tracker();
    const red = { ...picture, data: new Uint8ClampedArray(picture.data.length).fill(60) };
    expect(tracker.follow(red, [[10, 10, 60, 60]], 0)).toEqual([0]);
    expect(tracker.follow(red, [[18, 10, 68, 60], [250, 100, 300, 150]], 0.1)).toEqual([0, 1]);
    expect(tracker.follow(red, [], 0.2)).toEqual([]);
    expect(tracker.follow(red, [[20, 10, 70, 60]], 0.3)).toEqual([0]);
    expect(tracker.follow(red, [[20, 10, 70, 60]], 9)).toEqual([2]);
  });
});

describe("files", () => {
  const row = {
    box: [1, 2, 3, 4] as Box, detection: 0.9, track: 0, points: [], label: "happiness", score: 0.8, unsure: false,
    scores: Float32Array.of(0.8, 0.2), face_px: 2, blur: 1, brightness: 0.5, roll: 0, yaw: 0,
  };

  test("rows come back as they went in, under the names of faces.csv", () => {
    const history = new History(["happiness", "neutral"], 0.5);
    for (let i = 0; i < 5000; i++) history.add("clip.mp4", i, i / 25, [row]);
    const records = [...history.records()];
    expect(records).toHaveLength(5000);
    expect(records[4999]).toMatchObject({ frame: 4999, time_s: 199.96, track: 0, label: "happiness", p_neutral: 0.2 });
    history.close();
    expect(history.events()).toHaveLength(1);
  });

  test("few frames a second make no absence", () => {
    const history = new History(["happiness", "neutral"], 0.5);
    for (let i = 0; i < 40; i++) history.add("camera", i, i * 0.5, [row]);
    history.close();
    expect(history.events().at(-1)).toMatchObject({ offset_s: 19.5 });
    expect(history.events().length).toBeLessThanOrEqual(2); // the first frames do not know the pace yet
  });

  test("no field of a table is a formula", () => {
    const [text] = csv([{ source: "=1+1", note: 'a "b", c', t: -1, none: null }]);
    expect(text).toBe(`source,note,t,none\n'=1+1,"a ""b"", c",-1,\n`);
  });
});
