/** Filters: chips, an input with suggestions, and what the answer itself offers to narrow by. */

import { button, find, h } from "./dom.js";
import { formatFilter, negate, parseFilter } from "./state.js";
import { text } from "./text.js";

const KEYS = ["label:", "path:", "split:", "date:", "size:", "meta."];

export function counted(values, most = 4) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, most);
}

export const folderOf = (path) => path.slice(0, path.lastIndexOf("/") + 1);

export class FilterView {
  constructor(root, input, { info, change, fault }) {
    Object.assign(this, { root, input, info, change, fault, filters: [] });
    this.chips = find("#filter-chips", root);
    this.words = find("#filter-words", root);
    this.error = h("p#filter-error.fault", { hidden: true });
    this.facets = h("details#facets", { hidden: true });
    this.chips.before(this.error);
    this.chips.after(this.facets);
    input.addEventListener("input", () => {
      this.complain(null);
      this.complete();
    });
    this.complete();
  }

  show(filters) {
    this.filters = filters;
    const words = text.filters;
    this.chips.replaceChildren(
      ...filters.map((filter) => {
        const { key, value, negated } = parseFilter(filter);
        return h(
          "div.chip",
          { class: negated ? "negated" : null },
          button(negated ? words.isNot : words.is, { class: "sense", "aria-pressed": String(negated), title: words.turn, "aria-label": words.turnOne(filter, negated ? words.isNot : words.is) }, () =>
            this.replace(filter, negate(filter)),
          ),
          h("span", { title: filter }, h("span.key", null, words.key(key)), " ", h("bdi", null, value)),
          button(words.remove(filter), { sign: "close", bare: true }, () => this.change(this.filters.filter((one) => one !== filter))),
        );
      }),
    );
  }

  add(typed) {
    const written = typed.trim();
    if (!written) return;
    // A bare word is meant as a label when there is such a label.
    const known = Object.hasOwn(this.info()?.index?.labels ?? {}, written.replace(/^-/, ""));
    const parsed = parseFilter(known ? written.replace(/^(-?)/, "$1label:") : written);
    if (!parsed) {
      this.complain(text.filters.fault(written));
      return;
    }
    this.input.value = "";
    this.complete();
    this.include(formatFilter(parsed));
  }

  include(filter) {
    const others = this.filters.filter((one) => one !== negate(filter));
    if (!others.includes(filter)) this.change([...others, filter]);
  }

  replace(filter, other) {
    this.change([...new Set(this.filters.map((one) => (one === filter ? other : one)))]);
  }

  complain(words) {
    this.error.hidden = !words;
    this.error.textContent = words ?? "";
    this.input.setAttribute("aria-invalid", String(Boolean(words)));
    if (words) {
      this.input.setAttribute("aria-describedby", "filter-error");
      this.fault(words);
    } else this.input.removeAttribute("aria-describedby");
  }

  complete() {
    const typed = this.input.value;
    const minus = typed.startsWith("-") ? "-" : "";
    const labels = Object.entries(this.info()?.index?.labels ?? {}).sort((a, b) => b[1] - a[1]);
    const bare = typed.replace(/^-/, "");
    const values = labels
      .filter(([label]) => bare.startsWith("label:") || !bare || label.toLowerCase().includes(bare.toLowerCase()))
      .slice(0, 40)
      .map(([label, count]) => h("option", { value: `${minus}label:${label}`, label: text.filters.count(count) }));
    this.words.replaceChildren(...(bare.includes(":") ? [] : KEYS.map((key) => h("option", { value: minus + key }))), ...values);
  }

  suggest(hits) {
    const words = text.filters;
    const used = new Set(this.filters.map((one) => one.replace(/^-/, "")));
    const rows = [
      ...counted(hits.flatMap((hit) => hit.labels)).map(([value, count]) => [`label:${value}`, value, count, "label"]),
      ...counted(hits.map((hit) => folderOf(hit.path)).filter(Boolean)).map(([value, count]) => [`path:${value}`, value, count, "path"]),
    ].filter(([filter]) => !used.has(filter));
    this.facets.hidden = !rows.length;
    this.facets.replaceChildren(
      h("summary", null, words.narrow),
      h(
        "ul",
        null,
        rows.map(([filter, value, count, key]) =>
          h(
            "li",
            null,
            h("span", { title: value }, h("span.key", null, words.key(key)), " ", h("bdi", null, value), " ", h("span.quiet", null, text.number(count))),
            button(words.only, { "aria-label": words.onlyOne(filter) }, () => this.include(filter)),
            button(words.not, { "aria-label": words.notOne(filter) }, () => this.include(`-${filter}`)),
          ),
        ),
      ),
    );
  }
}
