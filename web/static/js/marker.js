/** The canvas over the query picture on which a part of it is marked: pointer, touch and keyboard. */

import { askColour, drawGrid, fitCanvas, outline, pointOn, scaled, sides } from "./drawing.js";
import * as R from "./region.js";

const HANDLES = [["nw", 0, 0], ["n", 0.5, 0], ["ne", 1, 0], ["e", 1, 0.5], ["se", 1, 1], ["s", 0.5, 1], ["sw", 0, 1], ["w", 0, 0.5]];
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const NOTHING = { rect: null, cells: null };

export class Marker {
  /** draft({rect, cells}) while it changes, commit(…) when the hand is off, hint(cell, marked) */
  constructor(canvas, lattice, { draft, commit, hint }) {
    Object.assign(this, { canvas, lattice, draft, commit, hint, tool: "pan", size: 1, erasing: false, shape: NOTHING, drag: null, cursor: null, hover: null });
    const on = (type, run) => canvas.addEventListener(type, (event) => run.call(this, event));
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.abandon);
    on("pointerleave", () => this.point(null));
    on("keydown", this.press);
    on("focus", this.draw);
    on("blur", this.draw);
    this.resizer = new ResizeObserver(() => this.draw());
    this.resizer.observe(canvas);
    this.use(this.tool);
  }

  end() {
    this.resizer.disconnect();
  }

  use(tool) {
    this.tool = tool;
    // Only an active tool takes the finger away from scrolling the page.
    this.canvas.style.touchAction = tool === "pan" ? "auto" : "none";
    this.canvas.dataset.tool = tool;
    this.cursor = null;
    this.draw();
  }

  show(shape) {
    this.shape = shape;
    if (!this.drag) this.draw();
  }

  down(event) {
    if (this.tool === "pan" || event.button > 0 || this.drag) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    const cell = this.cellOf(event);
    this.cursor = null;
    this.drag = { id: event.pointerId, start: cell, last: cell, before: this.shape, moved: false };
    if (this.tool === "rect") {
      const grip = this.gripAt(event);
      this.drag.grip = grip;
      this.drag.rect = this.shape.rect;
      return;
    }
    const here = R.insideGrid(this.lattice, cell);
    const painted = this.painted();
    const [key] = R.brushed(this.lattice, here, 1);
    // A patch that is on goes off, and the stroke that begins there goes on erasing.
    this.drag.erase = event.altKey || this.erasing || (this.tool === "patch" && painted.has(key));
    this.drag.cells = painted;
    this.paint(here, here);
  }

  move(event) {
    this.point(this.tool === "pan" ? null : this.cellOf(event));
    if (!this.drag || event.pointerId !== this.drag.id) {
      if (this.tool === "rect") this.canvas.style.cursor = cursorOf(this.gripAt(event));
      else this.canvas.style.cursor = "";
      return;
    }
    const cell = this.cellOf(event);
    const { drag } = this;
    if (cell[0] === drag.last[0] && cell[1] === drag.last[1] && (drag.moved || this.tool !== "rect")) return;
    const far = Math.hypot(cell[0] - drag.start[0], cell[1] - drag.start[1]) > 0;
    if (this.tool === "rect") {
      if (!far && !drag.moved) return;
      drag.moved = true;
      this.change({ rect: this.dragged(cell), cells: null });
    } else this.paint(R.insideGrid(this.lattice, drag.last), R.insideGrid(this.lattice, cell));
    drag.last = cell;
  }

  up(event) {
    if (!this.drag || event.pointerId !== this.drag.id) return;
    const { moved } = this.drag;
    this.drag = null;
    if (moved) this.commit(this.shape);
    this.draw();
  }

  abandon() {
    if (!this.drag) return false;
    const { before } = this.drag;
    this.drag = null;
    this.change(before);
    return true;
  }

  point(cell) {
    if (String(cell) === String(this.hover)) return;
    this.hover = cell;
    if (this.tool === "brush" || this.tool === "patch") this.draw();
  }

  cellOf(event) {
    return R.cellAt(this.lattice, ...pointOn(this.canvas, event));
  }

  gripAt(event) {
    const { rect } = this.shape;
    if (!rect) return null;
    const box = this.canvas.getBoundingClientRect();
    const { x, y, w, h } = R.clipped(this.lattice, rect);
    const px = event.clientX - box.left;
    const py = event.clientY - box.top;
    const reach = event.pointerType === "touch" ? 24 : 12;
    let best = null;
    let least = reach;
    for (const [name, fx, fy] of HANDLES) {
      const distance = Math.hypot(px - (x + w * fx) * box.width, py - (y + h * fy) * box.height);
      if (distance <= least) [best, least] = [name, distance];
    }
    const inside = px > x * box.width && px < (x + w) * box.width && py > y * box.height && py < (y + h) * box.height;
    // In a small rectangle the handles would leave no place to take hold of it.
    const middle = Math.hypot(px - (x + w / 2) * box.width, py - (y + h / 2) * box.height);
    if (inside && (!best || middle < least)) return "move";
    return best;
  }

  dragged(cell) {
    const { grip, rect, start } = this.drag;
    if (grip === "move") return R.moved(this.lattice, rect, cell[0] - start[0], cell[1] - start[1]);
    return grip ? R.resized(rect, grip, cell) : R.span(start, cell);
  }

  painted() {
    const { rect, cells } = this.shape;
    return new Set(cells ?? (rect ? R.cellsOf(this.lattice, rect) : []));
  }

  paint(from, to) {
    const { drag } = this;
    drag.moved = true;
    const size = this.tool === "brush" ? this.size : 1;
    for (const cell of R.stroke(from, to)) {
      for (const one of R.brushed(this.lattice, cell, size)) drag.erase ? drag.cells.delete(one) : drag.cells.add(one);
    }
    this.change({ rect: null, cells: drag.cells.size ? new Set(drag.cells) : null });
  }

  change(shape) {
    this.shape = shape;
    this.draft(shape);
    this.draw();
  }

  press(event) {
    if (event.ctrlKey || event.metaKey) return;
    const step = ARROWS[event.key];
    const { lattice } = this;
    const { rect } = this.shape;
    const painting = this.tool === "brush" || this.tool === "patch";
    let next = null;
    if (event.key === "Escape" && this.abandon()) {
      event.preventDefault();
      event.stopPropagation();
      return;
    }
    if (painting && (step || event.key === " ")) {
      event.preventDefault();
      const at = this.cursor ?? [Math.floor(lattice.rows / 2), Math.floor(lattice.cols / 2)];
      this.cursor = this.cursor && step ? R.insideGrid(lattice, [at[0] + step[0], at[1] + step[1]]) : at;
      this.hint(this.cursor, this.painted().has(this.cursor[0] * lattice.cols + this.cursor[1]));
      if (event.key === " ") next = this.toggled(event.altKey || this.erasing);
      else this.draw();
    } else if (step && rect && !event.altKey) {
      event.preventDefault();
      const go = event.shiftKey ? R.grown : R.moved;
      next = { rect: go(lattice, rect, ...step), cells: null };
    } else if (event.key === "Enter" && !rect && !painting) {
      event.preventDefault();
      next = { rect: R.centred(lattice), cells: null };
    }
    if (!next) return;
    this.change(next);
    this.commit(next);
  }

  toggled(erase) {
    const cells = this.painted();
    const touched = R.brushed(this.lattice, this.cursor, this.tool === "brush" ? this.size : 1);
    const off = erase || [...touched].every((one) => cells.has(one));
    for (const one of touched) off ? cells.delete(one) : cells.add(one);
    return { rect: null, cells: cells.size ? cells : null };
  }

  draw() {
    if (!this.canvas.clientWidth) return;
    const { ctx, width, height } = fitCanvas(this.canvas);
    const { lattice } = this;
    const asked = askColour(this.canvas);
    const box = (rectangle) => scaled(R.clipped(lattice, rectangle), width, height);
    const whole = { r0: 0, c0: 0, r1: lattice.rows, c1: lattice.cols };
    hatch(ctx, width, height, box(whole));
    const fine = Math.min(lattice.cw * width, lattice.ch * height) < 4;
    if (this.tool !== "pan" && !fine) drawGrid(ctx, lattice, width, height, { dark: 0.1, light: 0.2 });
    const { rect, cells } = this.shape;
    if (cells) {
      ctx.fillStyle = asked;
      ctx.globalAlpha = 0.38;
      ctx.beginPath();
      for (const cell of R.pairsOf(lattice, cells)) ctx.rect(...box(R.cellBox(cell)));
      ctx.fill();
      ctx.globalAlpha = 1;
      outline(ctx, edges(lattice, cells, width, height), asked);
    }
    if (rect) {
      const [x, y, w, h] = box(rect);
      outline(ctx, sides([x, y, w, h]), asked);
      if (this.tool === "rect") for (const [, fx, fy] of HANDLES) handle(ctx, x + w * fx, y + h * fy, asked);
    }
    const focused = document.activeElement === this.canvas;
    const preview = focused && this.cursor ? this.cursor : this.hover;
    if (preview && (this.tool === "brush" || this.tool === "patch") && !this.drag) {
      const touched = R.brushed(lattice, R.insideGrid(lattice, preview), this.tool === "brush" ? this.size : 1);
      outline(ctx, edges(lattice, touched, width, height), "#ffffff", { dashed: true });
    }
  }
}

function cursorOf(grip) {
  if (!grip) return "crosshair";
  return grip === "move" ? "move" : `${grip}-resize`;
}

function hatch(ctx, width, height, [x, y, w, h]) {
  if (x <= 0.5 && y <= 0.5 && x + w >= width - 0.5 && y + h >= height - 0.5) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(0, 0, width, height);
  ctx.rect(x, y, w, h);
  ctx.clip("evenodd");
  ctx.fillStyle = "rgb(20 24 28 / 0.38)";
  ctx.fillRect(0, 0, width, height);
  ctx.strokeStyle = "rgb(255 255 255 / 0.35)";
  ctx.lineWidth = 1;
  ctx.beginPath();
  for (let at = -height; at < width; at += 8) {
    ctx.moveTo(at, height);
    ctx.lineTo(at + height, 0);
  }
  ctx.stroke();
  ctx.restore();
}

function edges(lattice, cells, width, height) {
  const lines = [];
  for (const cell of cells) {
    const col = cell % lattice.cols;
    const box = scaled(R.clipped(lattice, R.cellBox([Math.floor(cell / lattice.cols), col])), width, height);
    const [top, right, bottom, left] = sides(box);
    if (!cells.has(cell - lattice.cols)) lines.push(top);
    if (!cells.has(cell + lattice.cols)) lines.push(bottom);
    if (col === 0 || !cells.has(cell - 1)) lines.push(left);
    if (col === lattice.cols - 1 || !cells.has(cell + 1)) lines.push(right);
  }
  return lines;
}

function handle(ctx, x, y, colour) {
  ctx.fillStyle = "#ffffff";
  ctx.strokeStyle = "rgb(0 0 0 / 0.7)";
  ctx.lineWidth = 1;
  ctx.fillRect(x - 4, y - 4, 8, 8);
  ctx.strokeRect(x - 4.5, y - 4.5, 9, 9);
  ctx.fillStyle = colour;
  ctx.fillRect(x - 2, y - 2, 4, 4);
}
