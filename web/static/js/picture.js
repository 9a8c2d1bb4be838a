/** The picture page: one picture large, what is known of it, and what looks like it. */

import { address, call, cancel, stopped } from "./api.js";
import { Wall } from "./cards.js";
import { button, debounce, factList, find, h, icon, pathText, section } from "./dom.js";
import { evidenceOf, Legend } from "./heat.js";
import { formatState, rawParameters } from "./state.js";
import { text } from "./text.js";
import { ZoomView } from "./zoom.js";

const NEIGHBOURS = 24;
const DEFAULTS = { patch: null, layer: "none", grid: false, o: 0.8, i: "" };

export function parseView(search) {
  const state = { ...DEFAULTS };
  const faults = [];
  for (const [name, [value]] of rawParameters(search)) {
    const opacity = Number(value);
    if (name === "patch" && /^\d{1,4},\d{1,4}$/.test(value)) state.patch = value.split(",").map(Number);
    else if (name === "layer" && ["none", "heat"].includes(value)) state.layer = value;
    else if (name === "grid" && ["0", "1"].includes(value)) state.grid = value === "1";
    else if (name === "o" && value !== "" && opacity >= 0 && opacity <= 1) state.o = opacity;
    else if (name === "i") state.i = value;
    else faults.push({ name, value });
  }
  return { state, faults };
}

export function formatView(state) {
  const parts = [
    state.patch && `patch=${state.patch.join(",")}`,
    state.layer !== DEFAULTS.layer && `layer=${state.layer}`,
    state.grid && "grid=1",
    state.o !== DEFAULTS.o && `o=${state.o}`,
    state.i && `i=${encodeURIComponent(state.i)}`,
  ].filter(Boolean);
  return parts.length ? `?${parts.join("&")}` : "";
}

export const mount = (main, app) => new Picture(main, app);

class Picture {
  constructor(main, app) {
    Object.assign(this, { main, app, record: null, evidence: null });
    this.explainLater = debounce((cell) => this.explain(cell), 40);
    main.replaceChildren(h("h1", { tabindex: "-1" }, text.picture.loading));
  }

  unmount() {
    for (const purpose of ["picture", "point", "neighbours"]) cancel(purpose);
    this.zoom?.end();
    this.gone = true;
  }

  async update(id) {
    const { state, faults } = parseView(location.search);
    this.state = state;
    this.app.faults(faults);
    if (!this.record) {
      try {
        this.app.say(text.picture.loading);
        this.record = await call("picture", `images/${id}`);
        if (this.gone) return;
        this.build();
        this.neighbours();
      } catch (error) {
        if (stopped(error)) return;
        this.app.problem("picture", error, { actions: [h("a.button", { href: "/" }, text.picture.toSearch)] });
        find("h1", this.main).textContent = text.picture.missing;
        this.app.say(error.message);
        return;
      }
    }
    this.show();
  }

  go(patch, { replace = false } = {}) {
    return this.app.navigate(location.pathname + formatView({ ...this.state, ...patch }), { replace });
  }

  build() {
    const { record, state } = this;
    const words = text.picture;
    const name = record.path.split("/").pop();
    this.app.title(name);
    this.app.say(words.status(record));
    const query = (more) => `/${formatState({ q: [`img:${record.id}`], i: state.i, ...more })}`;
    this.zoom = new ZoomView(
      { ...record, src: address(record.preview), alt: words.alt(record.path) },
      {
        id: "picture-view",
        label: words.view(record.path),
        pick: (cell) => this.go({ patch: cell, layer: "heat" }, { replace: this.state.layer === "heat" }),
        read: (said) => (this.reading.textContent = said),
      },
    );
    this.none = button(words.layerNone, { id: "layer-none", "aria-pressed": "true" }, () => this.go({ layer: "none" }));
    this.heat = button(words.layerHeat, { id: "layer-heat", sign: "heat", "aria-pressed": "false" }, () => this.go({ layer: "heat" }));
    this.grid = button(words.grid, { id: "grid", sign: "grid", key: "G", "aria-pressed": "false" }, () => this.go({ grid: !this.state.grid }, { replace: true }));
    this.opacity = h("input#opacity", { type: "range", min: "0", max: "1", step: "0.05" });
    this.opacity.addEventListener("input", () => this.zoom.set({ opacity: Number(this.opacity.value) }));
    this.opacity.addEventListener("change", () => this.go({ o: Number(this.opacity.value) }, { replace: true }));
    this.reading = h("p.reading", { "aria-live": "polite" });
    this.legend = new Legend(text.results.legend);
    this.wallRoot = h("div#neighbours.wall", { "aria-labelledby": "near-title", "aria-busy": "true" });
    this.main.replaceChildren(
      h(
        "div.picture",
        null,
        h(
          "section.large",
          { "aria-labelledby": "picture-title" },
          h("h1#picture-title", { tabindex: "-1", title: record.path }, h("bdi", null, name)),
          this.zoom.root,
          h(
            "div.tools",
            { role: "group", "aria-label": words.layers },
            h("div.segments", null, this.none, this.heat),
            this.grid,
            (this.opacityRow = h("div.field.inline", null, h("label", { for: "opacity" }, words.opacity), this.opacity)),
            this.legend.root,
            this.reading,
          ),
        ),
        section(
          "known",
          words.facts,
          h(
            "div.row",
            null,
            h("a.button.primary", { href: query({}) }, icon("search"), words.search),
            h("a.button", { href: query({ mode: "region" }) }, icon("rect"), words.mark),
            record.file && h("a.button", { href: address(record.file), download: name }, icon("save"), words.download),
          ),
          this.facts(),
        ),
        section("near", words.neighbours, this.wallRoot),
      ),
    );
  }

  facts() {
    const { record } = this;
    const words = text.picture;
    const here = formatState({ i: this.state.i });
    const filter = (one) => `/${formatState({ f: [one], i: this.state.i })}`;
    const rows = [
      [words.path, pathText(record.path, "span")],
      [words.source, record.source],
      [words.size, text.pixels(record.width, record.height)],
      [words.file, [record.format, record.bytes !== null && text.bytes(record.bytes)].filter(Boolean).join(", ")],
      [words.date, text.time(record.date)],
      [words.labels, record.labels.length ? h("ul.labels", null, record.labels.map((label) => h("li", null, h("a", { href: filter(`label:${label}`) }, label)))) : words.none],
      [words.split, record.split],
      ...Object.entries(record.metadata ?? {}).map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : String(value)]),
      [words.copies, record.copies?.length ? h("ul.labels", null, record.copies.map((id) => h("li", null, h("a", { href: `/image/${id}${here}` }, words.copy(id))))) : words.none],
      [words.id, String(record.id)],
      [words.patches, words.grid2(record.grid)],
      [words.sha, h("code", null, record.sha256)],
      [words.added, text.time(record.added_at)],
      [words.updated, text.time(record.updated_at)],
    ];
    return [
      record.notes?.length > 0 && h("ul.notes", { "aria-label": words.notes }, record.notes.map((note) => h("li", null, note.text))),
      factList(rows),
    ];
  }

  show() {
    const { state } = this;
    const heat = state.layer === "heat";
    this.none.setAttribute("aria-pressed", String(!heat));
    this.heat.setAttribute("aria-pressed", String(heat));
    this.grid.setAttribute("aria-pressed", String(state.grid));
    this.opacity.value = String(state.o);
    this.opacityRow.hidden = !heat;
    this.zoom.set({ gridOn: state.grid, opacity: state.o, picking: heat });
    this.legend.show(heat && this.evidence ? this.evidence.range : null);
    if (!heat) {
      this.zoom.choose(null);
      this.zoom.showHeat(null);
      this.reading.textContent = "";
      return;
    }
    const [rows, cols] = this.record.grid;
    const { patch } = state;
    if (patch && (patch[0] >= rows || patch[1] >= cols)) {
      this.app.faults([{ name: "patch", value: patch.join(",") }]);
      return;
    }
    this.reading.textContent = text.picture.pick;
    if (patch && this.evidence?.key === String(patch)) this.paint();
    else if (patch) this.explainLater(patch);
  }

  async explain(cell) {
    const { id } = this.record;
    try {
      this.zoom.choose(cell);
      const { items } = await call("point", "explain", { body: { query: { image_id: id }, point: { in: "image", patch: cell }, image_ids: [id] } });
      this.app.settled("point");
      this.evidence = { ...evidenceOf(items[0], { marked: false }), key: String(cell) };
      this.paint();
    } catch (error) {
      this.app.problem("point", error);
    }
  }

  paint() {
    const { evidence } = this;
    this.zoom.choose(this.state.patch);
    this.zoom.showHeat(evidence.heat, evidence.range);
    this.legend.show(evidence.range);
    this.reading.textContent = text.picture.patch(this.state.patch);
  }

  async neighbours() {
    const { id } = this.record;
    const { i } = this.state;
    const acts = {
      href: (other) => `/image/${other}${formatState({ i })}`,
      page: (other) => `/image/${other}${formatState({ i })}`,
      search: (other) => this.app.navigate(`/image/${other}${formatState({ i })}`),
      open: (other) => this.app.navigate(`/image/${other}${formatState({ i })}`),
      compare: (other) => this.app.navigate(`/${formatState({ q: [`img:${id}`], view: "compare", sel: other, i })}`),
    };
    try {
      const answer = await call("neighbours", "search", { body: { query: { image_id: id }, k: NEIGHBOURS + 1, explain: 0 } });
      if (this.gone) return;
      const others = answer.hits.filter((hit) => hit.id !== id).slice(0, NEIGHBOURS);
      const wall = new Wall(this.wallRoot, acts);
      wall.add(others.map((hit, at) => ({ ...hit, rank: at + 1 })));
      wall.setSize(others.length);
      if (!others.length) this.wallRoot.append(h("p", { role: "none" }, text.picture.alone));
      this.wallRoot.setAttribute("aria-busy", "false");
    } catch (error) {
      this.app.problem("neighbours", error, { actions: [button(text.problem.again, {}, () => this.neighbours())] });
    }
  }

  key(event) {
    if (event.key.toLowerCase() !== "g" || !this.record) return;
    event.preventDefault();
    this.go({ grid: !this.state.grid }, { replace: true });
  }
}
