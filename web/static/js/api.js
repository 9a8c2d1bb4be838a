/** Talking to /api/v1: the newest request of a purpose wins, trouble becomes a Problem. */

import { text } from "./text.js";

const BASE = "/api/v1";
const TRIES = 3;
const PATIENCE = new Set([429, 503]);

export class Problem extends Error {
  constructor({ type = "about:blank", title, status = 0, detail = "", instance = "", errors = [] }) {
    super(title);
    Object.assign(this, { type, title, status, detail, instance, errors });
  }

  get kind() {
    return this.type.split("/").pop();
  }
}

const running = new Map();
let index = "";
let onWait = () => {};

export function useIndex(name) {
  index = name || "";
}

/** `run({purpose, seconds, attempt, tries, stop})` each time a request has to wait, and null after. */
export function whenWaiting(run) {
  onWait = run;
}

export const stopped = (error) => error?.name === "AbortError";

export function address(path, query = {}) {
  const url = new URL(path.startsWith("/") ? path : `${BASE}/${path}`, location.origin);
  for (const [key, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") url.searchParams.append(key, one);
  }
  if (index && !url.searchParams.has("index")) url.searchParams.set("index", index);
  return url.pathname + url.search;
}

export function cancel(purpose) {
  running.get(purpose)?.abort();
  running.delete(purpose);
}

/**
 * The JSON that `path` answers, or null for 204 and 304.
 *
 * purpose  a newer request of the same purpose ends this one; it then throws AbortError
 * etag     `{value}`: sent as If-None-Match, and renewed
 * Throws a Problem. Waits and tries again by itself, visibly, when the server asks it to.
 */
export async function call(purpose, path, { method = null, body = null, query = {}, etag = null, patient = true } = {}) {
  cancel(purpose);
  const controller = new AbortController();
  running.set(purpose, controller);
  try {
    for (let attempt = 1; ; attempt += 1) {
      const answer = await send(address(path, query), { method, body, etag, signal: controller.signal });
      if (answer.status === 304 || answer.status === 204) return null;
      if (answer.ok) {
        if (etag) etag.value = answer.headers.get("ETag");
        return await read(answer);
      }
      const after = Number.parseFloat(answer.headers.get("Retry-After") ?? "");
      if (!patient || !PATIENCE.has(answer.status) || !Number.isFinite(after) || attempt > TRIES) throw await problemOf(answer);
      await wait(purpose, Math.min(60, Math.max(0.2, after)), attempt, controller);
    }
  } finally {
    if (running.get(purpose) === controller) running.delete(purpose);
  }
}

async function send(url, { method, body, etag, signal }) {
  const headers = { Accept: "application/json" };
  let content;
  if (body instanceof FormData) content = body;
  else if (body !== null) {
    headers["Content-Type"] = "application/json";
    content = JSON.stringify(body);
  }
  if (etag?.value) headers["If-None-Match"] = etag.value;
  try {
    return await fetch(url, {
      method: method ?? (content === undefined ? "GET" : "POST"),
      headers,
      body: content,
      signal,
      credentials: "same-origin",
      cache: etag ? "no-store" : "default",
    });
  } catch (error) {
    if (stopped(error)) throw error;
    throw new Problem({ type: "offline", ...text.problem.offline(navigator.onLine) });
  }
}

async function read(answer) {
  try {
    return await answer.json();
  } catch (error) {
    if (stopped(error)) throw error;
    throw new Problem({ ...text.problem.unreadable, status: answer.status });
  }
}

async function problemOf(answer) {
  if (answer.status === 401) {
    location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  }
  let said = {};
  try {
    said = await answer.json();
  } catch (error) {
    if (stopped(error)) throw error;
  }
  return new Problem({
    ...said,
    title: said?.title || text.problem.status(answer.status),
    status: answer.status,
    errors: Array.isArray(said?.errors) ? said.errors : [],
  });
}

async function wait(purpose, seconds, attempt, controller) {
  const until = performance.now() + seconds * 1000;
  try {
    while (performance.now() < until) {
      const left = Math.max(1, Math.ceil((until - performance.now()) / 1000));
      onWait({ purpose, seconds: left, attempt, tries: TRIES, stop: () => controller.abort() });
      await new Promise((done) => setTimeout(done, Math.min(1000, until - performance.now())));
      controller.signal.throwIfAborted();
    }
  } finally {
    onWait(null);
  }
}
