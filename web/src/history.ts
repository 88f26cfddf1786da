/** Everything that was seen, in little memory, and as files. */

import { type Event, Follower, absence } from "./engine/events";
import type { Row } from "./engine/pipeline";

const CHUNK = 4096;
export const MOST = 500_000;
const NUMBERS = ["x1", "y1", "x2", "y2", "detection", "face_px", "blur", "brightness", "roll", "yaw"] as const;
/** frame, time, face, track, source, then NUMBERS, then scores. */
const HEAD = 5;

export class History {
  private chunks: Float64Array[] = [];
  private sources: string[] = [];
  private count = 0;
  private followers = new Map<number, Follower>();
  private ended: Event[] = [];
  readonly people = new Map<number, { first: number; last: number; faces: number; sums: Float64Array }>();
  frames = 0;
  /** Time between the last frames, seconds: on a slow machine they are few. */
  private steps: number[] = [];
  private last: number | null = null;

  constructor(
    readonly labels: string[],
    private readonly unsureBelow: number,
  ) {}

  get rows(): number {
    return this.count;
  }

  get full(): boolean {
    return this.count >= MOST;
  }

  private get width(): number {
    return HEAD + NUMBERS.length + this.labels.length;
  }

  /** What one frame showed; time is null for a still picture. */
  add(source: string, frame: number, time: number | null, rows: Row[]): void {
    this.frames++;
    if (time !== null) this.pace(time);
    if (this.sources[this.sources.length - 1] !== source) this.sources.push(source);
    rows.forEach((row, face) => {
      if (this.full) return;
      const at = (this.count % CHUNK) * this.width;
      if (at === 0) this.chunks.push(new Float64Array(CHUNK * this.width));
      const chunk = this.chunks[this.chunks.length - 1];
      chunk.set([frame, time ?? NaN, face, row.track, this.sources.length - 1, ...row.box, row.detection], at);
      chunk.set([row.face_px, row.blur, row.brightness, row.roll, row.yaw], at + HEAD + 5);
      chunk.set(row.scores, at + HEAD + NUMBERS.length);
      this.count++;
      if (time !== null) this.follow(row, frame, time);
    });
  }

  private pace(time: number): void {
    if (this.last !== null && time > this.last) this.steps.push(time - this.last);
    if (this.steps.length > 25) this.steps.shift();
    this.last = time;
  }

  /** From how long a gap on a face was absent, seconds. */
  get absence(): number {
    const sorted = [...this.steps].sort((a, b) => a - b);
    return absence(sorted[Math.floor(sorted.length / 2)] ?? 0);
  }

  private follow(row: Row, frame: number, time: number): void {
    let follower = this.followers.get(row.track);
    if (!follower) this.followers.set(row.track, (follower = new Follower(row.track, this.labels)));
    follower.absence = this.absence;
    follower.add(time, frame, row.scores);
    let person = this.people.get(row.track);
    if (!person) {
      person = { first: time, last: time, faces: 0, sums: new Float64Array(this.labels.length) };
      this.people.set(row.track, person);
    }
    person.last = time;
    person.faces++;
    row.scores.forEach((score, k) => (person.sums[k] += score));
    // people who left long ago cannot come back under their number
    for (const [track, other] of this.followers) {
      if (time - (this.people.get(track)?.last ?? time) > 5) {
        other.close();
        this.ended.push(...other.events);
        this.followers.delete(track);
      }
    }
  }

  /** The recording ends: what is open is closed. */
  close(): void {
    for (const follower of this.followers.values()) {
      follower.close();
      this.ended.push(...follower.events);
    }
    this.followers.clear();
  }

  /** Events that are over, by onset. */
  events(): Event[] {
    const all = [...this.ended, ...[...this.followers.values()].flatMap((follower) => follower.events)];
    return all.sort((a, b) => a.onset_s - b.onset_s);
  }

  /** One object a row, with the names of faces.csv. */
  *records(): Generator<Record<string, string | number | boolean | null>> {
    for (let i = 0; i < this.count; i++) {
      const row = this.chunks[Math.floor(i / CHUNK)].subarray((i % CHUNK) * this.width, ((i % CHUNK) + 1) * this.width);
      const scores = row.subarray(HEAD + NUMBERS.length);
      const best = scores.indexOf(Math.max(...scores));
      const time = row[1];
      const number = (name: (typeof NUMBERS)[number], digits: number): number =>
        round(row[HEAD + NUMBERS.indexOf(name)], digits);
      yield {
        source: this.sources[row[4]],
        frame: row[0],
        time_s: Number.isNaN(time) ? null : round(time, 6),
        face: row[2],
        track: row[3] < 0 ? null : row[3],
        ...Object.fromEntries((["x1", "y1", "x2", "y2"] as const).map((name) => [name, number(name, 1)])),
        detection: number("detection", 4),
        label: this.labels[best],
        score: round(scores[best], 4),
        unsure: scores[best] < this.unsureBelow,
        ...Object.fromEntries(this.labels.map((label, k) => [`p_${label}`, round(scores[k], 4)])),
        face_px: number("face_px", 1),
        blur: number("blur", 4),
        brightness: number("brightness", 4),
        roll: number("roll", 1),
        yaw: number("yaw", 1),
      };
    }
  }
}

function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

/** One field of a CSV file; text that a spreadsheet would take for a formula is kept from being one. */
function field(value: string | number | boolean | null): string {
  if (value === null) return "";
  let text = String(value);
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** CSV in pieces, so that a long recording is never one string. */
export function csv(records: Iterable<Record<string, string | number | boolean | null>>): string[] {
  const pieces: string[] = [];
  let lines: string[] = [];
  for (const record of records) {
    if (!pieces.length && !lines.length) lines.push(Object.keys(record).join(","));
    lines.push(Object.values(record).map(field).join(","));
    if (lines.length >= 1000) pieces.push(`${lines.splice(0).join("\n")}\n`);
  }
  if (lines.length) pieces.push(`${lines.join("\n")}\n`);
  return pieces;
}
