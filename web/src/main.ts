/** The page: sources in, overlay, bars, timeline, events and files out. */

import { History, csv } from "./history";
import { colour } from "./labels";
import { drawFaces } from "./overlay";
import type { Row } from "./engine/pipeline";
import { Timeline } from "./timeline";
import type { Answer, Request } from "./worker";

declare const __MIEN_VERSION__: string;

const $ = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const [video, picture, overlay, stage] = [
  $<HTMLVideoElement>("video"),
  $<HTMLCanvasElement>("picture"),
  $<HTMLCanvasElement>("overlay"),
  $("stage"),
];
const [pause, person, model] = [$<HTMLButtonElement>("pause"), $<HTMLSelectElement>("person"), $<HTMLSelectElement>("model")];
const SVG = "http://www.w3.org/2000/svg";

const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
const ask = (request: Request, transfer: Transferable[] = []): void => worker.postMessage(request, transfer);

let ready = false;
let labels: string[] = [];
let history: History | null = null;
let timeline: Timeline | null = null;
let kind: "none" | "camera" | "video" | "pictures" = "none";
let source = "";
let frame = 0;
let begun = 0;
let paused = false;
/** Frames that the engine is busy with, by number; a new one waits until it is done. */
const asked = new Map<number, { time: number | null; width: number; height: number; source: string; done: () => void }>();
let next = 0;
let stamps: number[] = [];
let generation = 0;

function status(text: string): void {
  $("status").textContent = text;
}

function fail(text: string): void {
  status(text);
  $("status").dataset.kind = "error";
}

worker.onmessage = ({ data }: MessageEvent<Answer>): void => {
  if (data.kind === "progress") {
    $<HTMLProgressElement>("progress").value = data.total ? data.loaded / data.total : 0;
    status(`Loading ${data.what}…`);
  } else if (data.kind === "ready") opened(data);
  else if (data.kind === "rows") {
    const one = asked.get(data.id);
    asked.delete(data.id);
    if (one) {
      if (one.source === source) paint(data.image);
      show(data.rows, one);
      one.done();
    }
    data.image.close();
  } else {
    if (data.id !== undefined) {
      asked.get(data.id)?.done();
      asked.delete(data.id);
    }
    fail(data.message);
  }
};
worker.onerror = (event): void => fail(`The engine could not start: ${event.message || "this browser lacks WebAssembly or module workers"}.`);

function opened(facts: Extract<Answer, { kind: "ready" }>): void {
  $<HTMLProgressElement>("progress").hidden = true;
  const same = labels.join() === facts.labels.join();
  labels = facts.labels;
  unsureBelow = facts.unsure;
  $("facts").textContent = `mien ${__MIEN_VERSION__}, ${facts.model}; licence of the weights: ${facts.licence}.`;
  if (!same || !history) reset();
  legend();
  ready = true;
  document.body.dataset.ready = facts.model;
  status(kind === "none" ? "Ready. Choose a source." : `Reading with ${facts.model}.`);
  for (const run of waiting.splice(0)) run();
}

let unsureBelow = 0;
const waiting: (() => void)[] = [];
const whenReady = (run: () => void): void => void (ready ? run() : waiting.push(run));

/** Start a new recording. */
function reset(): void {
  history = new History(labels, unsureBelow);
  $("timeline").replaceChildren();
  timeline = new Timeline($("timeline"), labels);
  timeline.draw([]);
  person.replaceChildren();
  person.disabled = true;
  $("who").hidden = true;
  $("people").replaceChildren();
  $("nobody").hidden = false;
  $("events").replaceChildren();
  $("uneventful").hidden = false;
  listed = "";
  frame = 0;
  stamps = [];
  drawFaces(overlay, [], overlay.width || 1, overlay.height || 1);
  ask({ kind: "restart" });
  files();
}

function files(): void {
  const none = !history?.rows;
  for (const id of ["save-csv", "save-json", "save-events", "clear"]) $<HTMLButtonElement>(id).disabled = none;
}

/** Hand a picture to the engine; resolves once it has been shown. */
function read(image: ImageBitmap, time: number | null, name: string): Promise<void> {
  return new Promise((done) => {
    const id = next++;
    asked.set(id, { time, width: image.width, height: image.height, source: name, done });
    ask({ kind: "read", id, image, time }, [image]);
  });
}

/** Show the picture that was read. */
function paint(image: ImageBitmap): void {
  if (picture.width !== image.width || picture.height !== image.height) {
    [picture.width, picture.height] = [image.width, image.height];
  }
  picture.getContext("2d")?.drawImage(image, 0, 0);
  picture.hidden = false;
}

function show(rows: Row[], one: { time: number | null; width: number; height: number; source: string }): void {
  if (!history || one.source !== source) return; // the source was changed meanwhile
  const mirrored = kind === "camera";
  drawFaces(overlay, mirrored ? rows.map((row) => flipped(row, one.width)) : rows, one.width, one.height);
  history.add(one.source, one.time === null ? 0 : frame, one.time, rows);
  frame++;
  cards(rows);
  stamps.push(performance.now());
  stamps = stamps.filter((stamp) => stamp > stamps[stamps.length - 1] - 3000);
  if (one.time !== null) {
    choose(rows);
    const chosen = rows.find((row) => String(row.track) === person.value);
    if (chosen) timeline?.add(one.time, chosen.scores, history.absence);
    // drawing lines and tables less often leaves time for faces
    if (frame % 4 === 0) later();
    if (stamps.length > 1) {
      const rate = (1000 * (stamps.length - 1)) / (stamps[stamps.length - 1] - stamps[0]);
      $("rate").textContent = `${rate.toFixed(1)} frames/s · ${clock(one.time)}`;
      document.body.dataset.rate = rate.toFixed(2);
    }
  }
  document.body.dataset.frames = String(frame);
  const full = history.full ? " The table is full: save and clear it." : "";
  status(`${rows.length === 1 ? "1 face" : `${rows.length} faces`}${full}`);
  files();
}

function later(): void {
  const events = history?.events() ?? [];
  timeline?.draw(events.filter((event) => String(event.track) === person.value));
  eventRows(events);
}

/** The camera's picture is shown as in a mirror; what is written is not. */
function flipped(row: Row, width: number): Row {
  const [x1, y1, x2, y2] = row.box;
  return { ...row, box: [width - x2, y1, width - x1, y2] };
}

function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function swatch(label: string): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("aria-hidden", "true");
  const box = document.createElementNS(SVG, "rect");
  for (const [name, value] of Object.entries({ width: "12", height: "12", fill: colour(label) })) box.setAttribute(name, value);
  svg.append(box);
  return svg;
}

function legend(): void {
  $("legend").replaceChildren(
    ...labels.map((label) => {
      const item = document.createElement("li");
      item.append(swatch(label), label);
      return item;
    }),
  );
}

/** One card a face: who, what, and a bar for each expression. Cards are kept, so that a reader's place is not lost. */
function cards(rows: Row[]): void {
  const list = $("people");
  $("nobody").hidden = rows.length > 0;
  while (list.children.length > rows.length) list.lastElementChild?.remove();
  rows.forEach((row, i) => {
    const card = (list.children[i] as HTMLElement | undefined) ?? list.appendChild(card0());
    const name = row.track >= 0 ? `Person ${row.track + 1}` : `Face ${i + 1}`;
    card.querySelector(".name0")!.textContent = name;
    card.querySelector(".what")!.textContent = row.unsure ? `unsure (${row.label}?)` : row.label;
    row.scores.forEach((score, k) => {
      card.querySelectorAll(".value")[k].textContent = `${Math.round(100 * score)} %`;
      card.querySelectorAll(".bars rect")[k].setAttribute("width", String(100 * score));
    });
  });
}

function card0(): HTMLElement {
  const card = document.createElement("li");
  const who = document.createElement("div");
  who.className = "who";
  const [name, what] = [document.createElement("span"), document.createElement("span")];
  name.className = "name0";
  what.className = "what";
  who.append(name, what);
  const bars = document.createElement("div");
  bars.className = "bars";
  for (const label of labels) {
    const word = document.createElement("span");
    word.className = "name";
    word.textContent = label;
    const bar = document.createElementNS(SVG, "svg");
    bar.setAttribute("viewBox", "0 0 100 9");
    bar.setAttribute("preserveAspectRatio", "none");
    bar.setAttribute("aria-hidden", "true");
    const rect = document.createElementNS(SVG, "rect");
    for (const [key, value] of Object.entries({ height: "9", width: "0", fill: colour(label) })) rect.setAttribute(key, value);
    bar.append(rect);
    const value = document.createElement("span");
    value.className = "value";
    bars.append(word, bar, value);
  }
  card.append(who, bars);
  return card;
}

/** Keep the list of people in step; the first one is chosen. */
function choose(rows: Row[]): void {
  for (const row of rows) {
    const value = String(row.track);
    if ([...person.options].some((option) => option.value === value)) continue;
    person.add(new Option(`Person ${row.track + 1}`, value));
    person.disabled = false;
    $("who").hidden = person.options.length < 2;
  }
}

let listed = "";
function eventRows(events: ReturnType<History["events"]>): void {
  const now = events.map((event) => `${event.track}${event.label}${event.onset_s}${event.offset_s}`).join();
  if (now === listed) return;
  listed = now;
  $("uneventful").hidden = events.length > 0;
  $("events").replaceChildren(
    ...events.slice(-200).reverse().map((event) => {
      const row = document.createElement("tr");
      const word = document.createElement("span");
      word.className = "swatch";
      word.append(swatch(event.label), event.label);
      const times = [event.onset_s, event.apex_s, event.offset_s].map((t) => `${t.toFixed(2)} s`);
      for (const content of [`Person ${event.track + 1}`, word, ...times, `${Math.round(100 * event.peak)} %`]) {
        row.insertCell().append(content);
      }
      return row;
    }),
  );
}

// sources

function stop(): void {
  generation++;
  for (const track of (video.srcObject as MediaStream | null)?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  if (video.src) URL.revokeObjectURL(video.src);
  video.removeAttribute("src");
  video.load();
  $("camera").textContent = "Start camera";
  pause.disabled = true;
  paused = false;
  pause.textContent = "Pause";
  $("rate").textContent = "";
  kind = "none";
}

function begin(what: typeof kind, name: string): number {
  stop();
  kind = what;
  source = name;
  reset();
  $("empty").hidden = true;
  $("over-time").hidden = what === "pictures";
  timeline?.resize();
  video.hidden = what === "pictures";
  picture.hidden = true;
  picture.classList.toggle("cover", what !== "pictures"); // over the playing video, which is ahead of it
  stage.classList.toggle("mirrored", what === "camera");
  pause.disabled = what === "pictures";
  delete $("status").dataset.kind;
  return generation;
}

/** Read frames of the playing video, each newest one as soon as the engine is free. */
function follow(mine: number): void {
  let busy = false;
  const step = (_: number, facts: VideoFrameCallbackMetadata): void => {
    if (mine !== generation) return;
    video.requestVideoFrameCallback(step);
    if (busy || paused) return;
    busy = true;
    const time = kind === "camera" ? (performance.now() - begun) / 1000 : facts.mediaTime;
    createImageBitmap(video)
      .then((image) => (mine === generation ? read(image, time, source) : undefined))
      .catch(() => undefined) // a frame that is gone already is no fault
      .finally(() => (busy = false));
  };
  video.requestVideoFrameCallback(step);
}

async function startCamera(): Promise<void> {
  if (kind === "camera") {
    finish();
    stop();
    status("The camera is off.");
    return;
  }
  const mine = begin("camera", "camera");
  try {
    if (!navigator.mediaDevices) throw new Error("this page was not opened over https or from this machine");
    const wish = { video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" }, audio: false };
    const stream = await navigator.mediaDevices.getUserMedia(wish);
    if (mine !== generation) return stream.getTracks().forEach((track) => track.stop());
    video.srcObject = stream;
    await video.play();
    begun = performance.now();
    $("camera").textContent = "Stop camera";
    follow(mine);
  } catch (error) {
    stop();
    const denied = (error as Error).name === "NotAllowedError";
    fail(denied ? "The browser was not allowed to use the camera; allow it in the address bar and try again."
                : `No camera could be used (${(error as Error).message}).`);
  }
}

async function openVideo(file: File): Promise<void> {
  const mine = begin("video", file.name);
  video.src = URL.createObjectURL(file);
  video.onerror = (): void => {
    if (mine === generation) fail(`${file.name} cannot be played by this browser; convert it to MP4 (H.264) or WebM.`);
  };
  video.onended = (): void => {
    if (mine !== generation) return;
    finish();
    status(`${file.name} is read: ${frame} frames.`);
    pause.disabled = true;
    document.body.dataset.ended = String(generation);
  };
  follow(mine);
  await video.play().catch(() => undefined); // onerror has told
}

async function openPictures(list: File[]): Promise<void> {
  const mine = begin("pictures", list[0].name);
  for (const file of list) {
    if (mine !== generation) return;
    try {
      const image = await createImageBitmap(file);
      source = file.name;
      await read(image, null, file.name);
    } catch {
      fail(`${file.name} is not a picture that this browser can read.`);
    }
  }
}

/** The recording ends: open events are closed and shown. */
function finish(): void {
  history?.close();
  later();
}

function open(list: File[]): void {
  const pictures = list.filter((file) => file.type.startsWith("image/"));
  const clip = list.find((file) => file.type.startsWith("video/"));
  whenReady(() => {
    if (clip) void openVideo(clip);
    else if (pictures.length) void openPictures(pictures);
    else if (list.length) fail(`${list[0].name} is neither a picture nor a video.`);
  });
}

function save(parts: string[], name: string, type: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(parts, { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

$("camera").onclick = (): void => whenReady(() => void startCamera());
$<HTMLInputElement>("file").onchange = ({ target }): void => {
  const input = target as HTMLInputElement;
  open([...(input.files ?? [])]);
  input.value = "";
};
pause.onclick = (): void => {
  paused = !paused;
  pause.textContent = paused ? "Resume" : "Pause";
  if (kind === "video") void (paused ? video.pause() : video.play());
  if (kind === "camera") void (paused ? video.pause() : video.play());
};
model.onchange = (): void => {
  ready = false;
  $<HTMLProgressElement>("progress").hidden = false;
  ask({ kind: "open", model: model.value, base: document.baseURI });
};
person.onchange = (): void => {
  timeline?.clear();
  later();
};
$("clear").onclick = (): void => {
  begun = performance.now();
  reset();
};
$("save-csv").onclick = (): void => save(csv(history?.records() ?? []), "faces.csv", "text/csv");
$("save-json").onclick = (): void => {
  const rows = [...(history?.records() ?? [])];
  const facts = { mien: __MIEN_VERSION__, model: model.value, labels, events: history?.events() ?? [], rows };
  save([JSON.stringify(facts, null, 1)], "faces.json", "application/json");
};
$("save-events").onclick = (): void => {
  const events = (history?.events() ?? []).map((event) => ({ source, ...event }));
  const header = "source,track,label,onset_s,apex_s,offset_s,onset_frame,apex_frame,offset_frame,peak,duration_s\n";
  save(events.length ? csv(events.map((event) => ({ ...event, peak: Math.round(1e4 * event.peak) / 1e4 }))) : [header], "events.csv", "text/csv");
};

stage.ondragover = (event): void => {
  event.preventDefault();
  stage.classList.add("over");
};
stage.ondragleave = (): void => stage.classList.remove("over");
stage.ondrop = (event): void => {
  event.preventDefault();
  stage.classList.remove("over");
  open([...(event.dataTransfer?.files ?? [])]);
};
new ResizeObserver(() => timeline?.resize()).observe($("timeline"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => timeline?.resize());

ask({ kind: "open", model: model.value, base: document.baseURI });
