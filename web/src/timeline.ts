/** The last half minute of one person: a line for each expression, events as bands. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Event } from "./engine/events";
import { colour } from "./labels";

const SPAN_S = 30;
const MOST_POINTS = 2000;

export class Timeline {
  private plot: uPlot | null = null;
  private times: number[] = [];
  private values: number[][];
  private events: Event[] = [];

  constructor(
    private readonly place: HTMLElement,
    private readonly labels: string[],
  ) {
    this.values = labels.map(() => []);
  }

  /** Add what a frame showed; a pause of the face leaves a gap. */
  add(time: number, scores: ArrayLike<number>, absence: number): void {
    const last = this.times[this.times.length - 1];
    if (last !== undefined && time <= last) this.clear();
    if (last !== undefined && time - last > absence) this.push(last + 1e-3, null);
    this.push(time, scores);
  }

  private push(time: number, scores: ArrayLike<number> | null): void {
    this.times.push(time);
    this.values.forEach((line, k) => line.push(scores ? scores[k] : (null as unknown as number)));
    let old = 0;
    while (old < this.times.length && (this.times[old] < time - SPAN_S || this.times.length - old > MOST_POINTS)) old++;
    if (old) {
      this.times.splice(0, old);
      for (const line of this.values) line.splice(0, old);
    }
  }

  clear(): void {
    this.times = [];
    this.values = this.labels.map(() => []);
    this.events = [];
  }

  draw(events: Event[]): void {
    this.events = events;
    const end = this.times[this.times.length - 1] ?? 0;
    if (!this.plot) this.build();
    this.plot?.setData([this.times, ...this.values], false);
    this.plot?.setScale("x", { min: Math.max(0, end - SPAN_S), max: Math.max(end, Math.min(SPAN_S, end + 1)) });
  }

  /** The width or the theme has changed. */
  resize(): void {
    this.plot?.destroy();
    this.plot = null;
    this.draw(this.events);
  }

  private build(): void {
    const style = getComputedStyle(document.documentElement);
    const [text, line] = [style.getPropertyValue("--soft").trim(), style.getPropertyValue("--line").trim()];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    this.plot = new uPlot(
      {
        width: Math.max(this.place.clientWidth, 200),
        height: 190,
        legend: { show: false },
        cursor: { show: false },
        scales: { x: { time: false }, y: { range: [0, 1] } },
        axes: [
          { ...axis, incrs: [1, 2, 5, 10], values: (_, ticks) => ticks.map((t) => `${t} s`) },
          { ...axis, size: 54, splits: [0, 0.25, 0.5, 0.75, 1], values: (_, ticks) => ticks.map((t) => `${Math.round(100 * t)} %`) },
        ],
        series: [
          {},
          ...this.labels.map((label) => ({
            label,
            stroke: colour(label),
            width: label === "neutral" ? 1 : 2,
            points: { show: false },
          })),
        ],
        hooks: { drawClear: [(plot) => this.bands(plot)] },
      },
      [this.times, ...this.values],
      this.place,
    );
  }

  private bands(plot: uPlot): void {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.globalAlpha = 0.16;
    for (const event of this.events) {
      const [x1, x2] = [event.onset_s, event.offset_s].map((t) => plot.valToPos(t, "x", true));
      ctx.fillStyle = colour(event.label);
      ctx.fillRect(x1, bbox.top, Math.max(x2 - x1, 2), bbox.height);
    }
    ctx.restore();
  }
}
