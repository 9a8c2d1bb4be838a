/** Every word of the page, in one place, for later translation. */

const whole = new Intl.NumberFormat("en");
const number = (value) => (value === null || value === undefined ? "" : whole.format(value));
const many = (count, one, more = `${one}s`) => `${number(count)} ${count === 1 ? one : more}`;

function bytes(count) {
  if (count === null || count === undefined) return "";
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 100 ? value.toFixed(1) : number(Math.round(value))} ${units[unit]}`;
}

function time(moment) {
  if (moment === null || moment === undefined || moment === "") return "";
  const date = new Date(typeof moment === "number" ? moment * 1000 : moment);
  return Number.isNaN(date.getTime()) ? String(moment) : date.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

function lasting(seconds) {
  if (seconds < 90) return many(Math.max(1, Math.round(seconds)), "second");
  if (seconds < 5400) return many(Math.round(seconds / 60), "minute");
  return `${(seconds / 3600).toFixed(1)} hours`;
}

/** A number with `n` decimals; a hair below zero is zero. */
export const digits = (value, n) => (Number(value.toFixed(n)) + 0).toFixed(n);

const percent = (value) => `${value >= 99 ? value.toFixed(2) : value.toFixed(1)} %`;
const milliseconds = (value) => String(Math.round(value ?? 0));
const cell = ([row, col]) => `row ${row}, column ${col}`;

export const text = {
  name: "dinosearch",
  number,
  bytes,
  time,
  copy: "Copy",
  copied: "Copied.",
  notCopied: "The browser did not let the page copy.",
  pixels: (width, height) => `${width} × ${height} px`,
  indexOption: ({ name, images }) => `${name} (${number(images)})`,

  problem: {
    offline: (online) => ({
      title: online ? "The server does not answer" : "This computer is offline",
      detail: online ? "Is dinosearch serve still running? Nothing was changed." : "The page goes on when the network is back.",
    }),
    online: "The network is back.",
    unreadable: { title: "The answer could not be read", detail: "The connection may have broken off. Try again." },
    status: (status) => `The server answered with error ${status}`,
    waiting: ({ seconds, attempt, tries }) => `The server is busy. Trying again in ${seconds} s (${attempt} of ${tries}).`,
    stop: "Stop waiting",
    copy: "Copy details",
    help: "What this means",
    dismiss: "Dismiss",
    internal: "Something in this page went wrong",
    parameters: "Parts of this address were not understood and are ignored:",
    again: "Try again",
    gone: "Pictures that you bring are kept for a while only. Choose or drop the picture again to go on.",
    tooMany: (count, room) => ({ title: "Too many pictures for one search", detail: `You chose ${number(count)}; there is room for ${number(Math.max(0, room))}.` }),
    tooLarge: (name, size, limit) => ({ title: `${name} is too large`, detail: `It has ${bytes(size)}; the server takes at most ${bytes(limit)}.` }),
  },

  search: {
    title: "Search by picture",
    pageTitle: (queries) => (queries ? "Results" : "Search"),
    drop: "Drop pictures anywhere, paste them, or",
    choose: "Choose pictures",
    corpus: "From the corpus",
    filters: "Filters",
    filterLabel: "Add a filter",
    filterPlaceholder: "label:scratch, -path:old/",
    filterAdd: "Add",
    start: "Or start from one of these",
    corpusTitle: "The corpus: choose a picture to search by",
    results: "Results",
    more: "Load more",
    jump: "To the results",
    reading: (name, at, all) => (all > 1 ? `Reading ${name} (${at} of ${all}) …` : `Reading ${name} …`),
    notRead: (name) => `${name} could not be read.`,
    searching: "Searching …",
    browsing: (shown, total) => `${number(shown)} of ${many(total, "image")}`,
    status: ({ shown, total_searched: total, hidden, query_patches: patches, timing_ms: ms, approximate, nprobe, whole: unmarked }) =>
      [
        `${number(shown)} of ${many(total, "image")}`,
        `${number(hidden?.duplicates ?? 0)} hidden as copies, ${number(hidden?.filters ?? 0)} by filters`,
        unmarked ? "nothing is marked yet, so the whole picture is searched for" : patches && many(patches, "patch", "patches"),
        ms && `${milliseconds(ms.total)} ms (embed ${milliseconds(ms.embed)}, index ${milliseconds(ms.index)}, re-rank ${milliseconds(ms.rerank)})`,
        approximate ? `approximate${nprobe ? `, nprobe ${nprobe}` : ""}` : "exact",
      ]
        .filter(Boolean)
        .join("; "),
    recall: (found, all) => `; recall of the approximate answer ${number(found)}/${number(all)}`,
    makeExact: "Make exact",
    nothing: "Nothing found",
    nothingWhy: "No picture passes all that narrows this search. Drop one of these:",
    nothingAtAll: "No picture of this index answers this question.",
    drop1: (filter) => `Drop ${filter}`,
    dropAll: "Drop all filters",
    dropMin: (score) => `Drop the least score ${score}`,
    noImages: "This index holds no pictures yet",
    noImagesHow: "Add a folder of pictures with this command, then load this page again:",
    indexCommand: (folder) => `dinosearch index PHOTOS --to ${folder || "FOLDER"}`,
    toStatus: "Add a folder here",
    chooseAgain: "Choose the picture again",
    startOver: "Start over",
  },

  query: {
    canvas: (name) => `Mark a part of ${name}`,
    keys:
      "Rectangle: Enter makes one, arrow keys move it, with Shift they resize it. Brush and patches: arrow keys move over the patches, Space marks. Escape clears.",
    alt: (name) => `Query picture ${name}`,
    unseen: "Hatched: outside the crop that the model sees. A rectangle may reach into it, the crop then moves; painted patches may not.",
    toolbar: "Ways to mark a part",
    tools: { rect: "Rectangle", brush: "Brush", patch: "Single patches", pan: "Off: scroll the page" },
    clear: "Clear the marked part",
    smaller: "Smaller brush",
    larger: "Larger brush",
    size: (size) => `${size} × ${size}`,
    erase: "Erase",
    numbersTitle: "Rectangle in numbers",
    numbers: { left: "x, patches", top: "y, patches", width: "w, patches", height: "h, patches" },
    label: (width, height) => `Region: ${many(width * height, "patch", "patches")}, ${width} x ${height}`,
    painted: (count) => `Region: ${many(count, "patch", "patches")}, painted`,
    noRegion: "Region: none, the whole picture",
    cursor: (at, on) => `${on ? "Marked" : "Not marked"}: ${cell(at)}`,
    until: (moment) => `kept until ${time(moment)}`,
    kept: "kept for good",
    keep: "Keep",
    page: "Its page",
    add: "Add pictures",
    remove: "Remove this picture",
    removeOne: (name) => `Remove ${name}`,
    strip: "Query pictures",
    combine: "How several pictures count",
    mean: "Like all (mean)",
    any: "Like any (best)",
    oneForRegion: "A part can be marked when there is one picture.",
    mode: "What is looked for",
    image: "Whole image",
    region: "Region",
    both: "Both",
    markFirst: "Mark a part on the picture first.",
    weight: "Weight of the region",
    weightValue: (weight) => `${Math.round(weight * 100)} %`,
    options: "How to search",
    position: "Position matters",
    positionTip: "The part has to be at about the same place of the picture",
    exact: "Exact",
    exactTip: "Compare with every picture instead of the likely ones",
    dedupe: "Hide exact copies of each other",
    dedupeTip: "One card stands for all pictures with the same content",
    k: "Pictures per page",
    min: "Least score",
    none: "none",
  },

  card: {
    score: (score, percentile) =>
      typeof percentile === "number" ? `cosine ${digits(score, 3)}; higher than ${percent(percentile)} of random pairs` : `cosine ${digits(score, 3)}`,
    label: (hit, position) =>
      [typeof hit.score === "number" ? `${hit.rank ?? position}: score ${digits(hit.score, 3)}` : null, hit.path, hit.labels.join(", ")].filter(Boolean).join(", "),
    searchByThis: "Search by this (Enter)",
    searchBy: (path) => `Search by ${path}`,
    select: (rank) => `Select number ${rank} (S)`,
    compare: "Compare with the query (Space)",
    add: "Add to the query (A)",
    open: "Its page (O)",
    labels: "Labels",
    noLabels: "no label",
    copies: (count) => `${many(count, "exact copy", "exact copies")} of this picture folded into this card`,
    knee: "scores drop here",
  },

  results: {
    clear: "Clear selection",
    selected: (count) => `${number(count)} selected`,
    heat: "Heat maps",
    export: "Export",
    legend: "Colours from the lowest to the highest cosine: ",
    legendTip: "Cosine of each patch with the best of the marked patches; one scale for all cards",
    reading: (value) => `cosine ${digits(value, 3)}`,
    unseen: "not seen",
    noHeat: (why) => `No heat map: ${why}`,
  },

  filters: {
    is: "is",
    isNot: "is not",
    turn: "Turn around: keep or leave out",
    turnOne: (filter, sense) => `${sense}: turn around ${filter}`,
    key: (key) => ({ path: "folder" })[key] ?? key,
    remove: (filter) => `Remove ${filter}`,
    fault: (typed) => `“${typed}” is not a filter. Write key:value with label, path, split, date, size or meta.NAME; a minus in front leaves out.`,
    count: (count) => many(count, "image"),
    narrow: "Narrow by what was found",
    only: "Only",
    onlyOne: (filter) => `Only ${filter}`,
    not: "Not",
    notOne: (filter) => `Not ${filter}`,
  },

  zoom: {
    in: "Larger",
    out: "Smaller",
    fit: "Whole picture",
    unseen: "The model did not see this part of the picture.",
    cursor: (at, value) => cell(at) + (value === null || Number.isNaN(value) ? "" : `: cosine ${digits(value, 3)}`),
  },

  compare: {
    title: (hit) => `Compare: result ${hit.rank}, score ${digits(hit.score, 3)}`,
    untitled: "Compare",
    previous: "Previous result",
    next: "Next result",
    search: "Search by this",
    open: "Its page",
    close: "Close",
    query: "Query",
    result: (rank) => `Result ${rank}`,
    other: "Picture",
    querySide: "Query picture: arrow keys move over its patches, Enter shows where one is found",
    imageSide: "Result picture: arrow keys move over its patches, Enter shows where one is found",
    hint: "Click a patch in either picture, or take one by arrow keys and Enter, to see where it is found in both.",
    found: (side, at, best) => `Patch of the ${side === "query" ? "query" : "result"} at ${cell(at)}; its best match in the other picture: cosine ${digits(best, 3)}`,
  },

  export: {
    title: "Export",
    scope: (selected, all) => (selected ? `The ${number(selected)} selected of ${number(all)}` : `All ${number(all)} shown`),
    csv: "Save as CSV",
    jsonl: "Save as JSON lines",
    paths: "Copy paths",
    command: "Copy as command line",
    python: "Copy as Python",
    noCommand: "The command line has no words for painted patches.",
    saved: (count) => `Saved ${many(count, "row")}.`,
  },

  keys: {
    title: "Keys",
    close: "Close",
    letters: "Single letters act as commands",
    groups: [
      ["Everywhere", [["?", "this list"], ["Esc", "close, or clear the marked part"]]],
      [
        "Query picture",
        [
          ["R", "rectangle"],
          ["B", "brush"],
          ["P", "single patches"],
          ["+ -", "brush size"],
          ["Alt", "held while painting: erase"],
          ["Enter", "a rectangle in the middle"],
          ["Arrows", "move the rectangle, or the cursor"],
          ["Shift+Arrows", "resize the rectangle"],
          ["Space", "mark or unmark patches"],
        ],
      ],
      [
        "Result cards",
        [
          ["Arrows", "to the next card"],
          ["Home End", "first and last card"],
          ["Enter", "search by this"],
          ["Shift+Enter A", "add to the query"],
          ["Space", "compare with the query"],
          ["O", "open its page"],
          ["S", "select for export"],
          ["H", "heat maps on all cards"],
        ],
      ],
      [
        "Compare and picture page",
        [
          ["Arrows", "move over the patches, or the picture"],
          ["Enter", "where this patch is found"],
          ["Shift+Arrows", "move the picture"],
          ["+ - 0", "larger, smaller, whole"],
          ["[ ]", "previous and next result"],
          ["G", "patch grid (picture page)"],
        ],
      ],
    ],
  },

  picture: {
    loading: "Loading …",
    missing: "This picture cannot be shown",
    toSearch: "To the search",
    status: ({ path, width, height }) => `${path}, ${width} × ${height} px`,
    alt: (path) => `Picture ${path}`,
    view: (path) => `${path}: plus and minus zoom, arrow keys move, Enter takes a patch when the patch heat is on`,
    layers: "Layers",
    layerNone: "Picture",
    layerHeat: "Patch heat",
    grid: "Grid",
    opacity: "Opacity",
    pick: "Click a patch, or take one by arrow keys and Enter, to see where it is found again.",
    patch: (at) => `Patch at ${cell(at)}`,
    facts: "What is known",
    notes: "Notes",
    search: "Search by this",
    mark: "Mark a part",
    download: "Original",
    neighbours: "Nearest pictures",
    alone: "There is no other picture in this index.",
    path: "Path",
    source: "Source",
    size: "Size",
    file: "File",
    date: "Date",
    labels: "Labels",
    split: "Split",
    copies: "Exact copies",
    copy: (id) => `Picture ${id}`,
    none: "none",
    id: "Id",
    patches: "Patches",
    grid2: ([rows, cols]) => `${number(rows * cols)} (${rows} rows, ${cols} columns)`,
    sha: "SHA-256",
    added: "Added",
    updated: "Updated",
  },

  status: {
    title: "Status",
    index: "Index",
    machine: "Machine",
    drift: "Changes since",
    driftHelp: "Compares the folders with the index and changes nothing.",
    driftUnknown: "Not looked yet.",
    look: "Look for changes",
    driftResult: ({ added, changed, missing }, at) =>
      `${many(added ?? 0, "new file")}, ${number(changed ?? 0)} changed, ${number(missing ?? 0)} missing${at ? ` (${time(at)})` : ""}.`,
    add: "Add a folder",
    noRoots: "No folder may be added from this page yet. Start the server with the folders that may:",
    rootCommand: (folder) => `dinosearch serve --in ${folder} --root PHOTOS`,
    root: "Folder",
    subfolder: "Part of it",
    wholeRoot: "all of it",
    labelsFrom: "Labels from the names of folders",
    prune: "Remove pictures whose file is gone",
    pruneTip: "Only those that came from this folder",
    addRun: "Add",
    jobState: (job) => `${text.jobs.name(job)}: ${text.jobs.states[job.state] ?? job.state}.`,
    name: "Name",
    folder: "Folder",
    images: "Images",
    patches: "Patches",
    encoder: "Encoder",
    model: ({ model, size, fit, grid, dim, patch_dim: patch }) => `${model}, ${size} px, ${fit}; ${grid.join(" × ")} patches; ${dim} and ${patch} numbers`,
    fingerprint: "Fingerprint",
    stored: "Stored as",
    dtype: ({ dtype, precision }) => `${dtype}, made in ${precision}`,
    bytes: "On disk",
    vectors: "Vector index",
    vectorKind: (vectors) =>
      [
        vectors?.kind,
        vectors?.lists && many(vectors.lists, "list"),
        vectors?.probes && many(vectors.probes, "probe"),
        vectors?.newer_rows_scanned && `${many(vectors.newer_rows_scanned, "newer row")} scanned`,
      ]
        .filter(Boolean)
        .join(", "),
    recall: "Measured recall",
    unmeasured: "nothing to measure: every search is exact",
    recallOf: ({ recall, recall_at: at, recall_queries: queries }) => `${recall.toFixed(4)} at ${at ?? 10}${queries ? `, ${many(queries, "query", "queries")}` : ""}`,
    segments: "Segments",
    segmentsOf: ({ segments, dead_rows: dead }) => `${number(segments)}${dead ? `, ${many(dead, "row")} no longer used` : ""}`,
    created: "Created",
    sources: "Sources",
    none: "none",
    device: "Device",
    precision: "Precision",
    threads: "Threads",
    memory: "Memory in use",
    failures: "Files that were not taken in",
    failureCount: (total) => (total ? many(total, "file") : "Every picture that was seen is in the index."),
    failureCsv: "Download as CSV",
    failureState: { refused: "Refused", failed: "Failed" },
    columns: ["File", "State", "Reason", "Tries", "Last tried"],
    moreFailures: "Show more",
  },

  jobs: {
    title: "Jobs",
    loading: "Loading …",
    none: "No job has run since the server was started.",
    missing: (id) => `There is no job ${id} any more.`,
    name: ({ id, kind, params }) => {
      const what = { index: "Adding pictures", changes: "Looking for changes" }[kind] ?? kind;
      const where = (params?.roots ?? []).map((one) => [one.root, one.folder].filter(Boolean).join("/")).join(", ");
      return `${what}${where ? ` from ${where}` : ""} (job ${id})`;
    },
    states: { queued: "Waiting", running: "Running", done: "Done", failed: "Failed", cancelled: "Cancelled" },
    cancelling: "Stopping",
    progress: (job) => `Progress of job ${job.id}`,
    numbers: ({ step, done, total, committed, rate, eta_s: eta, state }) =>
      [
        step,
        total ? `${number(done)} of ${number(total)}` : done ? number(done) : "",
        committed ? `${number(committed)} kept` : "",
        rate ? `${rate < 10 ? rate.toFixed(1) : number(Math.round(rate))} a second` : "",
        eta !== null && eta !== undefined && state === "running" ? `${lasting(eta)} to go` : "",
      ]
        .filter(Boolean)
        .join(" · "),
    result: ({ kind, result }) => {
      if (!result) return "";
      if (kind === "changes") return text.status.driftResult(result);
      const words = { added: "added", updated: "updated", unchanged: "unchanged", refused: "refused", failed: "failed", removed: "removed", missing: "missing" };
      return Object.keys(words)
        .filter((key) => typeof result[key] === "number")
        .map((key) => `${number(result[key])} ${words[key]}`)
        .join(", ");
    },
    log: "Log",
    cancel: "Cancel",
    cancelOne: (job) => `Cancel job ${job.id}`,
    retry: "Retry",
    retryOne: (job) => `Retry job ${job.id}`,
    remove: "Delete",
    removeOne: (job) => `Delete job ${job.id} from the list`,
    did: {
      cancel: (job) => `Job ${job.id} is being stopped.`,
      retry: (job) => `Job ${job.id} runs again.`,
      remove: (job) => `Job ${job.id} is deleted from the list.`,
    },
  },
};
