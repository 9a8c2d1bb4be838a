/** The status screen: what the index is, what the machine is, and what is going on. */

import { address, call, cancel, stopped } from "./api.js";
import { button, copyText, factList, field, find, h, icon, section, tick } from "./dom.js";
import { Jobs } from "./jobs.js";
import { parseState } from "./state.js";
import { text } from "./text.js";

export const mount = (main, app) => new Status(main, app);

class Status {
  constructor(main, app) {
    Object.assign(this, { main, app });
    const words = text.status;
    app.title(words.title);
    this.index = section("index-facts", words.index);
    this.machine = section("machine-facts", words.machine);
    this.drift = section("drift", words.drift);
    this.add = section("add", words.add);
    this.failures = section("failures", words.failures);
    this.jobs = new Jobs(app, { ended: (job, fresh) => this.ended(job, fresh), link: (id) => `/status/job/${id}${this.query()}` });
    main.replaceChildren(
      h(
        "div.status",
        null,
        h("h1", { tabindex: "-1" }, words.title),
        h("div.columns", null, h("div", null, this.jobs.root, this.add, this.drift), h("div", null, this.index, this.machine)),
        this.failures,
      ),
    );
    this.buildDrift();
    this.page(null);
  }

  query() {
    return location.search;
  }

  unmount() {
    this.jobs.end();
    for (const purpose of ["failures", "start"]) cancel(purpose);
  }

  async update(jobId) {
    const { faults } = parseState(location.search);
    this.app.faults(faults);
    this.jobs.highlight(jobId);
    await this.app.ready;
    this.draw();
    if (this.jobs.started) return;
    this.jobs.start();
  }

  draw() {
    const words = text.status;
    const { info } = this.app;
    if (!info) return;
    const { index, machine } = info;
    const keep = (root, ...parts) => root.replaceChildren(root.firstElementChild, ...parts.filter(Boolean));
    keep(
      this.index,
      factList([
        [words.name, index.name],
        [words.folder, h("code", null, index.folder)],
        [words.images, text.number(index.images)],
        [words.patches, text.number(index.patches)],
        [words.encoder, words.model(index)],
        [words.fingerprint, h("code", null, index.fingerprint)],
        [words.stored, words.dtype(index)],
        [words.bytes, text.bytes(index.bytes)],
        [words.vectors, words.vectorKind(index.vectors)],
        [words.recall, !index.recall_queries ? words.unmeasured : words.recallOf(index)],
        [words.segments, words.segmentsOf(index)],
        [words.created, text.time(index.created)],
        [words.sources, index.sources?.length ? h("ul.plain", null, index.sources.map((one) => h("li", null, one))) : words.none],
      ]),
    );
    keep(
      this.machine,
      factList([
        [words.device, machine.device],
        [words.precision, machine.precision],
        [words.threads, text.number(machine.threads)],
        [words.memory, text.bytes(machine.memory_bytes)],
        ["Python", machine.python],
        ...Object.entries(machine.versions ?? {}).filter(([name]) => name !== "python"),
      ]),
    );
    this.buildAdd(info);
  }

  buildAdd({ roots, index }) {
    const words = text.status;
    if (find("#add-folder", this.add)) return;
    if (!roots?.length) {
      const command = words.rootCommand(index.folder);
      this.add.replaceChildren(
        this.add.firstElementChild,
        h("p", null, words.noRoots),
        h("pre.command", { tabindex: "0" }, command),
        h("div.row", null, button(text.copy, { sign: "copy" }, async () => this.app.flash((await copyText(command)) ? text.copied : text.notCopied))),
      );
      return;
    }
    const root = h("select#root", null, roots.map(({ name }) => h("option", { value: name }, name)));
    const folder = field("folder", words.subfolder, { type: "text", autocomplete: "off", spellcheck: "false", placeholder: words.wholeRoot });
    const labels = tick("labels-from-folders", words.labelsFrom, false, () => {});
    const prune = tick("prune", words.prune, false, () => {}, words.pruneTip);
    const form = h(
      "form#add-folder",
      null,
      h("div.fields", null, h("div.field", null, h("label", { for: "root" }, words.root), root), folder),
      labels,
      prune,
      h("div.row", null, h("button.primary", { type: "submit" }, icon("plus"), words.addRun)),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.start({
        kind: "index",
        roots: [{ root: root.value, folder: find("input", folder).value.trim() }],
        labels: find("input", labels).checked ? "folders" : null,
        prune: find("input", prune).checked,
        readd: false,
      });
    });
    this.add.replaceChildren(this.add.firstElementChild, form);
  }

  async start(body) {
    try {
      const job = await call("start", "jobs", { body });
      this.app.settled("start");
      this.app.say(text.status.jobState(job));
      this.jobs.wake();
    } catch (error) {
      this.app.problem("start", error);
    }
  }

  buildDrift() {
    const words = text.status;
    this.driftFound = h("p", null, words.driftUnknown);
    this.drift.append(
      h("p.hint", null, words.driftHelp),
      h("div.row", null, button(words.look, { id: "look", sign: "search" }, () => this.start({ kind: "changes" }))),
      this.driftFound,
    );
  }

  /** A job has ended: what it found, and the facts it has changed. `fresh` when it ended just now. */
  async ended(job, fresh) {
    if (job.kind === "changes" && job.state === "done" && job.result && !this.driftOf) {
      this.driftFound.textContent = text.status.driftResult(job.result, job.ended_at);
      this.driftOf = job.id;
    }
    if (!fresh) return;
    if (job.kind === "changes" && job.result) this.driftFound.textContent = text.status.driftResult(job.result, job.ended_at);
    this.app.say(text.status.jobState(job));
    if (job.kind !== "index") return;
    await this.app.refreshInfo().catch((error) => this.app.problem("info", error));
    this.draw();
    this.page(null);
  }

  async page(cursor) {
    const words = text.status;
    try {
      const { failures, cursor: next, total } = await call("failures", "failures", { query: { limit: 20, cursor } });
      const rows = failures.map((one) =>
        h(
          "tr",
          null,
          h("td.path-cell", { title: one.path }, h("bdi", null, one.path)),
          h("td", null, words.failureState[one.state] ?? one.state),
          h("td", null, one.reason ?? one.code, one.detail && h("span.quiet", null, ` ${one.detail}`)),
          h("td.num", null, text.number(one.attempts)),
          h("td", null, text.time(one.failed_at)),
        ),
      );
      if (!cursor) {
        this.rows = h("tbody");
        const table = h(
          "div.scroll",
          { tabindex: "0", role: "group", "aria-labelledby": "failures-title" },
          h("table", null, h("thead", null, h("tr", null, words.columns.map((name) => h("th", { scope: "col" }, name)))), this.rows),
        );
        this.moreRows = h("div.row");
        this.failures.replaceChildren(
          this.failures.firstElementChild,
          h("p", null, words.failureCount(total)),
          ...(total ? [h("div.row", null, h("a.button", { href: address("failures", { format: "csv" }), download: "failures.csv", id: "failures-csv" }, icon("save"), words.failureCsv)), table, this.moreRows] : []),
        );
      }
      this.rows.append(...rows);
      this.moreRows.replaceChildren(...(next ? [button(words.moreFailures, { id: "more-failures" }, () => this.page(next))] : []));
      this.app.settled("failures");
    } catch (error) {
      if (!stopped(error)) this.app.problem("failures", error, { actions: [button(text.problem.again, {}, () => this.page(cursor))] });
    }
  }
}
