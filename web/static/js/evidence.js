/** Heat maps over the cards: shown on hover, focus or a long press, or kept on for all that can be seen. */

import { call, cancel, stopped } from "./api.js";
import { debounce, find, h } from "./dom.js";
import { pointOn } from "./drawing.js";
import { commonRange, evidenceOf, Legend, paint, valueAt } from "./heat.js";
import { digits, text } from "./text.js";

/** Long enough that a pointer crossing the wall asks for nothing. */
const REST = 60;
const LONG_PRESS = 450;

export class Evidence {
  /** asked(map over the query or null, range); most(), how many pictures one request may ask about */
  constructor(wall, { asked, most }) {
    Object.assign(this, { wall, asked, most, question: null, found: new Map(), kept: false, over: null });
    this.reading = h("span.reading");
    this.legend = new Legend(text.results.legend);
    this.legend.root.title = text.results.legendTip;
    this.visible = new Set();
    this.watcher = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "200px" });
    this.later = debounce((id) => this.fetch([id]), REST);
    this.fill = debounce(() => this.fetchVisible(), 120);
    this.listen();
  }

  listen() {
    this.outlives = new AbortController();
    const { signal } = this.outlives;
    const { root } = this.wall;
    const cardOf = (event) => event.target.closest?.(".card");
    root.addEventListener("pointerover", (event) => event.pointerType !== "touch" && this.point(cardOf(event)), { signal });
    root.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && this.point(null), { signal });
    root.addEventListener("focusin", (event) => event.target.matches(":focus-visible") && this.point(cardOf(event)), { signal });
    root.addEventListener("focusout", (event) => root.contains(event.relatedTarget) || this.point(null), { signal });
    root.addEventListener("pointermove", (event) => this.read(event), { signal });
    // A long press shows the map; the click that ends it must not search.
    let press = 0;
    const release = () => clearTimeout(press);
    root.addEventListener(
      "pointerdown",
      (event) => {
        release();
        if (event.pointerType !== "touch" || !event.target.closest(".stage")) return;
        delete root.dataset.held;
        press = setTimeout(() => {
          root.dataset.held = "1";
          this.point(cardOf(event));
        }, LONG_PRESS);
      },
      { signal },
    );
    for (const type of ["pointerup", "pointercancel"]) root.addEventListener(type, release, { signal });
    root.addEventListener("contextmenu", (event) => root.dataset.held && event.preventDefault(), { signal });
    let width = 0;
    this.resizer = new ResizeObserver(([entry]) => {
      // Its height changes as cards come into sight; the pictures change with its width only.
      if (Math.abs(entry.contentRect.width - width) < 1) return;
      ({ width } = entry.contentRect);
      this.repaint();
    });
    this.resizer.observe(root);
  }

  end() {
    this.outlives.abort();
    this.watcher.disconnect();
    this.resizer.disconnect();
  }

  start(question, hits) {
    this.stop();
    this.question = question;
    this.seed(hits);
  }

  stop() {
    cancel("explain");
    this.later.cancel();
    this.watcher.disconnect();
    this.visible.clear();
    this.found.clear();
    this.question = null;
    this.over = null;
    this.asked(null);
  }

  seed(hits) {
    for (const hit of hits) if (hit.heat) this.found.set(hit.id, evidenceOf(hit.heat));
    for (const hit of hits) this.watcher.observe(this.wall.cardOf(hit.id));
    this.rescale();
  }

  /** One scale for all the maps there are, widened as more arrive. */
  rescale() {
    this.range = commonRange([...this.found.values()]);
    this.showLegend();
    this.repaint();
  }

  keep(on) {
    this.kept = on;
    this.wall.root.classList.toggle("heat-on", on);
    this.repaint();
    if (on) this.fill();
    this.showLegend();
  }

  showLegend() {
    this.legend.show(this.found.size && (this.kept || this.over !== null) ? this.range : null);
  }

  point(card) {
    const id = card ? Number(card.dataset.id) : null;
    if (id === this.over) return;
    const before = this.over;
    this.over = id;
    if (before !== null) this.draw(before);
    this.reading.textContent = "";
    if (id === null) {
      this.later.cancel();
      this.asked(null);
    } else if (this.found.has(id)) this.draw(id);
    else if (this.question) this.later(id);
    this.showLegend();
  }

  seen(entries) {
    for (const { target, isIntersecting } of entries) {
      const id = Number(target.dataset.id);
      if (isIntersecting) this.visible.add(id);
      else this.visible.delete(id);
    }
    if (this.kept) this.fill();
  }

  fetchVisible() {
    this.repaint();
    const missing = [...this.visible].filter((id) => !this.found.has(id)).slice(0, this.most());
    if (missing.length) this.fetch(missing, { rest: true });
  }

  async fetch(ids, { rest = false } = {}) {
    const { question } = this;
    if (!question) return;
    try {
      const { items } = await call("explain", "explain", { body: { ...question, image_ids: ids }, patient: false });
      if (question !== this.question) return;
      for (const item of items) this.found.set(item.id, evidenceOf(item));
      this.rescale();
      if (rest) this.fill();
    } catch (error) {
      // Passing over a card is no command: its failure is told beside the legend.
      if (!stopped(error)) this.reading.textContent = text.results.noHeat(error.message);
    }
  }

  draw(id) {
    const card = this.wall.cardOf(id);
    const one = this.found.get(id);
    if (!card) return;
    const on = one && (this.over === id || (this.kept && this.visible.has(id)));
    card.classList.toggle("hot", Boolean(on));
    const canvas = find("canvas.heat", card);
    if (on) paint(canvas, one.heat, this.range);
    else find(".value", card).textContent = "";
    if (one && this.over === id) this.asked(one.asked, this.range);
  }

  repaint() {
    for (const id of this.found.keys()) this.draw(id);
  }

  read(event) {
    const frame = event.target.closest?.(".frame");
    const one = frame && this.found.get(this.over);
    if (!one) return;
    const value = valueAt(one.heat, ...pointOn(frame, event));
    find(".value", frame).textContent = value === null ? "" : digits(value, 2);
    this.reading.textContent = value === null ? text.results.unseen : text.results.reading(value);
  }
}
