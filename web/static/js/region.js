/**
 * Cells of the patch grid on a picture, as arithmetic.
 *
 * A *lattice* is the patch grid carried on over the whole picture; the model sees the
 * cells from (0, 0) to (rows - 1, cols - 1). Positions are fractions of the upright
 * picture, a *rectangle* is `{r0, c0, r1, c1}` in cells, r1 and c1 outside; *painted
 * cells* are a Set of `row * cols + col`.
 */

const HAIR = 1e-6;

export function latticeOf({ grid: [rows, cols], crop: [x, y, w, h], width, height }) {
  const cw = w / cols;
  const ch = h / rows;
  return {
    rows,
    cols,
    x,
    y,
    cw,
    ch,
    width,
    height,
    rMin: Math.floor(-y / ch + HAIR),
    cMin: Math.floor(-x / cw + HAIR),
    rMax: Math.ceil((1 - y) / ch - HAIR),
    cMax: Math.ceil((1 - x) / cw - HAIR),
  };
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export function cellAt(lattice, fx, fy) {
  return [
    clamp(Math.floor((fy - lattice.y) / lattice.ch), lattice.rMin, lattice.rMax - 1),
    clamp(Math.floor((fx - lattice.x) / lattice.cw), lattice.cMin, lattice.cMax - 1),
  ];
}

export const cellBox = ([row, col]) => ({ r0: row, c0: col, r1: row + 1, c1: col + 1 });

export function seen(lattice, row, col) {
  if (row < 0 || col < 0 || row >= lattice.rows || col >= lattice.cols) return false;
  const { x, y, w, h } = clipped(lattice, cellBox([row, col]));
  return w * h >= (lattice.cw * lattice.ch) / 2 - HAIR;
}

export const insideGrid = (lattice, [row, col]) => [clamp(row, 0, lattice.rows - 1), clamp(col, 0, lattice.cols - 1)];

export function span([ra, ca], [rb, cb]) {
  return { r0: Math.min(ra, rb), c0: Math.min(ca, cb), r1: Math.max(ra, rb) + 1, c1: Math.max(ca, cb) + 1 };
}

export function clipped(lattice, { r0, c0, r1, c1 }) {
  const x0 = clamp(lattice.x + c0 * lattice.cw, 0, 1);
  const y0 = clamp(lattice.y + r0 * lattice.ch, 0, 1);
  const x1 = clamp(lattice.x + c1 * lattice.cw, 0, 1);
  const y1 = clamp(lattice.y + r1 * lattice.ch, 0, 1);
  return { x: x0, y: y0, w: x1 - x0, h: y1 - y0 };
}

/**
 * The API's region for a rectangle. One that the picture's edge leaves less than a whole
 * cell takes in the next, for the server would refuse it.
 */
export function regionOf(lattice, rectangle) {
  const full = widened(lattice, rectangle);
  const { x, y, w, h } = clipped(lattice, full);
  // A hair more than the cells, so that rounding never makes it less than a patch.
  const grown = { x: Math.max(0, x - 1e-5), y: Math.max(0, y - 1e-5) };
  return {
    ...grown,
    w: Math.min(1, x + w + 1e-5) - grown.x,
    h: Math.min(1, y + h + 1e-5) - grown.y,
  };
}

function widened(lattice, { r0, c0, r1, c1 }) {
  const rectangle = { r0, c0, r1, c1 };
  const { w, h } = clipped(lattice, rectangle);
  if (c1 - c0 === 1 && w < lattice.cw - HAIR) {
    if (c0 <= lattice.cMin) rectangle.c1 = Math.min(c1 + 1, lattice.cMax);
    else rectangle.c0 = c0 - 1;
  }
  if (r1 - r0 === 1 && h < lattice.ch - HAIR) {
    if (r0 <= lattice.rMin) rectangle.r1 = Math.min(r1 + 1, lattice.rMax);
    else rectangle.r0 = r0 - 1;
  }
  return rectangle;
}

export function fromFractions(lattice, { x, y, w, h }) {
  // Three decimals in the URL: the picture's own edge must find the outermost cell again.
  const edge = 0.0011;
  const low = (value, start, size, min) => (value <= edge ? min : Math.max(min, Math.round((value - start) / size)));
  const high = (value, start, size, max) => (value >= 1 - edge ? max : Math.min(max, Math.round((value - start) / size)));
  const r0 = Math.min(low(y, lattice.y, lattice.ch, lattice.rMin), lattice.rMax - 1);
  const c0 = Math.min(low(x, lattice.x, lattice.cw, lattice.cMin), lattice.cMax - 1);
  return {
    r0,
    c0,
    r1: Math.max(r0 + 1, high(y + h, lattice.y, lattice.ch, lattice.rMax)),
    c1: Math.max(c0 + 1, high(x + w, lattice.x, lattice.cw, lattice.cMax)),
  };
}

export function moved(lattice, { r0, c0, r1, c1 }, down, across) {
  const dr = clamp(down, lattice.rMin - r0, lattice.rMax - r1);
  const dc = clamp(across, lattice.cMin - c0, lattice.cMax - c1);
  return { r0: r0 + dr, c0: c0 + dc, r1: r1 + dr, c1: c1 + dc };
}

export function grown(lattice, { r0, c0, r1, c1 }, down, across) {
  return { r0, c0, r1: clamp(r1 + down, r0 + 1, lattice.rMax), c1: clamp(c1 + across, c0 + 1, lattice.cMax) };
}

export function resized({ r0, c0, r1, c1 }, handle, [row, col]) {
  let [top, left, bottom, right] = [r0, c0, r1 - 1, c1 - 1];
  if (handle.includes("n")) top = row;
  if (handle.includes("s")) bottom = row;
  if (handle.includes("w")) left = col;
  if (handle.includes("e")) right = col;
  return span([top, left], [bottom, right]);
}

export function centred(lattice) {
  const height = Math.max(1, Math.round(lattice.rows / 3));
  const width = Math.max(1, Math.round(lattice.cols / 3));
  const r0 = Math.floor((lattice.rows - height) / 2);
  const c0 = Math.floor((lattice.cols - width) / 2);
  return moved(lattice, { r0, c0, r1: r0 + height, c1: c0 + width }, 0, 0);
}

/** Kept on the picture, whatever was typed: left, top, width and height in patches from its corner. */
export function fromNumbers(lattice, { left, top, width, height }) {
  const c0 = clamp(Math.round(left) + lattice.cMin, lattice.cMin, lattice.cMax - 1);
  const r0 = clamp(Math.round(top) + lattice.rMin, lattice.rMin, lattice.rMax - 1);
  return {
    r0,
    c0,
    r1: clamp(r0 + Math.round(height), r0 + 1, lattice.rMax),
    c1: clamp(c0 + Math.round(width), c0 + 1, lattice.cMax),
  };
}

export const toNumbers = (lattice, { r0, c0, r1, c1 }) => ({
  left: c0 - lattice.cMin,
  top: r0 - lattice.rMin,
  width: c1 - c0,
  height: r1 - r0,
});

export function cellsOf(lattice, { r0, c0, r1, c1 }) {
  const cells = new Set();
  for (let row = r0; row < r1; row += 1) {
    for (let col = c0; col < c1; col += 1) if (seen(lattice, row, col)) cells.add(row * lattice.cols + col);
  }
  return cells;
}

export function brushed(lattice, [row, col], size) {
  const before = Math.floor((size - 1) / 2);
  return cellsOf(lattice, { r0: row - before, c0: col - before, r1: row - before + size, c1: col - before + size });
}

/** Cells on the straight line between two, so that a fast stroke has no gaps. */
export function stroke([ra, ca], [rb, cb]) {
  const steps = Math.max(Math.abs(rb - ra), Math.abs(cb - ca), 1);
  return Array.from({ length: steps + 1 }, (_, i) => [
    Math.round(ra + ((rb - ra) * i) / steps),
    Math.round(ca + ((cb - ca) * i) / steps),
  ]);
}

export const pairsOf = (lattice, cells) =>
  [...cells].sort((a, b) => a - b).map((cell) => [Math.floor(cell / lattice.cols), cell % lattice.cols]);

/** base64url of one bit a cell, row-major, the first cell in the highest bit. "" for none. */
export function encodeCells(lattice, cells) {
  if (!cells.size) return "";
  const bytes = new Uint8Array(Math.ceil((lattice.rows * lattice.cols) / 8));
  for (const cell of cells) bytes[cell >> 3] |= 128 >> (cell & 7);
  let last = bytes.length;
  while (last > 1 && bytes[last - 1] === 0) last -= 1;
  return btoa(String.fromCharCode(...bytes.subarray(0, last))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The painted cells again, or null when the text is none or marks a cell outside the grid. */
export function decodeCells(lattice, encoded) {
  let bytes;
  try {
    bytes = atob(encoded.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    return null;
  }
  const cells = new Set();
  for (let i = 0; i < bytes.length * 8; i += 1) {
    if (!(bytes.charCodeAt(i >> 3) & (128 >> (i & 7)))) continue;
    if (i >= lattice.rows * lattice.cols) return null;
    cells.add(i);
  }
  return cells.size ? cells : null;
}
