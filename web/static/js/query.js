/** The question's panel: the query picture or pictures, what is marked on them, and how to search. */

import { address } from "./api.js";
import { button, debounce, field, fill, find, framed, h, tick } from "./dom.js";
import { paint } from "./heat.js";
import { Marker } from "./marker.js";
import * as R from "./region.js";
import { asking } from "./state.js";
import { text } from "./text.js";

const SETTLE = 200;
const SIZES = [1, 2, 3, 5, 8];

export class QueryPanel {
  /** draft(patch) while dragging, commit(patch) to search, fault(name, value), add(), keep(record, pinned) */
  constructor(root, handlers) {
    Object.assign(this, { root, ...handlers, drawn: null, records: [] });
    // Fingers scroll the page first; a pointer that is no finger marks at once.
    this.tool = matchMedia("(pointer: coarse)").matches ? "pan" : "rect";
    this.settle = debounce((patch) => this.commit(patch), SETTLE);
  }

  show(records, state, info) {
    this.records = records;
    this.state = state;
    this.most = info?.limits?.k ?? 500;
    const key = records.map((one) => `${one.query_id} ${one.pinned}`).join(",");
    if (key !== this.drawn) {
      this.drawn = key;
      this.marker?.end();
      this.marker = null;
      const single = records.length === 1;
      fill(this.root, single ? this.picture(records[0]) : this.strip(records), single ? this.modes() : this.combine(), this.options());
    }
    this.refresh();
  }

  picture(record) {
    const words = text.query;
    this.lattice = R.latticeOf(record);
    const { x, y, w, h: height } = R.clipped(this.lattice, { r0: 0, c0: 0, r1: this.lattice.rows, c1: this.lattice.cols });
    const partly = x > 0.002 || y > 0.002 || w < 0.996 || height < 0.996;
    this.canvas = h("canvas#query-canvas", {
      tabindex: "0",
      role: "application",
      "aria-label": words.canvas(record.name),
      "aria-describedby": "region-label canvas-keys",
      title: partly ? words.unseen : null,
    });
    this.askedHeat = h("canvas.heat", { "aria-hidden": "true" });
    const tool = (name, key) =>
      button(words.tools[name], { id: `tool-${name}`, sign: name, key, "aria-pressed": "false", bare: true }, () => this.use(name));
    this.sizeLabel = h("span.size");
    this.brushRow = h(
      "div.row.brush",
      { hidden: true },
      button(words.smaller, { sign: "minus", bare: true, key: "-" }, () => this.resize(-1)),
      this.sizeLabel,
      button(words.larger, { sign: "plus", bare: true, key: "+" }, () => this.resize(1)),
      button(words.erase, { id: "erase", sign: "erase", "aria-pressed": "false" }, () => this.erase(!this.marker.erasing)),
    );
    this.label = h("p#region-label", { "aria-live": "polite" });
    this.numbers = ["left", "top", "width", "height"].map((name) =>
      field(`region-${name}`, words.numbers[name], { type: "number", step: "1", min: name === "left" || name === "top" ? "0" : "1", inputmode: "numeric", on: { change: () => this.typed() } }),
    );
    const frame = framed(
      { src: address(record.image), width: record.width, height: record.height, alt: words.alt(record.name), lazy: false },
      this.askedHeat,
      this.canvas,
    );
    this.marker = new Marker(this.canvas, this.lattice, {
      draft: (shape) => this.changed(shape),
      commit: (shape) => this.settle(this.patchOf(shape)),
      hint: (cell, on) => (this.label.textContent = words.cursor(cell, on)),
    });
    return [
      h("div.query-picture", null, frame),
      h(
        "div.tools",
        { role: "toolbar", "aria-label": words.toolbar },
        tool("rect", "R"),
        tool("brush", "B"),
        tool("patch", "P"),
        tool("pan", null),
        button(words.clear, { id: "clear-region", sign: "clear", bare: true, key: "Esc" }, () => this.clear()),
        this.label,
      ),
      this.brushRow,
      h("p#canvas-keys.vh", null, words.keys),
      partly && h("p.hint.hatched", null, words.unseen),
      this.about(record),
      h("details.numbers", null, h("summary", null, words.numbersTitle), h("div.fields", null, this.numbers)),
    ];
  }

  about(record) {
    const words = text.query;
    const kept = record.image_id === null;
    return h(
      "div.about",
      null,
      h("p.name", { title: record.name }, h("bdi", null, record.name)),
      h("p.quiet", null, text.pixels(record.width, record.height), kept && ` · ${record.expires_at ? words.until(record.expires_at) : words.kept}`),
      (record.notes ?? []).map((note) => h("p.hint", null, note.text)),
      h(
        "div.row",
        null,
        kept && button(words.keep, { id: "keep", sign: "pin", "aria-pressed": String(Boolean(record.pinned)) }, () => this.keep(record, !record.pinned)),
        !kept && h("a.button", { href: `/image/${record.image_id}` }, words.page),
        button(words.add, { id: "add-query", sign: "plus" }, () => this.add()),
        button(words.remove, { id: "remove-query", sign: "close", bare: true }, () => this.drop(0)),
      ),
    );
  }

  strip(records) {
    const words = text.query;
    return h(
      "ul#query-strip",
      { "aria-label": words.strip },
      records.map((record, i) =>
        h(
          "li",
          null,
          h("div.stage", null, framed({ src: address(record.image), width: record.width, height: record.height, alt: words.alt(record.name), lazy: false })),
          h("span.name", { title: record.name }, h("bdi", null, record.name)),
          button(words.removeOne(record.name), { sign: "close", bare: true }, () => this.drop(i)),
        ),
      ),
      h("li.add", null, button(words.add, { id: "add-query", sign: "plus" }, () => this.add())),
    );
  }

  drop(i) {
    this.commit(asking(this.state.q.filter((_, other) => other !== i)));
  }

  combine() {
    const words = text.query;
    return h("div.group", null, choices(words.combine, [["mean", words.mean], ["any", words.any]], "combine", (combine) => this.commit({ combine })), h("p.hint", null, words.oneForRegion));
  }

  modes() {
    const words = text.query;
    this.weightOut = h("output", { for: "weight" });
    this.weight = h("input#weight", { type: "range", min: "0", max: "1", step: "0.05" });
    this.weight.addEventListener("input", () => {
      this.weightOut.textContent = words.weightValue(Number(this.weight.value));
      this.draft({ w: Number(this.weight.value) });
    });
    this.weight.addEventListener("change", () => this.settle({ w: Number(this.weight.value) }));
    this.weightRow = h("div.field.weight", { hidden: true }, h("label", { for: "weight" }, words.weight), this.weight, this.weightOut);
    return h(
      "div.group",
      null,
      choices(words.mode, [["image", words.image], ["region", words.region], ["both", words.both]], "mode", (mode) => this.setMode(mode)),
      this.weightRow,
      this.hintRow = h("p.hint", { hidden: true }, words.markFirst),
    );
  }

  setMode(mode) {
    if (mode !== "image" && !this.state.r && !this.state.m && this.tool === "pan") this.use("rect");
    this.commit({ mode });
  }

  options() {
    const words = text.query;
    const { state } = this;
    const numeric = (id, label, props, read) => {
      const one = field(id, label, { type: "number", ...props });
      find("input", one).addEventListener("change", (event) => event.target.reportValidity() && this.commit(read(event.target.value)));
      return one;
    };
    this.position = tick("position", words.position, state.pos, (pos) => this.commit({ pos }), words.positionTip);
    this.exact = tick("exact", words.exact, state.exact, (exact) => this.commit({ exact }), words.exactTip);
    this.dedupe = tick("dedupe", words.dedupe, state.dup === "hide", (on) => this.commit({ dup: on ? "hide" : "show" }), words.dedupeTip);
    return h(
      "details.options",
      { open: matchMedia("(min-width: 760px)").matches },
      h("summary", null, words.options),
      this.position,
      this.exact,
      this.dedupe,
      h(
        "div.fields",
        null,
        numeric("k", words.k, { min: "1", step: "1", required: true }, (value) => ({ k: Number(value) })),
        numeric("min-score", words.min, { min: "-1", max: "1", step: "any", placeholder: words.none }, (value) => ({ min: value === "" ? null : Number(value) })),
      ),
    );
  }

  refresh() {
    const { state } = this;
    const set = (id, value) => {
      const input = find(`#${id}`, this.root);
      if (input && document.activeElement !== input) input.value = value;
    };
    find("#exact", this.root).checked = state.exact;
    find("#position", this.root).checked = state.pos;
    find("#dedupe", this.root).checked = state.dup === "hide";
    this.position.hidden = this.records.length > 1;
    set("k", String(state.k));
    find("#k", this.root).max = String(this.most);
    set("min-score", state.min ?? "");
    for (const one of this.root.querySelectorAll("[data-choice]")) {
      one.setAttribute("aria-pressed", String(state[one.dataset.choice] === one.dataset.value));
    }
    if (!this.marker) return;
    const shape = this.shapeOf(state);
    this.marker.show(shape);
    this.use(this.tool);
    this.weightRow.hidden = state.mode !== "both";
    this.weight.value = String(state.w);
    this.weightOut.textContent = text.query.weightValue(state.w);
    this.hintRow.hidden = state.mode === "image" || Boolean(shape.rect || shape.cells);
    this.describe(shape);
  }

  shapeOf(state) {
    if (state.r) return { rect: R.fromFractions(this.lattice, state.r), cells: null };
    if (!state.m) return { rect: null, cells: null };
    const cells = R.decodeCells(this.lattice, state.m);
    if (!cells) this.fault("m", state.m);
    return { rect: null, cells };
  }

  /** The part of the state that stands for a shape. Marking something means asking for it. */
  patchOf({ rect, cells }) {
    const marked = Boolean(rect || cells);
    const { mode } = this.state;
    return {
      r: rect ? R.clipped(this.lattice, rect) : null,
      m: cells ? R.encodeCells(this.lattice, cells) : "",
      mode: marked ? (mode === "image" ? "region" : mode) : "image",
    };
  }

  region(state) {
    if (!this.marker) return null;
    const { rect, cells } = this.shapeOf(state);
    if (rect) return R.regionOf(this.lattice, rect);
    return cells ? { patches: R.pairsOf(this.lattice, cells) } : null;
  }

  changed(shape) {
    this.draft(this.patchOf(shape));
    this.describe(shape);
  }

  describe({ rect, cells }) {
    const words = text.query;
    const numbers = rect ? R.toNumbers(this.lattice, rect) : null;
    this.label.textContent = rect ? words.label(numbers.width, numbers.height) : cells ? words.painted(cells.size) : words.noRegion;
    find("#clear-region", this.root).disabled = !rect && !cells;
    this.numbers.forEach((one) => {
      const input = find("input", one);
      if (document.activeElement !== input) input.value = numbers ? numbers[input.id.slice("region-".length)] : "";
    });
  }

  typed() {
    const [left, top, width, height] = this.numbers.map((one) => find("input", one).value);
    const old = this.shapeOf(this.state).rect ?? R.centred(this.lattice);
    const before = R.toNumbers(this.lattice, old);
    const or = (value, other) => (value === "" ? other : Number(value));
    const rect = R.fromNumbers(this.lattice, { left: or(left, before.left), top: or(top, before.top), width: or(width, before.width), height: or(height, before.height) });
    this.marker.show({ rect, cells: null });
    this.changed({ rect, cells: null });
    this.settle(this.patchOf({ rect, cells: null }));
  }

  clear() {
    this.settle.cancel();
    this.commit({ r: null, m: "", mode: "image" });
  }

  use(tool) {
    this.tool = tool;
    if (this.marker.tool !== tool) this.marker.use(tool);
    for (const one of ["rect", "brush", "patch", "pan"]) find(`#tool-${one}`, this.root).setAttribute("aria-pressed", String(one === tool));
    this.brushRow.hidden = tool !== "brush" && tool !== "patch";
    this.brushRow.classList.toggle("sizes", tool === "brush");
    this.sizeLabel.textContent = text.query.size(this.marker.size);
  }

  resize(by) {
    const at = SIZES.indexOf(this.marker.size) + by;
    this.marker.size = SIZES[Math.min(Math.max(at, 0), SIZES.length - 1)];
    this.sizeLabel.textContent = text.query.size(this.marker.size);
    this.marker.draw();
  }

  erase(on) {
    this.marker.erasing = on;
    find("#erase", this.root).setAttribute("aria-pressed", String(on));
  }

  showAsked(map, range) {
    if (!this.marker) return;
    this.askedHeat.parentElement.classList.toggle("hot", Boolean(map));
    if (map) paint(this.askedHeat, map, range);
  }

  key(event) {
    if (!this.marker) return;
    const run = {
      r: () => this.use("rect"),
      b: () => this.use("brush"),
      p: () => this.use("patch"),
      "+": () => this.tool === "brush" && this.resize(1),
      "=": () => this.tool === "brush" && this.resize(1),
      "-": () => this.tool === "brush" && this.resize(-1),
      escape: () => (this.state.r || this.state.m ? this.clear() : this.settle.cancel()),
    }[event.key.toLowerCase()];
    if (!run) return;
    event.preventDefault();
    run();
    if ("rbp".includes(event.key.toLowerCase())) this.canvas.focus();
  }
}

function choices(label, options, name, run) {
  return h(
    "div.segments",
    { role: "group", "aria-label": label },
    options.map(([value, words]) =>
      button(words, { id: `${name}-${value}`, "aria-pressed": "false", data: { choice: name, value } }, () => run(value)),
    ),
  );
}
