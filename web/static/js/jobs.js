/** The list of jobs, kept up to date by asking again with an ETag. */

import { call, cancel, stopped } from "./api.js";
import { button, find, h, section } from "./dom.js";
import { text } from "./text.js";

const ACTIVE = ["queued", "running"];
const OFTEN = 1000;
const SELDOM = 10_000;
const USED = 60_000;

export class Jobs {
  constructor(app, { ended, link }) {
    Object.assign(this, { app, ended, link, etag: { value: null }, jobs: [], rows: new Map(), wanted: null, timer: 0, used: Date.now() });
    const words = text.jobs;
    this.list = h("ul#jobs", { "aria-labelledby": "jobs-home-title" });
    this.none = h("p", null, words.loading);
    this.root = section("jobs-home", words.title, this.none, this.list);
    this.outlives = new AbortController();
    const { signal } = this.outlives;
    const use = () => {
      this.used = Date.now();
    };
    for (const type of ["pointermove", "keydown", "scroll"]) window.addEventListener(type, use, { signal, passive: true });
    document.addEventListener("visibilitychange", () => document.hidden || this.wake(), { signal });
  }

  start() {
    this.started = true;
    this.poll();
  }

  end() {
    this.outlives.abort();
    clearTimeout(this.timer);
    cancel("jobs");
    this.started = false;
  }

  wake() {
    this.used = Date.now();
    if (this.started) this.poll();
  }

  pause() {
    const busy = this.jobs.some((job) => ACTIVE.includes(job.state));
    return !document.hidden && (busy || Date.now() - this.used < USED) ? OFTEN : SELDOM;
  }

  async poll() {
    clearTimeout(this.timer);
    try {
      const answer = await call("jobs", "jobs", { etag: this.etag, patient: false });
      if (answer) this.show(answer.jobs);
      this.app.settled("jobs");
      this.trouble = null;
    } catch (error) {
      if (stopped(error)) return;
      // Said once, not at every poll.
      if (this.trouble !== error.message) this.app.problem("jobs", error);
      this.trouble = error.message;
    }
    if (this.started) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.poll(), this.pause());
    }
  }

  highlight(id) {
    this.wanted = id === null ? null : String(id);
    this.mark();
  }

  mark() {
    for (const [id, row] of this.rows) row.root.classList.toggle("wanted", id === this.wanted);
    const row = this.rows.get(this.wanted);
    if (row && !row.shown) {
      row.shown = true;
      find("details", row.root).open = true;
      row.root.scrollIntoView({ block: "nearest" });
    }
    this.none.hidden = this.jobs.length > 0 && (this.wanted === null || Boolean(row));
    this.none.textContent = this.wanted !== null && !row ? text.jobs.missing(this.wanted) : text.jobs.none;
  }

  show(jobs) {
    const first = !this.shownOnce;
    const before = new Map(this.jobs.map((job) => [String(job.id), job.state]));
    this.shownOnce = true;
    this.jobs = jobs;
    const ids = new Set(jobs.map((job) => String(job.id)));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.root.remove();
      this.rows.delete(id);
    }
    jobs.forEach((job, i) => {
      const id = String(job.id);
      if (!this.rows.has(id)) this.rows.set(id, this.row(job));
      const row = this.rows.get(id);
      this.fill(row, job);
      // Moved only when out of place: moving an element loses its focus.
      if (this.list.children[i] !== row.root) this.list.insertBefore(row.root, this.list.children[i] ?? null);
      const was = before.get(id);
      if (!ACTIVE.includes(job.state)) {
        const fresh = !first && was !== job.state;
        if (fresh || first) this.ended(job, fresh);
      }
    });
    this.mark();
  }

  row(job) {
    const words = text.jobs;
    const row = {
      state: h("span.state"),
      title: h("a", { href: this.link(job.id) }),
      bar: h("progress", { "aria-label": words.progress(job) }),
      numbers: h("p.numbers"),
      message: h("p.message"),
      errors: h("ul.errors"),
      log: h("pre", { tabindex: "0" }),
      cancel: button(words.cancel, { sign: "stop", "aria-label": words.cancelOne(job) }, () => this.act(job, "cancel")),
      retry: button(words.retry, { sign: "again", "aria-label": words.retryOne(job) }, () => this.act(job, "retry")),
      remove: button(words.remove, { sign: "trash", "aria-label": words.removeOne(job) }, () => this.act(job, "remove")),
    };
    row.root = h(
      "li.job",
      { data: { id: job.id } },
      h("div.head", null, h("h3", null, row.title), row.state),
      row.bar,
      row.numbers,
      row.message,
      row.errors,
      h("details", null, h("summary", null, words.log), row.log),
      h("div.row", null, row.cancel, row.retry, row.remove),
    );
    return row;
  }

  fill(row, job) {
    const words = text.jobs;
    const active = ACTIVE.includes(job.state);
    const put = (element, content) => {
      if (element.textContent !== content) element.textContent = content;
      element.hidden = !content;
    };
    row.root.dataset.state = job.state;
    put(row.title, words.name(job));
    put(row.state, job.cancelling && active ? words.cancelling : words.states[job.state] ?? job.state);
    put(row.numbers, words.numbers(job));
    put(row.message, job.message || words.result(job));
    row.bar.hidden = !active;
    if (job.total > 0) {
      row.bar.max = job.total;
      row.bar.value = job.done;
    } else row.bar.removeAttribute("value");
    if (row.errors.childElementCount !== job.errors.length) row.errors.replaceChildren(...job.errors.map((one) => h("li", null, one)));
    row.errors.hidden = !job.errors.length;
    put(row.log, job.log.join("\n"));
    row.cancel.hidden = !active;
    row.cancel.disabled = Boolean(job.cancelling);
    row.retry.hidden = !["failed", "cancelled"].includes(job.state);
    row.remove.hidden = active;
  }

  async act(job, what) {
    try {
      if (what === "retry") await call(`job ${job.id}`, `jobs/${job.id}/retry`, { method: "POST" });
      else await call(`job ${job.id}`, `jobs/${job.id}`, { method: "DELETE" });
      this.app.settled("job");
      this.app.say(text.jobs.did[what](job));
      if (what === "remove") find("h1")?.focus();
    } catch (error) {
      this.app.problem("job", error);
    }
    this.wake();
  }
}
