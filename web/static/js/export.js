/** Taking an answer away: as a table, as lines, as paths, as the command and the Python that find it again. */

import { button, copyText, h } from "./dom.js";
import { latticeOf, decodeCells, fromFractions, pairsOf, regionOf } from "./region.js";
import { text } from "./text.js";

const COLUMNS = ["rank", "id", "score", "percentile", "path", "width", "height", "labels", "duplicates", "box_x", "box_y", "box_w", "box_h"];

/** One cell of a CSV. What a spreadsheet would take for a formula gets a ' in front. */
export function csvCell(value) {
  let cell = value === null || value === undefined ? "" : String(value);
  if (typeof value !== "number" && /^[=+\-@\t\r]/.test(cell)) cell = `'${cell}`;
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

const row = (hit) => {
  const [x, y, w, h2] = hit.matched?.box ?? [];
  return [hit.rank, hit.id, hit.score, hit.percentile, hit.path, hit.width, hit.height, hit.labels.join(";"), hit.duplicates, x, y, w, h2];
};

export const asCsv = (hits) => [COLUMNS, ...hits.map(row)].map((cells) => cells.map(csvCell).join(",")).join("\r\n") + "\r\n";

export const asJsonLines = (hits) => hits.map(({ heat, thumb, ...hit }) => `${JSON.stringify(hit)}\n`).join("");

export const shellWord = (word) => (/^[\w@%+=:,./-]+$/.test(word) && !word.startsWith("~") ? word : `'${word.replaceAll("'", `'\\''`)}'`);

export const pythonText = (value) => JSON.stringify(value);

export function pixelBox({ x, y, w, h: height }, record) {
  const at = (fraction, size) => Math.min(size, Math.max(0, Math.round(fraction * size)));
  return [at(x, record.width), at(y, record.height), at(x + w, record.width), at(y + height, record.height)];
}

export function markedPart(state, records) {
  if (records.length !== 1 || state.mode === "image") return {};
  const lattice = latticeOf(records[0]);
  if (state.r) return { box: pixelBox(regionOf(lattice, fromFractions(lattice, state.r)), records[0]) };
  const cells = state.m ? decodeCells(lattice, state.m) : null;
  return cells ? { patches: pairsOf(lattice, cells) } : {};
}

const corpusId = (record) => record.image_id ?? null;

/** The command that asks the same, or null when it has no words for what is marked. */
export function asCommand({ state, records, folder }) {
  const part = markedPart(state, records);
  if (part.patches) return null;
  const files = records.filter((one) => corpusId(one) === null).map((one) => (one.name.startsWith("-") ? `./${one.name}` : one.name));
  const ids = records.filter((one) => corpusId(one) !== null).flatMap((one) => ["--id", String(corpusId(one))]);
  const words = ["dinosearch", "search", ...files, ...ids, "--in", folder, "-k", String(state.k)];
  if (records.length > 1) words.push("--combine", state.combine);
  if (part.box) words.push("--region", part.box.join(","));
  if (part.box && state.mode === "both") words.push("--weight", String(state.w));
  if (part.box && state.pos) words.push("--position");
  for (const filter of state.f) words.push(`--where=${filter}`);
  if (state.min !== null) words.push(`--min-score=${state.min}`);
  if (state.dup === "hide") words.push("--distinct");
  if (state.exact) words.push("--exact");
  return words.map(shellWord).join(" ");
}

export function asPython({ state, records, folder }) {
  const part = markedPart(state, records);
  const marked = part.box || part.patches;
  const queries = records.map((one) => (corpusId(one) === null ? pythonText(one.name) : String(corpusId(one))));
  const given = [
    queries.length === 1 ? queries[0] : `[${queries.join(", ")}]`,
    `k=${state.k}`,
    part.box && `region=(${part.box.join(", ")})`,
    part.patches && `region=[${part.patches.map(([r, c]) => `(${r}, ${c})`).join(", ")}]`,
    marked && state.mode === "both" && `weight=${state.w}`,
    marked && state.pos && "position=True",
    state.f.length > 0 && `where=[${state.f.map(pythonText).join(", ")}]`,
    records.length > 1 && `combine=${pythonText(state.combine)}`,
    state.min !== null && `min_score=${state.min}`,
    state.dup === "hide" && "distinct=True",
    state.exact && "exact=True",
  ].filter(Boolean);
  return [
    "import dinosearch",
    "",
    `with dinosearch.open(${pythonText(folder)}) as index:`,
    `    hits = index.answer(${given.join(", ")}).hits`,
    "",
  ].join("\n");
}

function saveAs(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

let open = null;

function close({ focus = true } = {}) {
  if (!open) return;
  const { menu, opener, outlives } = open;
  open = null;
  outlives.abort();
  menu.remove();
  opener.setAttribute("aria-expanded", "false");
  if (focus) opener.focus();
}

export async function toggleExport(opener, load) {
  if (open) return close();
  const outlives = new AbortController();
  const { signal } = outlives;
  const what = await load();
  const words = text.export;
  const chosen = what.selected.length ? what.selected : what.hits;
  const done = (said) => {
    close();
    what.say(said);
  };
  const copy = async (content) => done((await copyText(content)) ? text.copied : text.notCopied);
  const command = asCommand(what);
  const menu = h(
    "div#export-menu.menu",
    { role: "group", "aria-label": words.title },
    h("p.quiet", null, words.scope(what.selected.length, what.hits.length)),
    button(words.csv, { id: "export-csv", sign: "save" }, () => {
      saveAs("dinosearch.csv", asCsv(chosen), "text/csv;charset=utf-8");
      done(words.saved(chosen.length));
    }),
    button(words.jsonl, { id: "export-jsonl", sign: "save" }, () => {
      saveAs("dinosearch.jsonl", asJsonLines(chosen), "application/x-ndjson");
      done(words.saved(chosen.length));
    }),
    button(words.paths, { id: "copy-paths", sign: "copy" }, () => copy(chosen.map((hit) => `${hit.path}\n`).join(""))),
    button(words.command, { id: "copy-command", sign: "copy", disabled: command === null }, () => copy(command)),
    command === null && h("p.hint", null, words.noCommand),
    button(words.python, { id: "copy-python", sign: "copy" }, () => copy(asPython(what))),
  );
  open = { menu, opener, outlives };
  opener.after(menu);
  opener.setAttribute("aria-expanded", "true");
  menu.querySelector("button").focus();
  document.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      event.stopPropagation();
      close();
    },
    { signal, capture: true },
  );
  document.addEventListener("pointerdown", (event) => menu.contains(event.target) || opener.contains(event.target) || close({ focus: false }), { signal });
  menu.addEventListener("focusout", (event) => event.relatedTarget && !menu.contains(event.relatedTarget) && event.relatedTarget !== opener && close({ focus: false }), { signal });
  return undefined;
}
