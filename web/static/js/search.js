/** The search screen: keeps the URL, the questions asked of the server and what is shown in step. */

import { call, cancel, Problem, stopped } from "./api.js";
import { Wall } from "./cards.js";
import { button, debounce, find, h, icon } from "./dom.js";
import { asking, formatState, parseState, queryReference, sameQuestion } from "./state.js";
import { text } from "./text.js";

const MOST = 500;

export function mount(main, app) {
  return new Search(main, app);
}

class Search {
  constructor(main, app) {
    this.app = app;
    this.records = new Map();
    this.state = null;
    this.cursor = null;
    this.outlives = new AbortController();
    this.build(main);
    this.listen();
  }

  build(main) {
    const words = text.search;
    this.file = h("input#file-input.vh", { type: "file", multiple: true, accept: "image/*,.heic,.heif,.tif,.tiff" });
    this.zone = h(
      "div#dropzone",
      { role: "group", "aria-labelledby": "dropzone-title" },
      h("p#dropzone-title", null, icon("drop"), words.drop),
      h(
        "div.row",
        null,
        this.file,
        h("label.button.primary", { for: "file-input" }, icon("open"), words.choose),
        button(words.corpus, { id: "from-corpus", sign: "grid" }, () => this.go({ view: this.state.view === "browse" ? "grid" : "browse" })),
      ),
    );
    this.panel = h("div#query");
    this.filterInput = h("input#filter-input", { type: "text", list: "filter-words", autocomplete: "off", spellcheck: "false", placeholder: words.filterPlaceholder });
    this.filters = h(
      "section#filters",
      { "aria-labelledby": "filters-title" },
      h("h2#filters-title", null, words.filters),
      h("form.row", { on: { submit: (event) => this.addFilter(event) } }, h("label.vh", { for: "filter-input" }, words.filterLabel), this.filterInput, h("datalist#filter-words"), h("button", { type: "submit" }, words.filterAdd)),
      h("div#filter-chips"),
    );
    this.heading = h("h2#results-title", { tabindex: "-1" }, words.start);
    this.tools = h("div.row.tools");
    this.results = h("div#results.wall", { "aria-labelledby": "results-title", "aria-busy": "false" });
    this.more = button(words.more, { id: "load-more", hidden: true }, () => this.loadMore());
    this.empty = h("div.empty", { hidden: true });
    main.replaceChildren(
      h(
        "div.search",
        null,
        h("section.panel", { "aria-labelledby": "search-title" }, h("h1#search-title", { tabindex: "-1" }, words.title), this.zone, this.panel, this.filters),
        h("section.found", { "aria-labelledby": "results-title" }, h("div.bar-top", null, this.heading, this.tools), this.empty, this.results, h("div.more", null, this.more)),
      ),
    );
    const to = (id) => this.linkTo(id);
    const acts = {
      href: to,
      page: (id) => `/image/${id}${formatState({ i: this.state.i })}`,
      search: (id) => this.app.navigate(to(id)),
      open: (id) => this.app.navigate(acts.page(id)),
      compare: (id) => this.go({ view: "compare", sel: id }),
      add: (id) => this.addQueries([`img:${id}`]),
      select: (id) => this.select(id),
    };
    this.wall = new Wall(this.results, acts);
    this.acts = acts;
  }

  listen() {
    const { signal } = this.outlives;
    this.file.addEventListener("change", () => {
      const files = [...this.file.files];
      // Emptied, so that choosing the same file again is a change again.
      this.file.value = "";
      this.take(files, { add: this.adding });
      this.adding = false;
    });
    const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
    const over = (event) => {
      if (!holdsFiles(event)) return;
      event.preventDefault();
      document.body.classList.add("dropping");
    };
    window.addEventListener("dragenter", over, { signal });
    window.addEventListener("dragover", over, { signal });
    window.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"), { signal });
    window.addEventListener(
      "drop",
      (event) => {
        document.body.classList.remove("dropping");
        if (!holdsFiles(event)) return;
        event.preventDefault();
        this.take([...event.dataTransfer.files]);
      },
      { signal },
    );
    document.addEventListener(
      "paste",
      (event) => {
        const files = [...(event.clipboardData?.files ?? [])];
        if (!files.length) return;
        event.preventDefault();
        this.take(files);
      },
      { signal },
    );
    this.filterInput.addEventListener("focus", () => this.wakeFilters(), { once: true });
    this.observer = new IntersectionObserver(([entry]) => entry.isIntersecting && this.wall.cards.length < MOST && this.loadMore(), { rootMargin: "600px" });
    this.observer.observe(this.more.parentElement);
  }

  unmount() {
    this.outlives.abort();
    this.observer.disconnect();
    this.answers?.unmount();
    for (const purpose of ["search", "more", "upload", "record", "explain"]) cancel(purpose);
  }

  /** Where "search by this" leads: the same filters and manners, another picture. */
  linkTo(id) {
    return `/${formatState({ ...this.state, ...asking([`img:${id}`]) })}`;
  }

  go(patch, { replace = false } = {}) {
    // A drag has left drafts in the current entry: give it back what it stood for.
    if (!replace) history.replaceState(null, "", location.pathname + formatState(this.state));
    return this.app.navigate(`/${formatState({ ...this.state, ...patch })}`, { replace });
  }

  draft(patch) {
    this.drafted = { ...this.drafted, ...patch };
    this.writeDraft ??= debounce(() => {
      if (this.drafted) history.replaceState(null, "", `/${formatState({ ...this.state, ...this.drafted })}`);
    }, 120);
    if (!this.writeDraft.waiting()) this.writeDraft();
  }

  async update() {
    this.writeDraft?.cancel();
    this.drafted = null;
    const before = this.state;
    const { state, faults } = parseState(location.search);
    this.state = state;
    this.app.faults(faults);
    this.browsing = !state.q.length || state.view === "browse";
    this.app.title(text.search.pageTitle(state.q.length));
    const corpus = find("#from-corpus");
    corpus.setAttribute("aria-pressed", String(this.browsing));
    corpus.hidden = !state.q.length;
    document.body.classList.toggle("asked", state.q.length > 0);
    if (state.f.length || this.filterView) await this.wakeFilters();
    if (!state.q.length) this.forgetQuery();
    const wasBrowsing = before && (!before.q.length || before.view === "browse");
    if (this.browsing) {
      if (state.q.length) this.showQuery().catch((error) => this.app.problem("search", error));
      if (!wasBrowsing || !this.wall.cards.length || String(before.f) !== String(state.f)) await this.browse();
      return;
    }
    // The corpus has no next page any more, the answer has none yet.
    if (wasBrowsing) this.page(null);
    const { Answers } = await import("./answers.js");
    this.answers ??= new Answers(this);
    if (state !== this.state) return;
    // The same question that had no answer is asked again: an expired picture is brought anew.
    const answered = this.answers.answer || this.answers.asking;
    if (!before || wasBrowsing || !answered || !sameQuestion(before, state)) await this.answers.ask();
    else await this.showQuery();
    await this.answers.showView();
  }

  async addFilter(event) {
    event.preventDefault();
    await this.wakeFilters();
    this.filterView.add(this.filterInput.value);
  }

  async wakeFilters() {
    const { FilterView } = await import("./filters.js");
    this.filterView ??= new FilterView(this.filters, this.filterInput, {
      info: () => this.app.info,
      change: (f) => this.go({ f }),
      fault: (words) => this.app.say(words),
    });
    this.filterView.show(this.state.f);
    this.filterView.suggest(this.answers?.answer?.hits ?? []);
  }

  async take(files, { add = false } = {}) {
    const { app } = this;
    if (!files.length) return;
    await app.ready;
    const { upload_bytes: bytes = Infinity, queries: most = 16 } = app.info?.limits ?? {};
    const room = add ? most - this.state.q.length : most;
    app.settled("upload");
    if (files.length > room) app.problem("upload", new Problem(text.problem.tooMany(files.length, room)));
    const found = [];
    for (const [i, file] of files.slice(0, Math.max(0, room)).entries()) {
      if (file.size > bytes) {
        app.problem(`upload ${i}`, new Problem(text.problem.tooLarge(file.name, file.size, bytes)));
        continue;
      }
      app.say(text.search.reading(file.name, i + 1, files.length));
      const body = new FormData();
      body.append("image", file, file.name);
      try {
        app.settled(`upload ${i}`);
        const record = await call("upload", "queries", { body });
        this.records.set(`up:${record.query_id}`, record);
        found.push(`up:${record.query_id}`);
      } catch (error) {
        if (stopped(error)) return;
        app.problem(`upload ${i}`, error, { note: file.name });
        app.say(text.search.notRead(file.name));
      }
    }
    if (found.length) this.addQueries(found, { replace: !add });
  }

  addQueries(queries, { replace = false } = {}) {
    const q = [...new Set([...(replace ? [] : this.state.q), ...queries])];
    const most = this.app.info?.limits?.queries ?? 16;
    if (q.length > most) return this.app.problem("upload", new Problem(text.problem.tooMany(q.length, most)));
    return this.go(asking(q));
  }

  async record(q) {
    if (!this.records.has(q)) {
      const { image_id: id, query_id: upload } = queryReference(q);
      const found = upload
        ? await call(`record ${q}`, `queries/${upload}`)
        : await call(`record ${q}`, "queries", { body: { image_id: id } });
      this.records.set(q, found);
    }
    return this.records.get(q);
  }

  forgetQuery() {
    this.panel.replaceChildren();
    this.queryPanel = null;
  }

  async showQuery() {
    const { state } = this;
    const [{ QueryPanel }, ...records] = await Promise.all([import("./query.js"), ...state.q.map((q) => this.record(q))]);
    if (state !== this.state) return;
    if (!this.queryPanel) {
      this.queryPanel = new QueryPanel(this.panel, {
        draft: (patch) => this.draft(patch),
        commit: (patch) => this.go(patch),
        fault: (name, value) => this.app.faults([{ name, value }]),
        add: () => {
          this.adding = true;
          this.file.click();
        },
        keep: async (record, pinned) => {
          try {
            const fresh = await call("keep", `queries/${record.query_id}`, { method: "PATCH", body: { pinned } });
            this.records.set(`up:${record.query_id}`, fresh);
            this.showQuery();
          } catch (error) {
            this.app.problem("keep", error);
          }
        },
      });
    }
    this.queryPanel.show(records, state, this.app.info);
  }

  async loadMore() {
    if (!this.cursor || this.loading) return;
    this.loading = true;
    try {
      if (this.browsing) await this.browse(this.cursor);
      else await this.answers.more(this.cursor);
      this.app.settled("more");
    } catch (error) {
      this.app.problem("more", error);
      // The button stays, so that nothing is asked again without being told to.
      if (!stopped(error)) this.observer.disconnect();
    } finally {
      this.loading = false;
    }
  }

  busy(on) {
    this.results.setAttribute("aria-busy", String(on));
    this.results.classList.toggle("busy", on);
  }

  page(cursor) {
    this.cursor = cursor;
    // Hidden under the focus it would send the next Tab to the top of the page.
    if (!cursor && document.activeElement === this.more) this.wall.current?.focus();
    this.more.hidden = !cursor;
    if (!cursor) this.wall.setSize(this.wall.cards.length);
  }

  async browse(cursor = null) {
    const { app, state, wall } = this;
    const words = text.search;
    try {
      if (!cursor) this.answers?.leave();
      const found = await call("search", "images", { query: { f: state.f, limit: 48, cursor } });
      if (state !== this.state) return;
      app.settled("search");
      if (!cursor) {
        this.tools.replaceChildren();
        app.offer();
        wall.actions = { ...this.acts, compare: null, add: state.q.length ? this.acts.add : null };
        wall.clear();
        this.heading.textContent = state.q.length ? words.corpusTitle : words.start;
      }
      wall.add(found.images);
      this.page(found.cursor);
      this.busy(false);
      this.empty.hidden = found.total > 0;
      if (!found.total) {
        const { nothingFound, emptyIndex } = await import("./answers.js");
        await app.ready;
        if (state.f.length) nothingFound(this.empty, state, (patch) => this.go(patch));
        else emptyIndex(this.empty, app.info);
      }
      app.say(words.browsing(wall.cards.length, found.total));
    } catch (error) {
      if (cursor) throw error;
      app.problem("search", error, { actions: [button(text.problem.again, {}, () => this.browse())] });
    }
  }

  select(id) {
    this.wall.toggle(id);
    this.answers?.showSelection();
  }

  key(event) {
    if (event.key.toLowerCase() === "h" && !this.browsing) {
      event.preventDefault();
      this.go({ layer: this.state.layer === "heat" ? "none" : "heat" });
    } else this.queryPanel?.key(event);
  }
}

