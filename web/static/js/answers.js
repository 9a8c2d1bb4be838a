/** What the search screen shows of an answer: its cards, its numbers, its views, and nothing found. */

import { call, cancel, stopped } from "./api.js";
import { button, copyText, h } from "./dom.js";
import { Evidence } from "./evidence.js";
import { asking, searchBody } from "./state.js";
import { text } from "./text.js";

const GONE = ["query-expired", "query-not-found", "image-not-found"];

export function nothingFound(root, state, go) {
  const words = text.search;
  const drop = (label, patch) => button(label, { sign: "close" }, () => go(patch));
  root.hidden = false;
  root.replaceChildren(
    h("h3", null, words.nothing),
    h("p", null, state.f.length || state.min !== null ? words.nothingWhy : words.nothingAtAll),
    h(
      "div.row",
      null,
      state.f.map((one) => drop(words.drop1(one), { f: state.f.filter((other) => other !== one) })),
      state.f.length > 1 && drop(words.dropAll, { f: [] }),
      state.min !== null && drop(words.dropMin(state.min), { min: null }),
    ),
  );
}

export function emptyIndex(root, info) {
  const words = text.search;
  const command = words.indexCommand(info?.index?.folder);
  root.hidden = false;
  root.replaceChildren(
    h("h3", null, words.noImages),
    h("p", null, words.noImagesHow),
    h("pre.command", { tabindex: "0" }, command),
    h("div.row", null, button(text.copy, { sign: "copy" }, () => copyText(command)), h("a.button", { href: "/status" }, words.toStatus)),
  );
}

export class Answers {
  constructor(screen) {
    this.screen = screen;
    this.answer = null;
    this.asking = null;
    this.evidence = new Evidence(screen.wall, {
      asked: (map, range) => screen.queryPanel?.showAsked(map, range),
      most: () => screen.app.info?.limits?.explain ?? 48,
    });
    this.build();
  }

  build() {
    const words = text.results;
    const { screen } = this;
    this.chosen = h("div.chosen", { hidden: true }, h("span"), button(words.clear, {}, () => {
      screen.wall.clearSelection();
      this.showSelection();
    }));
    this.heatAll = button(words.heat, { id: "heat-all", sign: "heat", key: "H", "aria-pressed": "false" }, () =>
      screen.go({ layer: screen.state.layer === "heat" ? "none" : "heat" }),
    );
    this.export = button(words.export, { id: "export", sign: "save", "aria-expanded": "false", "aria-haspopup": "true" }, async () => {
      const { toggleExport } = await import("./export.js");
      toggleExport(this.export, () => this.exported());
    });
  }

  async exported() {
    const { state, wall, app } = this.screen;
    const hits = [...wall.hits.values()];
    return {
      hits,
      selected: hits.filter((hit) => wall.selected.has(hit.id)),
      state,
      records: await Promise.all(state.q.map((q) => this.screen.record(q))),
      folder: app.info?.index?.folder ?? "",
      say: app.flash,
    };
  }

  unmount() {
    this.leave();
    this.evidence.end();
  }

  leave() {
    this.answer = null;
    this.evidence.stop();
    this.compare?.close({ quiet: true });
    cancel("more");
  }

  async ask() {
    const { screen } = this;
    const { state, app } = screen;
    const against = this.against;
    this.against = null;
    app.say(text.search.searching);
    app.offer();
    screen.busy(true);
    cancel("more");
    this.asking = state;
    try {
      // The region is cut to cells, which only the record of the picture knows.
      const shown = screen.showQuery();
      if (state.r || state.m) await shown;
      if (state !== screen.state) return;
      this.body = searchBody(state, screen.queryPanel?.region(state) ?? null);
      const [answer] = await Promise.all([call("search", "search", { body: this.body }), shown]);
      if (state !== screen.state) return;
      app.settled("search");
      this.answer = answer;
      this.show(against);
    } catch (error) {
      if (state === screen.state) {
        this.answer = null;
        this.refuse(error);
      }
    } finally {
      if (this.asking === state) this.asking = null;
    }
  }

  show(against) {
    const { answer, screen } = this;
    const { wall, state } = screen;
    wall.actions = screen.acts;
    wall.clear();
    // That a picture is most like itself is no news.
    const own = answer.knee_rank === 1 && state.q.includes(`img:${answer.hits[0].id}`);
    wall.add(answer.hits, { knee: own ? null : answer.knee_rank });
    screen.page(answer.cursor);
    screen.busy(false);
    screen.heading.textContent = text.search.results;
    screen.tools.replaceChildren(this.chosen, this.evidence.legend.root, this.evidence.reading, this.heatAll, h("div.menu-home", null, this.export));
    screen.empty.hidden = answer.hits.length > 0;
    if (!answer.hits.length) nothingFound(screen.empty, state, (patch) => screen.go(patch));
    const { query, queries, region, position } = this.body;
    this.evidence.start({ query: query ?? queries[0], ...(region ? { region, position } : {}) }, answer.hits);
    screen.filterView?.suggest(answer.hits);
    this.showSelection();
    this.status(against);
  }

  status(against = null) {
    const { answer, screen } = this;
    const ids = [...screen.wall.hits.keys()];
    let recall = "";
    if (against && !answer.approximate) {
      const best = new Set(ids.slice(0, against.length));
      recall = text.search.recall(against.filter((id) => best.has(id)).length, Math.min(against.length, best.size));
    }
    const whole = screen.state.mode !== "image" && this.body.mode === "image";
    screen.app.say(text.search.status({ ...answer, shown: ids.length, whole }) + recall);
    screen.app.offer(
      button(text.search.jump, { class: "jump" }, () => {
        screen.heading.scrollIntoView();
        screen.heading.focus({ preventScroll: true });
      }),
      answer.approximate &&
        button(text.search.makeExact, { id: "make-exact", sign: "exact" }, () => {
          this.against = ids;
          screen.go({ exact: true });
        }),
    );
  }

  async more(cursor) {
    const { screen, answer } = this;
    const next = await call("more", "search", { body: { ...this.body, cursor, explain: 0 } });
    if (answer !== this.answer) return;
    this.evidence.seed(screen.wall.add(next.hits));
    screen.page(next.cursor);
    this.status();
  }

  /** A search that failed; when the query is gone, what to do. */
  refuse(error) {
    if (stopped(error)) return;
    const { screen } = this;
    const gone = GONE.includes(error.kind);
    screen.app.problem("search", error, {
      note: gone ? text.problem.gone : "",
      actions: gone
        ? [
            button(text.search.chooseAgain, { class: "primary" }, () => screen.file.click()),
            button(text.search.startOver, {}, () => screen.go(asking([]))),
          ]
        : [button(text.problem.again, {}, () => this.ask())],
    });
    screen.app.say(error.message);
    screen.busy(false);
    if (gone) {
      this.answer = null;
      screen.wall.clear();
      screen.page(null);
      screen.heading.textContent = text.search.results;
    }
  }

  async showView() {
    const { screen } = this;
    const { state } = screen;
    this.evidence.keep(state.layer === "heat");
    this.heatAll.setAttribute("aria-pressed", String(state.layer === "heat"));
    if (state.view !== "compare") return this.compare?.close({ quiet: true });
    if (!this.answer) return undefined;
    const { Compare } = await import("./compare.js");
    this.compare ??= new Compare(screen.app, {
      closed: (id) => {
        if (screen.state.view === "compare") screen.go({ view: "grid", sel: null });
        (screen.wall.cardOf(id) ?? screen.wall.current)?.focus();
      },
      step: (id) => screen.go({ sel: id }, { replace: true }),
      search: (id) => screen.app.navigate(screen.linkTo(id)),
    });
    const query = await screen.record(state.q[0]);
    return this.compare.show({ id: state.sel, query, hits: [...screen.wall.hits.values()], index: state.i });
  }

  showSelection() {
    const count = this.screen.wall.selected.size;
    this.chosen.hidden = !count;
    this.chosen.firstElementChild.textContent = text.results.selected(count);
  }
}
