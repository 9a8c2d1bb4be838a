/** The wall of result cards: a feed with one tab stop, moved by the arrow keys. */

import { address } from "./api.js";
import { button, find, framed, h, icon, pathText } from "./dom.js";
import { digits, text } from "./text.js";

/**
 * How far the bar of a percentile goes: each quarter is ten times rarer (90, 99, 99.9,
 * 99.99 %). Drawn straight, the bar of every answer would be full.
 */
export function barShare(percentile) {
  if (!(percentile > 0)) return 0;
  return Math.min(1, -Math.log10(Math.max(1e-6, 1 - percentile / 100)) / 4);
}

/**
 * The nearest card above or below: the one whose middle is closest in the next row.
 * `boxOf(i)` is asked for as few cards as it takes, for there may be thousands.
 */
export function neighbourRow(boxOf, count, from, direction) {
  const start = boxOf(from);
  let row = null;
  let best = from;
  let distance = Infinity;
  for (let i = from + direction; i >= 0 && i < count; i += direction) {
    const box = boxOf(i);
    if (Math.abs(box.top - start.top) < 2) continue;
    row ??= box.top;
    if (Math.abs(box.top - row) >= 2) break;
    const off = Math.abs(box.left + box.width / 2 - start.left - start.width / 2);
    if (off < distance) [best, distance] = [i, off];
  }
  return best;
}

function scoreLine(hit) {
  const why = text.card.score(hit.score, hit.percentile);
  return h(
    "div.score",
    { title: why },
    h("span.digits", null, digits(hit.score, 3)),
    h("span.bar", { role: "img", "aria-label": why }, h("span.fill", { style: { width: `${(100 * barShare(hit.percentile)).toFixed(1)}%` } })),
  );
}

function boxOver([x, y, width, height], place) {
  return h(place ? "span.also" : "span.box", {
    style: { left: `${x * 100}%`, top: `${y * 100}%`, width: `${width * 100}%`, height: `${height * 100}%` },
  });
}

export function card(hit, actions, position) {
  const scored = typeof hit.score === "number";
  const words = text.card;
  const inner = (label, sign, run, props = {}) =>
    button(label, { sign, bare: true, tabindex: "-1", ...props }, run && (() => run(hit.id)));
  return h(
    "article.card",
    {
      data: { id: hit.id },
      tabindex: "-1",
      "aria-posinset": position,
      "aria-setsize": "-1",
      "aria-label": words.label(hit, position),
    },
    h(
      "a.stage",
      { href: actions.href(hit.id), tabindex: "-1", title: words.searchByThis, draggable: "false" },
      framed(
        { src: address(hit.thumb), width: hit.width, height: hit.height },
        h("canvas.heat", { "aria-hidden": "true" }),
        ...(hit.matched?.boxes ?? []).map(boxOver),
        h("span.value", { "aria-hidden": "true" }),
      ),
      h("span.vh", null, words.searchBy(hit.path)),
    ),
    h(
      "div.facts",
      null,
      h(
        "button.rank",
        { type: "button", tabindex: "-1", "aria-pressed": "false", "aria-label": words.select(position), title: words.select(position), on: { click: () => actions.select(hit.id) } },
        scored ? String(hit.rank ?? position) : icon("check"),
      ),
      scored ? scoreLine(hit) : h("span.size", null, text.pixels(hit.width, hit.height)),
      actions.compare ? inner(words.compare, "compare", actions.compare) : actions.add && inner(words.add, "plus", actions.add),
      h(
        "a.bare.button",
        { href: actions.page(hit.id), tabindex: "-1", "aria-label": words.open, title: words.open },
        icon("picture"),
      ),
    ),
    pathText(hit.path),
    h(
      "ul.labels",
      { "aria-label": words.labels },
      hit.duplicates > 0 && h("li.copies", { title: words.copies(hit.duplicates) }, `+${hit.duplicates}`, h("span.vh", null, words.copies(hit.duplicates))),
      hit.labels.map((label) => h("li", null, label)),
      hit.labels.length || hit.duplicates > 0 ? null : h("li.none", null, words.noLabels),
    ),
  );
}

/** The feed of cards in `root`. Actions, `name(id)`, that a wall does not have are null. */
export class Wall {
  constructor(root, actions) {
    this.root = root;
    root.setAttribute("role", "group");
    this.actions = actions;
    this.hits = new Map();
    this.byId = new Map();
    this.cards = [];
    this.current = null;
    this.selected = new Set();
    root.addEventListener("click", (event) => {
      const one = event.target.closest(".stage");
      if (!one || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      if (root.dataset.held) delete root.dataset.held;
      else actions.search(Number(one.closest(".card").dataset.id));
    });
    root.addEventListener("focusin", (event) => this.makeCurrent(event.target.closest(".card")));
    root.addEventListener("keydown", (event) => this.key(event));
  }

  clear() {
    this.root.replaceChildren();
    // A feed without articles is none, and what is none has no name.
    this.root.setAttribute("role", "group");
    this.hits.clear();
    this.byId.clear();
    this.cards = [];
    this.current = null;
    this.selected.clear();
  }

  add(hits, { knee = null } = {}) {
    const fresh = hits.filter((hit) => !this.hits.has(hit.id));
    const parts = [];
    for (const hit of fresh) {
      this.hits.set(hit.id, hit);
      const one = card(hit, this.actions, this.cards.length + 1);
      this.cards.push(one);
      this.byId.set(hit.id, one);
      parts.push(one);
      if (knee !== null && hit.rank === knee) {
        one.append(h("span.vh", null, text.card.knee));
        parts.push(h("p.knee", { role: "none" }, h("span", null, text.card.knee)));
      }
    }
    // A line after the very last card would announce a drop that is not shown.
    this.root.lastElementChild?.classList.remove("last");
    this.root.append(...parts);
    if (this.cards.length) this.root.setAttribute("role", "feed");
    if (this.root.lastElementChild?.matches(".knee")) this.root.lastElementChild.classList.add("last");
    if (!this.current && this.cards.length) this.makeCurrent(this.cards[0]);
    return fresh;
  }

  setSize(size) {
    for (const one of this.cards) one.setAttribute("aria-setsize", String(size));
  }

  makeCurrent(one) {
    if (!one || one === this.current) return;
    for (const [element, stop] of [[this.current, "-1"], [one, "0"]]) {
      if (!element) continue;
      element.setAttribute("tabindex", stop);
      for (const inner of element.querySelectorAll("button, a")) inner.setAttribute("tabindex", stop);
    }
    this.current = one;
  }

  cardOf(id) {
    return this.byId.get(id) ?? null;
  }

  focus(index) {
    const one = this.cards[Math.min(Math.max(index, 0), this.cards.length - 1)];
    one?.focus();
    one?.scrollIntoView({ block: "nearest" });
  }

  toggle(id) {
    const chosen = !this.selected.has(id);
    if (chosen) this.selected.add(id);
    else this.selected.delete(id);
    const one = this.cardOf(id);
    one?.classList.toggle("selected", chosen);
    find(".rank", one)?.setAttribute("aria-pressed", String(chosen));
  }

  clearSelection() {
    for (const id of [...this.selected]) this.toggle(id);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches(".card")) return;
    const id = Number(event.target.dataset.id);
    const index = this.cards.indexOf(event.target);
    const row = (direction) => {
      const boxOf = (i) => this.cards[i].getBoundingClientRect();
      this.focus(neighbourRow(boxOf, this.cards.length, index, direction));
    };
    const letters = document.documentElement.dataset.keys !== "off";
    const { actions } = this;
    const run = {
      ArrowRight: () => this.focus(index + 1),
      ArrowLeft: () => this.focus(index - 1),
      ArrowDown: () => row(1),
      ArrowUp: () => row(-1),
      Home: () => this.focus(0),
      End: () => this.focus(this.cards.length - 1),
      Enter: () => (event.shiftKey && actions.add ? actions.add(id) : actions.search(id)),
      " ": actions.compare && (() => actions.compare(id)),
      ...(letters && {
        o: () => actions.open(id),
        s: () => actions.select(id),
        a: actions.add && (() => actions.add(id)),
      }),
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!run) return;
    event.preventDefault();
    event.stopPropagation();
    run();
  }
}
