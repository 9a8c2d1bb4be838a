/** A picture to zoom, pan and point at by cell: wheel, pinch, drag, double tap and keys. */

import { button, framed, h } from "./dom.js";
import { askColour, drawGrid, fitCanvas, outline, pointOn, scaled, sides } from "./drawing.js";
import { paint, valueAt } from "./heat.js";
import * as R from "./region.js";
import { text } from "./text.js";

const MOST = 12;
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Where the frame's corner goes so that its point (px, py) stays under the hand while the scale changes. */
export function zoomed({ scale, x, y }, factor, px, py, limit = MOST) {
  const next = Math.min(Math.max(scale * factor, 1), limit);
  return { scale: next, x: px - ((px - x) * next) / scale, y: py - ((py - y) * next) / scale };
}

/** Never so far that the view (box) runs empty; in the middle of a side that the frame does not fill. */
export function held({ scale, x, y }, box, frame) {
  if (scale === 1) return { scale, x: 0, y: 0 }; // where CSS has it, to the fraction of a pixel
  const along = (at, whole, start, size) =>
    size * scale <= whole ? (whole - size * scale) / 2 - start : Math.min(-start, Math.max(at, whole - start - size * scale));
  return { scale, x: along(x, box.width, frame.left, frame.width), y: along(y, box.height, frame.top, frame.height) };
}

export class ZoomView {
  /** picture {src, width, height, grid, crop, alt}; pick([row, col]) when a cell is taken */
  constructor(picture, { id = null, label, pick = null, read = () => {} }) {
    Object.assign(this, { picture, pick, readOut: read, view: { scale: 1, x: 0, y: 0 }, pointers: new Map(), cursor: null, map: null, range: null, opacity: 1, gridOn: false, picking: Boolean(pick), chosen: null });
    this.lattice = R.latticeOf(picture);
    this.heat = h("canvas.heat", { "aria-hidden": "true" });
    this.marks = h("canvas.marks", { "aria-hidden": "true" });
    this.frame = framed({ ...picture, lazy: false }, this.heat, this.marks);
    this.box = h("div.zoom", { id, tabindex: "0", role: "application", "aria-label": label }, this.frame);
    this.root = h(
      "div.zoom-home",
      { style: { "--ar": String(picture.width / picture.height) } },
      this.box,
      h(
        "div.zoom-tools",
        null,
        button(text.zoom.in, { sign: "plus", bare: true, key: "+" }, () => this.zoom(1.5)),
        button(text.zoom.out, { sign: "minus", bare: true, key: "-" }, () => this.zoom(1 / 1.5)),
        button(text.zoom.fit, { sign: "fit", bare: true, key: "0" }, () => this.fit()),
      ),
    );
    const on = (type, run, options) => this.box.addEventListener(type, (event) => run.call(this, event), options);
    on("wheel", this.wheel, { passive: false });
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.up);
    on("keydown", this.key);
    on("focus", this.draw);
    on("blur", this.draw);
    this.resizer = new ResizeObserver(() => this.apply());
    this.resizer.observe(this.box);
  }

  end() {
    this.resizer.disconnect();
  }

  showHeat(map, range) {
    this.map = map;
    this.range = range;
    this.draw();
  }

  choose(cell) {
    this.chosen = cell;
    if (cell) this.cursor = cell;
    this.draw();
  }

  set(values) {
    Object.assign(this, values);
    this.draw();
  }

  draw() {
    if (!this.frame.clientWidth) return;
    this.frame.classList.toggle("hot", Boolean(this.map));
    this.heat.style.opacity = String(this.opacity);
    if (this.map) paint(this.heat, this.map, this.range, Math.min(3, this.view.scale));
    const { ctx, width, height } = fitCanvas(this.marks, Math.min(3, this.view.scale));
    const thin = 1 / this.view.scale;
    if (this.gridOn) drawGrid(ctx, this.lattice, width, height, { dark: 0.35, light: 0.6, thin });
    const mark = (cell, colour, dashed) =>
      outline(ctx, sides(scaled(R.clipped(this.lattice, R.cellBox(cell)), width, height)), colour, { dashed, thin });
    if (this.chosen) mark(this.chosen, askColour(this.marks), false);
    const apart = this.cursor && String(this.cursor) !== String(this.chosen);
    if (apart && this.picking && document.activeElement === this.box) mark(this.cursor, "#ffffff", true);
  }

  apply() {
    const { box, frame } = this;
    const inner = { left: frame.offsetLeft, top: frame.offsetTop, width: frame.offsetWidth, height: frame.offsetHeight };
    this.view = held(this.view, { width: box.clientWidth, height: box.clientHeight }, inner);
    const { scale, x, y } = this.view;
    this.frame.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.box.classList.toggle("zoomed", scale > 1);
    this.draw();
  }

  zoom(factor, px = this.box.clientWidth / 2, py = this.box.clientHeight / 2) {
    this.view = zoomed(this.view, factor, px - this.frame.offsetLeft, py - this.frame.offsetTop);
    this.apply();
  }

  fit() {
    this.view = { scale: 1, x: 0, y: 0 };
    this.apply();
  }

  pan(dx, dy) {
    this.view = { ...this.view, x: this.view.x + dx, y: this.view.y + dy };
    this.apply();
  }

  wheel(event) {
    // A whole picture cannot get smaller: the wheel then scrolls the page.
    if (event.deltaY > 0 && this.view.scale === 1) return;
    event.preventDefault();
    const [px, py] = this.place(event);
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0018)), px, py);
  }

  place(event) {
    const box = this.box.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    if (event.button > 0) return;
    this.box.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    if (this.pointers.size === 1) this.tap = { at: this.place(event), far: false };
    else if (this.tap) this.tap.far = true;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.tell(event);
      return;
    }
    const now = this.place(event);
    if (Math.hypot(now[0] - this.tap.at[0], now[1] - this.tap.at[1]) > 5) this.tap.far = true;
    const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (other) {
      const reach = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
      const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
      this.zoom(reach(now, other) / Math.max(1, reach(before, other)), ...middle);
      this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    } else if (this.tap.far && this.view.scale > 1) this.pan(now[0] - before[0], now[1] - before[1]);
    this.pointers.set(event.pointerId, now);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (event.type === "pointerup" && !this.pointers.size && !this.tap.far && this.picking && this.pick) {
      const [fx, fy] = pointOn(this.frame, event);
      if (fx < 0 || fy < 0 || fx > 1 || fy > 1) return;
      const cell = R.cellAt(this.lattice, fx, fy);
      if (R.seen(this.lattice, ...cell)) this.take(cell);
      else this.readOut(text.zoom.unseen);
    }
  }

  tell(event) {
    if (!this.map) return;
    const value = valueAt(this.map, ...pointOn(this.frame, event));
    this.readOut(value === null ? "" : text.results.reading(value));
  }

  take(cell) {
    this.cursor = cell;
    this.choose(cell);
    this.pick(cell);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = ARROWS[event.key];
    if (step && this.picking && !event.shiftKey) this.moveCursor(step);
    else if (step) this.pan(-step[1] * 60, -step[0] * 60);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.fit();
    else if ((event.key === "Enter" || event.key === " ") && this.picking) this.take(this.cursor ?? this.middle());
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  middle() {
    return [Math.floor(this.lattice.rows / 2), Math.floor(this.lattice.cols / 2)];
  }

  moveCursor([down, across]) {
    const at = this.cursor;
    const next = at ? R.insideGrid(this.lattice, [at[0] + down, at[1] + across]) : this.middle();
    // Cells of padding have nothing to show.
    if (at && !R.seen(this.lattice, ...next)) return;
    this.cursor = next;
    this.reveal(next);
    this.draw();
    const value = this.map ? this.map.values[next[0] * this.map.cols + next[1]] : null;
    this.readOut(text.zoom.cursor(next, value));
  }

  reveal([row, col]) {
    const { scale, x, y } = this.view;
    const left = x + (this.frame.offsetLeft + (this.lattice.x + (col + 0.5) * this.lattice.cw) * this.frame.clientWidth) * scale;
    const top = y + (this.frame.offsetTop + (this.lattice.y + (row + 0.5) * this.lattice.ch) * this.frame.clientHeight) * scale;
    const { clientWidth: width, clientHeight: height } = this.box;
    const off = (at, size) => (at < 30 ? 30 - at : at > size - 30 ? size - 30 - at : 0);
    const [dx, dy] = [off(left, width), off(top, height)];
    if (dx || dy) this.pan(dx, dy);
  }
}
