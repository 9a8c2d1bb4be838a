/** The compare view: query and result side by side, and where a patch of one is found in both. */

import { address, call, cancel, stopped } from "./api.js";
import { button, debounce, find, h, icon, pathText } from "./dom.js";
import { evidenceOf, Legend } from "./heat.js";
import { queryReference } from "./state.js";
import { text } from "./text.js";
import { ZoomView } from "./zoom.js";

export class Compare {
  constructor(app, handlers) {
    Object.assign(this, { app, ...handlers, id: null, hits: [] });
    const words = text.compare;
    this.title = h("h2#compare-title");
    this.reading = h("p.reading", { role: "status" }, words.hint);
    this.legend = new Legend(text.results.legend);
    this.sides = h("div.sides");
    this.trouble = h("div.trouble-home", { role: "alert" });
    this.later = debounce((side, cell) => this.explain(side, cell), 40);
    this.dialog = h(
      "dialog#compare",
      { "aria-labelledby": "compare-title" },
      h(
        "header",
        null,
        this.title,
        button(words.previous, { sign: "left", bare: true, key: "[" }, () => this.walk(-1)),
        button(words.next, { sign: "right", bare: true, key: "]" }, () => this.walk(1)),
        button(words.search, { sign: "search" }, () => {
          const { id } = this;
          this.close({ quiet: true });
          this.search(id);
        }),
        (this.page = h("a.button", { href: "#" }, icon("picture"), words.open)),
        button(words.close, { sign: "close", bare: true, key: "Esc" }, () => this.dialog.close()),
      ),
      this.trouble,
      this.sides,
      h("footer", null, this.legend.root, this.reading),
    );
    this.dialog.addEventListener("close", () => {
      if (!this.quiet) this.closed(this.id);
      this.quiet = false;
    });
    this.page.addEventListener("click", () => this.close({ quiet: true }));
    this.dialog.addEventListener("keydown", (event) => {
      if (document.documentElement.dataset.keys === "off") return;
      const by = { "[": -1, "]": 1 }[event.key];
      if (by && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        this.walk(by);
      }
    });
  }

  close({ quiet = false } = {}) {
    if (!this.dialog.open) return;
    this.quiet = quiet;
    cancel("compare");
    cancel("point");
    this.dialog.close();
  }

  async show({ id, query, hits, index }) {
    const fresh = this.id !== id || this.query !== query || !this.dialog.open;
    Object.assign(this, { id, query, hits, index });
    if (!this.dialog.isConnected) document.body.append(this.dialog);
    if (!this.dialog.open) this.dialog.showModal();
    if (!fresh) return;
    const hit = hits.find((one) => one.id === id);
    this.title.textContent = hit ? text.compare.title(hit) : text.compare.untitled;
    this.page.href = `/image/${id}${index ? `?i=${encodeURIComponent(index)}` : ""}`;
    this.trouble.replaceChildren();
    try {
      const record = await call("compare", `images/${id}`);
      if (id !== this.id) return;
      this.draw(record, hit);
    } catch (error) {
      this.fail(error);
    }
  }

  draw(record, hit) {
    const words = text.compare;
    const focused = this.sides.contains(document.activeElement) ? [...this.sides.querySelectorAll(".zoom")].indexOf(document.activeElement) : -1;
    this.views?.forEach((view) => view.end());
    const view = (side, picture, label) => new ZoomView(picture, { id: `compare-${side}`, label, pick: (cell) => this.later(side, cell), read: (said) => (this.reading.textContent = said || words.hint) });
    this.views = [
      view("query", { ...this.query, src: address(this.query.image), alt: text.query.alt(this.query.name) }, words.querySide),
      view("image", { ...record, src: address(record.preview), alt: record.path }, words.imageSide),
    ];
    const [query, image] = this.views;
    this.sides.replaceChildren(
      h("section", { "aria-labelledby": "side-query" }, h("h3#side-query", null, words.query), h("p.path", { title: this.query.name }, h("bdi", null, this.query.name)), query.root),
      h("section", { "aria-labelledby": "side-image" }, h("h3#side-image", null, hit ? words.result(hit.rank) : words.other), pathText(record.path), image.root),
    );
    const at = this.hits.findIndex((one) => one.id === this.id);
    find(`[aria-label="${CSS.escape(words.previous)}"]`, this.dialog).disabled = at <= 0;
    find(`[aria-label="${CSS.escape(words.next)}"]`, this.dialog).disabled = at < 0 || at >= this.hits.length - 1;
    this.reading.textContent = words.hint;
    this.legend.show(null);
    if (focused >= 0) this.views[focused].box.focus();
    else if (this.dialog.contains(document.activeElement) === false || document.activeElement.closest("header")) query.box.focus();
  }

  walk(by) {
    const next = this.hits[this.hits.findIndex((one) => one.id === this.id) + by];
    if (next) this.step(next.id);
  }

  async explain(side, cell) {
    const { id, query } = this;
    const [asked, found] = this.views;
    try {
      const { items } = await call("point", "explain", {
        body: {
          query: query.image_id === null || query.image_id === undefined ? { query_id: query.query_id } : queryReference(`img:${query.image_id}`),
          point: { in: side, patch: cell },
          image_ids: [id],
        },
      });
      if (id !== this.id) return;
      const evidence = evidenceOf(items[0], { marked: false });
      asked.showHeat(evidence.asked, evidence.range);
      found.showHeat(evidence.heat, evidence.range);
      (side === "query" ? found : asked).choose(null);
      this.legend.show(evidence.range);
      const far = side === "query" ? evidence.heat : evidence.asked;
      this.reading.textContent = text.compare.found(side, cell, Math.max(...far.values.filter((value) => !Number.isNaN(value))));
      this.trouble.replaceChildren();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error) {
    if (stopped(error)) return;
    this.trouble.replaceChildren(h("div.trouble", null, h("p.title", null, error.message), h("p", null, error.detail ?? ""), error.instance && h("code.instance", null, error.instance)));
  }
}
