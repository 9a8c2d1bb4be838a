/** Heat maps: bytes to colours, placed where the model saw the picture. */

import { h } from "./dom.js";
import { fitCanvas } from "./drawing.js";
import { digits } from "./text.js";

/** Inferno at 9 even places (Smith and van der Walt, matplotlib, CC0); between them it is straight. */
const INFERNO = [
  [0, 0, 4], [33, 12, 74], [87, 16, 110], [138, 34, 106], [188, 55, 84], [228, 90, 49], [249, 142, 9], [249, 203, 53], [252, 255, 164],
];

export function colour(t) {
  const place = Math.min(Math.max(t, 0), 1) * (INFERNO.length - 1);
  const low = Math.min(Math.floor(place), INFERNO.length - 2);
  const share = place - low;
  return INFERNO[low].map((value, i) => Math.round(value + (INFERNO[low + 1][i] - value) * share));
}

/** How much of the picture is covered: nothing where there is nothing to say. */
export const alpha = (t) => 0.9 * Math.min(Math.max(t, 0), 1) ** 2.4;

export function bytesOf(encoded) {
  const raw = atob(encoded);
  return Uint8Array.from(raw, (character) => character.charCodeAt(0));
}

/** A map of cosines, row-major; NaN where `blank` says that byte 0 means "not asked". */
export function mapOf(encoded, [rows, cols], crop, [low, high], blank = false) {
  const bytes = bytesOf(encoded);
  const values = Float32Array.from(bytes, (byte) => (blank && byte === 0 ? Number.NaN : low + ((high - low) * byte) / 255));
  return { rows, cols, crop, values };
}

export function evidenceOf(item, { marked = true } = {}) {
  return {
    heat: mapOf(item.heat, item.grid, item.crop, item.range),
    asked: item.query_heat ? mapOf(item.query_heat, item.query_grid, item.query_crop, item.range, marked) : null,
    range: item.range,
  };
}

/** [lowest, highest] cosine of several answers: one scale for all, so that weak ones look weak. */
export function commonRange(evidences) {
  const ranges = evidences.map((one) => one.range);
  return ranges.length
    ? [Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high))]
    : [0, 1];
}

const share = (value, [low, high]) => (high > low ? (value - low) / (high - low) : 1);

export function valueAt({ rows, cols, crop: [x, y, w, h], values }, fx, fy) {
  const col = Math.floor(((fx - x) / w) * cols);
  const row = Math.floor(((fy - y) / h) * rows);
  if (row < 0 || col < 0 || row >= rows || col >= cols) return null;
  const value = values[row * cols + col];
  return Number.isNaN(value) ? null : value;
}

function tiles({ rows, cols, values }, range) {
  const canvas = document.createElement("canvas");
  canvas.width = cols;
  canvas.height = rows;
  const image = new ImageData(cols, rows);
  values.forEach((value, i) => {
    if (Number.isNaN(value)) return;
    const t = share(value, range);
    const [r, g, b] = colour(t);
    image.data.set([r, g, b, Math.round(255 * alpha(t))], i * 4);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/**
 * Paint a map over the picture whose box `canvas` fills: on its crop, which may be less
 * than the picture or reach beyond it. It is cut there, never squeezed.
 */
export function paint(canvas, map, range, scale = 1) {
  const { ctx, width, height } = fitCanvas(canvas, scale);
  if (!map) return;
  const [x, y, w, h] = map.crop;
  ctx.imageSmoothingEnabled = false;
  ctx.drawImage(tiles(map, range), x * width, y * height, w * width, h * height);
}

/** The colours, which app.css draws as on middle grey, with the numbers at their ends. */
export class Legend {
  constructor(words) {
    this.ends = [h("span"), h("span")];
    this.root = h("div.legend.off", null, h("span.vh", null, words), this.ends[0], h("span.ramp"), this.ends[1]);
  }

  show(range) {
    // Unseen, it keeps its place: cards that moved from under the pointer would hide it again.
    this.root.classList.toggle("off", !range);
    if (range) this.ends.forEach((end, i) => (end.textContent = digits(range[i], 2)));
  }
}
