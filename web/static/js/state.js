/** The search screen's state and its URL: one is the other. Pure functions only. */

export const DEFAULTS = Object.freeze({
  q: [],
  combine: "mean",
  r: null,
  m: "",
  mode: "image",
  w: 0.5,
  k: 48,
  exact: false,
  pos: false,
  f: [],
  dup: "hide",
  min: null,
  view: "grid",
  sel: null,
  layer: "none",
  i: "",
});

export const asking = (q) => ({ q, r: null, m: "", mode: "image", view: "grid", sel: null });

const KEYS = ["label", "path", "split", "date", "size"];

/** `{key, value, negated}` of a filter such as "-label:scratch", or null. */
export function parseFilter(filter) {
  const [, minus, key, value] = /^\s*(-?)([\w.]+):(.*)$/s.exec(filter) ?? [];
  const known = KEYS.includes(key) || /^meta\.[\w.]+$/.test(key ?? "");
  return known && value.trim() ? { key, value: value.trim(), negated: minus === "-" } : null;
}

export const formatFilter = ({ key, value, negated }) => `${negated ? "-" : ""}${key}:${value}`;

export const negate = (filter) => (filter.startsWith("-") ? filter.slice(1) : `-${filter}`);

const READERS = {
  q: (all) => {
    const good = all.filter((one) => /^(up:[0-9a-f]{8,64}|img:\d{1,15})$/.test(one));
    return { value: [...new Set(good)], bad: all.find((one) => !good.includes(one)) };
  },
  r: ([one]) => {
    const numbers = one.split(",").map(Number);
    const [x, y, w, h] = numbers;
    const ok = numbers.length === 4 && numbers.every((n) => Number.isFinite(n) && n >= 0 && n <= 1) && w > 0 && h > 0;
    return ok && x + w <= 1.002 && y + h <= 1.002 ? { value: { x, y, w, h } } : { bad: one };
  },
  m: ([one]) => (/^[\w-]{1,8000}$/.test(one) ? { value: one } : { bad: one }),
  combine: choice("mean", "any"),
  mode: choice("image", "region", "both"),
  dup: choice("hide", "show"),
  view: choice("grid", "compare", "browse"),
  layer: choice("none", "heat"),
  w: number(0, 1),
  min: number(-1, 1),
  k: number(1, 1000, true),
  sel: number(0, Number.MAX_SAFE_INTEGER, true),
  exact: flag,
  pos: flag,
  i: ([one]) => (one.length <= 200 && !/[/\\\0]/.test(one) ? { value: one } : { bad: one }),
  f: (all) => {
    const good = all.filter(parseFilter);
    return { value: [...new Set(good)], bad: all.find((one) => !good.includes(one)) };
  },
};

function choice(...words) {
  return ([one]) => (words.includes(one) ? { value: one } : { bad: one });
}

function number(low, high, whole = false) {
  return ([one]) => {
    const value = Number(one);
    const ok = one.trim() !== "" && value >= low && value <= high && (!whole || Number.isInteger(value));
    return ok ? { value } : { bad: one };
  };
}

function flag([one]) {
  if (one === "1") return { value: true };
  return one === "0" ? { value: false } : { bad: one };
}

/**
 * Name -> raw values of a query string. `f` is cut at its commas before it is decoded, so
 * that a label may hold a comma itself.
 */
export function rawParameters(search) {
  const found = new Map();
  for (const part of search.replace(/^\?/, "").split("&")) {
    if (!part) continue;
    const [name, raw = ""] = part.split(/=(.*)/s, 2);
    const values = name === "f" ? raw.split(",").filter(Boolean) : [raw];
    found.set(decode(name), [...(found.get(decode(name)) ?? []), ...values.map(decode)]);
  }
  return found;
}

function decode(raw) {
  try {
    return decodeURIComponent(raw.replaceAll("+", " "));
  } catch {
    return raw;
  }
}

/** `{state, faults: [{name, value}]}` of a query string; what is not understood is a fault, never an end. */
export function parseState(search) {
  const state = { ...DEFAULTS };
  const faults = [];
  for (const [name, values] of rawParameters(search)) {
    const reader = Object.hasOwn(READERS, name) ? READERS[name] : null;
    const { value, bad } = reader ? reader(values) : { bad: values[0] };
    if (value !== undefined) state[name] = value;
    if (bad !== undefined) faults.push({ name, value: bad });
  }
  if (state.r && state.m) state.m = "";
  if (state.q.length !== 1) Object.assign(state, { r: null, m: "", mode: "image" });
  if (state.view === "compare" && state.sel === null) state.view = "grid";
  return { state, faults };
}

const plain = (value) => encodeURIComponent(value).replaceAll("%3A", ":").replaceAll("%2F", "/");

export function formatState(state) {
  const s = { ...DEFAULTS, ...state };
  const parts = s.q.map((one) => `q=${plain(one)}`);
  const add = (name, value) => parts.push(`${name}=${value}`);
  if (s.q.length > 1 && s.combine !== DEFAULTS.combine) add("combine", s.combine);
  if (s.r) add("r", [s.r.x, s.r.y, s.r.w, s.r.h].map((n) => n.toFixed(3)).join(","));
  else if (s.m) add("m", s.m);
  if (s.mode !== DEFAULTS.mode) add("mode", s.mode);
  if (s.mode === "both" && s.w !== DEFAULTS.w) add("w", String(s.w));
  if (s.k !== DEFAULTS.k) add("k", String(s.k));
  if (s.exact) add("exact", "1");
  if (s.pos) add("pos", "1");
  if (s.f.length) add("f", s.f.map(plain).join(","));
  if (s.dup !== DEFAULTS.dup) add("dup", s.dup);
  if (s.min !== null) add("min", String(s.min));
  if (s.view !== DEFAULTS.view) add("view", s.view);
  if (s.view === "compare" && s.sel !== null) add("sel", String(s.sel));
  if (s.layer !== DEFAULTS.layer) add("layer", s.layer);
  if (s.i) add("i", plain(s.i));
  return parts.length ? `?${parts.join("&")}` : "";
}

export function queryReference(q) {
  const [kind, id] = q.split(":");
  return kind === "img" ? { image_id: Number(id) } : { query_id: id };
}

/**
 * The body of POST /search. `region` is the API's (fractions or patches), or null, which
 * makes a region search one of the whole picture.
 */
export function searchBody(state, region, { cursor = null, explain = 12 } = {}) {
  const several = state.q.length > 1;
  const mode = region && !several ? state.mode : "image";
  return {
    ...(several
      ? { queries: state.q.map(queryReference), combine: state.combine }
      : { query: queryReference(state.q[0]) }),
    mode,
    ...(mode === "both" ? { weight: state.w } : {}),
    ...(mode === "image" ? {} : { region, position: state.pos }),
    k: state.k,
    cursor,
    filters: state.f,
    exact: state.exact,
    dedupe: state.dup === "hide",
    ...(state.min === null ? {} : { min_score: state.min }),
    // Maps of whole pictures are fetched when pointed at: they would cost more than the search.
    explain: mode === "image" ? 0 : explain,
  };
}

export function sameQuestion(a, b) {
  const ask = (s) => formatState({ ...s, view: "grid", sel: null, layer: "none" });
  return ask(a) === ask(b);
}
