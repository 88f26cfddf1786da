/** Onset, apex and offset of each expression: the rules of `mien analyze`, with its defaults. */

export interface Event {
  track: number;
  label: string;
  onset_s: number;
  apex_s: number;
  offset_s: number;
  onset_frame: number;
  apex_frame: number;
  offset_frame: number;
  peak: number;
  duration_s: number;
}

const THRESHOLD = 0.5;
const LOW = THRESHOLD / 2;
const MIN_S = 0.5;
const GAP_S = 0.4;
const SMOOTH_S = 0.2;
/** A face must have been missed for at least two frames, before it counts as absent. */
const MISSED_STEPS = 2.5;
const NEUTRAL = "neutral";

/** Time between two presentation times, seconds, to the microsecond to which these are known. */
function since(earlier: number, later: number): number {
  return Math.round((later - earlier) * 1e6) / 1e6;
}

interface Moment {
  time: number;
  frame: number;
  scores: ArrayLike<number>;
}

interface Stretch {
  onset: Moment;
  apex: Moment;
  offset: Moment;
  peak: number;
}

/** Time between two sightings from which on a face was absent in between, seconds, at the usual time between frames. */
export function absence(step: number): number {
  return Math.max(GAP_S, MISSED_STEPS * step);
}

/** One person's frames in, events out. */
export class Follower {
  readonly events: Event[] = [];
  /** Two frames further apart than this are not of one event, seconds. */
  absence = GAP_S;
  private held: Moment[] = [];
  private next = 0;
  private readonly open: (Stretch | null)[];
  private readonly whole: (Stretch | null)[];

  constructor(
    private readonly track: number,
    private readonly labels: string[],
  ) {
    this.open = labels.map(() => null);
    this.whole = labels.map(() => null);
  }

  add(time: number, frame: number, scores: ArrayLike<number>): void {
    const last = this.held[this.held.length - 1];
    if (last && !(time > last.time && since(last.time, time) <= this.absence)) this.close();
    this.held.push({ time, frame, scores });
    // a frame is smoothed once all frames within reach are known
    while (this.next < this.held.length && this.held[this.next].time < time - SMOOTH_S) this.take(this.next++);
    const oldest = this.held[Math.min(this.next, this.held.length - 1)].time - SMOOTH_S;
    let first = 0;
    while (first + 1 < this.next && this.held[first + 1].time <= oldest) first++;
    this.held.splice(0, first);
    this.next -= first;
  }

  /** The person is absent, or the recording ends. */
  close(): void {
    while (this.next < this.held.length) this.take(this.next++);
    this.labels.forEach((_, k) => {
      this.end(k);
      this.finish(k);
    });
    this.held = [];
    this.next = 0;
  }

  private smoothed(index: number): number[] {
    const { time } = this.held[index];
    const n = this.held.length;
    const sums = this.labels.map(() => 0);
    let total = 0;
    for (let i = 0; i < n; i++) {
      const weight = Math.max(0, 1 - Math.abs(this.held[i].time - time) / SMOOTH_S);
      if (!weight) continue;
      // the time that a frame stands for, so that a burst of frames does not outweigh the rest
      const before = this.held[Math.max(i - 1, 0)].time;
      const after = this.held[Math.min(i + 1, n - 1)].time;
      const span = n > 1 ? (after - before) / (Math.min(i + 1, n - 1) - Math.max(i - 1, 0)) : 1;
      total += weight * span;
      for (let k = 0; k < sums.length; k++) sums[k] += weight * span * this.held[i].scores[k];
    }
    return sums.map((sum) => sum / total);
  }

  private take(index: number): void {
    const at = this.held[index];
    this.smoothed(index).forEach((score, k) => {
      if (this.labels[k] === NEUTRAL) return;
      const open = this.open[k];
      if (score < LOW) this.end(k);
      else if (!open) this.open[k] = { onset: at, apex: at, offset: at, peak: score };
      else {
        open.offset = at;
        if (score > open.peak) [open.apex, open.peak] = [at, score];
      }
    });
  }

  private end(k: number): void {
    const ended = this.open[k];
    this.open[k] = null;
    if (!ended || ended.peak < THRESHOLD) return;
    const whole = this.whole[k];
    if (whole && since(whole.offset.time, ended.onset.time) <= GAP_S) {
      whole.offset = ended.offset;
      if (ended.peak > whole.peak) [whole.apex, whole.peak] = [ended.apex, ended.peak];
      return;
    }
    this.finish(k);
    this.whole[k] = ended;
  }

  private finish(k: number): void {
    const s = this.whole[k];
    this.whole[k] = null;
    if (!s || since(s.onset.time, s.offset.time) < MIN_S) return;
    this.events.push({
      track: this.track,
      label: this.labels[k],
      onset_s: s.onset.time,
      apex_s: s.apex.time,
      offset_s: s.offset.time,
      onset_frame: s.onset.frame,
      apex_frame: s.apex.frame,
      offset_frame: s.offset.frame,
      peak: s.peak,
      duration_s: since(s.onset.time, s.offset.time),
    });
  }
}
