/** Drawing over pictures: canvases of the right size, and lines that show on any colour. */

export function fitCanvas(canvas, scale = 1) {
  const ratio = Math.min(3, window.devicePixelRatio || 1) * scale;
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  const limit = Math.min(1, 3000 / Math.max(1, width * ratio, height * ratio));
  const w = Math.max(1, Math.round(width * ratio * limit));
  const ht = Math.max(1, Math.round(height * ratio * limit));
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== ht) canvas.height = ht;
  const ctx = canvas.getContext("2d");
  ctx.setTransform(w / Math.max(1, width), 0, 0, ht / Math.max(1, height), 0, 0);
  ctx.clearRect(0, 0, width, height);
  return { ctx, width, height };
}

export function pointOn(element, event) {
  const box = element.getBoundingClientRect();
  return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
}

export const askColour = (canvas) => getComputedStyle(canvas).getPropertyValue("--ask-mark").trim();

export const scaled = ({ x, y, w, h }, width, height) => [x * width, y * height, w * width, h * height];

/** Stroke lines `[x0, y0, x1, y1]` in a colour, on a dark rim; `thin` is the width of one pixel. */
export function outline(ctx, lines, colour, { dashed = false, thin = 1 } = {}) {
  ctx.beginPath();
  for (const [x0, y0, x1, y1] of lines) {
    ctx.moveTo(x0, y0);
    ctx.lineTo(x1, y1);
  }
  ctx.lineCap = "square";
  ctx.lineWidth = 4 * thin;
  ctx.strokeStyle = "rgb(0 0 0 / 0.65)";
  ctx.stroke();
  ctx.lineWidth = 2 * thin;
  ctx.strokeStyle = colour;
  if (dashed) ctx.setLineDash([4 * thin, 4 * thin]);
  ctx.stroke();
  ctx.setLineDash([]);
}

export const sides = ([x, y, w, h]) => [
  [x, y, x + w, y],
  [x + w, y, x + w, y + h],
  [x + w, y + h, x, y + h],
  [x, y + h, x, y],
];

export function drawGrid(ctx, lattice, width, height, { dark, light, thin = 1 }) {
  const { rows, cols } = lattice;
  const [x, y, w, h] = scaled({ x: lattice.x, y: lattice.y, w: cols * lattice.cw, h: rows * lattice.ch }, width, height);
  ctx.beginPath();
  for (let col = 0; col <= cols; col += 1) {
    ctx.moveTo(x + (w * col) / cols, y);
    ctx.lineTo(x + (w * col) / cols, y + h);
  }
  for (let row = 0; row <= rows; row += 1) {
    ctx.moveTo(x, y + (h * row) / rows);
    ctx.lineTo(x + w, y + (h * row) / rows);
  }
  for (const [line, style] of [[2 * thin, `rgb(0 0 0 / ${dark})`], [thin, `rgb(255 255 255 / ${light})`]]) {
    ctx.lineWidth = line;
    ctx.strokeStyle = style;
    ctx.stroke();
  }
}
