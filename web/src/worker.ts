/** The engine in a thread of its own, so that the page stays quick while it works. */

import * as ort from "onnxruntime-web/wasm";
import wasm from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";
import { fromRgba } from "./engine/image";
import { Net, Pipeline, type Row, type Runtime } from "./engine/pipeline";

export type Request =
  | { kind: "open"; model: string; base: string }
  | { kind: "read"; id: number; image: ImageBitmap; time: number | null }
  | { kind: "restart" };

export type Answer =
  | { kind: "progress"; loaded: number; total: number; what: string }
  | { kind: "ready"; model: string; labels: string[]; licence: string; unsure: number }
  | { kind: "rows"; id: number; rows: Row[]; image: ImageBitmap; milliseconds: number }
  | { kind: "error"; id?: number; message: string };

const say = (answer: Answer): void => self.postMessage(answer);
const opened = new Map<string, Net>();
let pipeline: Pipeline | null = null;
let canvas: OffscreenCanvas | null = null;

ort.env.wasm.wasmPaths = { wasm: new URL(wasm, self.location.href).href };
// these networks are too small to gain from more threads, which would need a page isolated by special headers
ort.env.wasm.numThreads = 1;

async function fetchWhole(address: string, what: string): Promise<Uint8Array> {
  const answer = await fetch(address);
  if (!answer.ok || !answer.body) throw new Error(`${what} could not be loaded (${answer.status}); reload the page`);
  const total = Number(answer.headers.get("content-length") ?? 0);
  const parts: Uint8Array[] = [];
  let loaded = 0;
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    say({ kind: "progress", loaded, total, what });
  }
  const file = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

async function net(name: string, base: string): Promise<Net> {
  const known = opened.get(name);
  if (known) return known;
  const file = await fetchWhole(new URL(`models/${name}.onnx`, base).href, name);
  const made = await Net.open(ort as unknown as Runtime, file, name);
  opened.set(name, made);
  return made;
}

async function open(model: string, base: string): Promise<void> {
  const [detector, landmarks] = [await net("blazeface", base), await net("landmarks68", base)];
  const classifier = await net(model, base);
  if (pipeline) pipeline.classifier = classifier;
  else pipeline = new Pipeline(detector, landmarks, classifier);
  const { labels, licence, unsure_below } = classifier.spec;
  say({ kind: "ready", model, labels, licence, unsure: unsure_below });
}

async function read(id: number, image: ImageBitmap, time: number | null): Promise<void> {
  const start = performance.now();
  const { width, height } = image;
  if (!canvas || canvas.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context || !pipeline) throw new Error("the engine is not ready");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const rows = await pipeline.read(fromRgba(data, width, height), time);
  // the picture goes back with what was seen in it, so that boxes are never drawn on a later one
  self.postMessage({ kind: "rows", id, rows, image, milliseconds: performance.now() - start } satisfies Answer, {
    transfer: [image],
  });
}

// one request after another: a network must not be asked twice at once
let queue: Promise<void> = Promise.resolve();
self.onmessage = ({ data }: MessageEvent<Request>): void => {
  queue = queue.then(async () => {
    try {
      if (data.kind === "open") await open(data.model, data.base);
      else if (data.kind === "read") await read(data.id, data.image, data.time);
      else pipeline?.restart();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      say(data.kind === "read" ? { kind: "error", id: data.id, message } : { kind: "error", message });
    }
  });
};
