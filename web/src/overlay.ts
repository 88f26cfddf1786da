/** Boxes, names and bars over the picture. */

import type { Row } from "./engine/pipeline";
import { colour } from "./labels";

/** Black or white, whichever reads better on a colour (contrast as WCAG 2 defines it). */
export function ink(background: string): string {
  const channel = (at: number): number => {
    const v = Number.parseInt(background.slice(at, at + 2), 16) / 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  };
  const light = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
  return 1.05 / (light + 0.05) > (light + 0.05) / 0.058 ? "#ffffff" : "#14171c";
}

/** Draw the faces of one frame on a canvas that has the frame's own size. */
export function drawFaces(canvas: HTMLCanvasElement, rows: Row[], width: number, height: number): void {
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  if (!context) return;
  context.clearRect(0, 0, width, height);
  // lines and letters keep their size on the screen, whatever the picture's
  const unit = width / Math.max(canvas.clientWidth, 1);
  for (const row of rows) {
    const shade = row.unsure ? "#9aa0a8" : colour(row.label);
    const [x1, y1, x2, y2] = row.box;
    context.lineWidth = 2.5 * unit;
    context.setLineDash(row.unsure ? [6 * unit, 4 * unit] : []);
    context.strokeStyle = shade;
    context.beginPath();
    context.roundRect(x1, y1, x2 - x1, y2 - y1, 6 * unit);
    context.stroke();
    context.setLineDash([]);
    const size = 13 * unit;
    context.font = `600 ${size}px system-ui, sans-serif`;
    const who = row.track >= 0 ? `${row.track + 1} · ` : "";
    const text = `${who}${row.unsure ? "unsure" : row.label} ${Math.round(100 * row.score)} %`;
    const wide = context.measureText(text).width + 12 * unit;
    const high = size + 8 * unit;
    const x = Math.min(Math.max(x1, 0), Math.max(width - wide, 0));
    const y = y1 - high - 3 * unit >= 0 ? y1 - high - 3 * unit : Math.min(y2 + 3 * unit, height - high);
    context.fillStyle = shade;
    context.beginPath();
    context.roundRect(x, y, wide, high, 5 * unit);
    context.fill();
    context.fillStyle = ink(shade);
    context.textBaseline = "middle";
    context.fillText(text, x + 6 * unit, y + high / 2);
  }
}
