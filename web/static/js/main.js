/** The shell: which screen is shown, what is said and what went wrong, theme and keys. */

import { call, Problem, stopped, useIndex, whenWaiting } from "./api.js";
import { button, copyText, find, h, typing } from "./dom.js";
import { formatState, parseState } from "./state.js";
import { text } from "./text.js";

const SCREENS = [
  { path: /^\/$/, name: "search", load: () => import("./search.js") },
  { path: /^\/image\/(\d+)$/, name: "picture", load: () => import("./picture.js") },
  { path: /^\/status(?:\/job\/([\w-]+))?$/, name: "status", load: () => import("./status.js") },
];

const main = find("#main");
const statusLine = find("#status-line");
const statusActions = find("#status-actions");
let screen = null;
let shown = "";
let named = null;

const app = {
  info: null,
  say,
  flash,
  offer,
  problem,
  settled: (purpose) => dismiss(purpose),
  faults,
  navigate,
  title: (words) => {
    document.title = words ? `${words} · ${text.name}` : text.name;
  },
  refreshInfo: loadInfo,
};

let said = "";
let flashing = 0;
let offered = [];

function offer(...actions) {
  offered = actions.filter(Boolean);
  if (!statusLine.dataset.waiting) statusActions.replaceChildren(...offered);
}

function say(words) {
  said = words;
  if (!statusLine.dataset.waiting) statusLine.textContent = words;
}

function flash(words) {
  clearTimeout(flashing);
  statusLine.textContent = words;
  flashing = setTimeout(() => say(said), 4000);
}

whenWaiting((waiting) => {
  if (waiting) {
    statusLine.dataset.waiting = waiting.purpose;
    statusLine.textContent = text.problem.waiting(waiting);
    statusActions.replaceChildren(button(text.problem.stop, {}, waiting.stop));
  } else {
    delete statusLine.dataset.waiting;
    statusLine.textContent = said;
    statusActions.replaceChildren(...offered);
  }
});

function problem(purpose, error, { actions = [], note = "" } = {}) {
  if (stopped(error)) return;
  // Only a Problem is told in its own words; anything else is a fault of this page.
  const ours = !(error instanceof Problem);
  const fault = { detail: error.message, errors: [], ...error, title: ours ? text.problem.internal : error.message };
  if (ours) console.error(error);
  const copy = button(text.problem.copy, { sign: "copy" }, async () => {
    const details = { ...fault, stack: ours ? error.stack : undefined, page: location.href, at: new Date().toISOString() };
    flash((await copyText(JSON.stringify(details, null, 2))) ? text.copied : text.notCopied);
  });
  show(
    purpose,
    h(
      "div.trouble",
      null,
      h("p.title", null, fault.title),
      fault.detail && h("p", null, fault.detail),
      note && h("p", null, note),
      h("ul", null, fault.errors.filter((one) => one.detail !== fault.detail).map((one) => h("li", null, h("code", null, one.pointer), " ", one.detail))),
      h(
        "div.actions",
        null,
        actions,
        copy,
        fault.type?.startsWith("/problems/") && h("a.button", { href: fault.type, target: "_blank", rel: "noopener" }, text.problem.help),
        button(text.problem.dismiss, { sign: "close" }, () => dismiss(purpose)),
        fault.instance && h("code.instance", null, fault.instance),
      ),
    ),
  );
}

function faults(list) {
  if (!list.length) return dismiss("url");
  return show(
    "url",
    h(
      "div.trouble.mild",
      null,
      h("p.title", null, text.problem.parameters),
      h("ul", null, list.map(({ name, value }) => h("li", null, h("code", null, `${name}=${value}`)))),
      h("div.actions", null, button(text.problem.dismiss, { sign: "close" }, () => dismiss("url"))),
    ),
  );
}

function show(purpose, element) {
  const region = find("#problem");
  element.dataset.purpose = purpose;
  dismiss(purpose);
  region.append(element);
}

function dismiss(purpose) {
  for (const one of [...find("#problem").children]) if (one.dataset.purpose === purpose) one.remove();
}

/** Go to a URL of this page. Focus moves to the new screen's heading, unless it is the same screen. */
function navigate(url, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", url);
  else history.pushState(null, "", url);
  return route();
}

let turns = 0;

async function route({ first = false } = {}) {
  const turn = (turns += 1);
  const place = SCREENS.find((one) => one.path.test(location.pathname)) ?? SCREENS[0];
  const argument = place.path.exec(location.pathname)?.[1] ?? null;
  const index = parseState(location.search).state.i;
  if (index !== named) {
    named = index;
    useIndex(index);
    app.ready = loadInfo().catch((error) => problem("info", error));
  }
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.screen === place.name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
    link.href = link.dataset.home + formatState({ i: index });
  }
  const key = [place.name, place.name === "picture" ? argument : "", index].join(" ");
  try {
    if (key === shown) return await screen.update(argument);
    const module = await place.load();
    if (turn !== turns) return; // meanwhile it went elsewhere
    screen?.unmount();
    [...find("#problem").children].forEach((one) => one.remove());
    app.offer();
    say("");
    shown = key;
    main.replaceChildren();
    main.dataset.screen = place.name;
    screen = module.mount(main, app);
    await screen.update(argument);
    if (!first) {
      window.scrollTo(0, 0);
      find("h1", main)?.focus();
    }
  } catch (error) {
    problem("screen", error);
  }
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const url = new URL(link.href);
  const ours = url.origin === location.origin && SCREENS.some((one) => one.path.test(url.pathname));
  if (!ours || link.hasAttribute("download") || link.target) return;
  // A link into this very page (the skip link) is the browser's.
  if (url.hash && url.pathname === location.pathname && url.search === location.search) return;
  event.preventDefault();
  navigate(url.pathname + url.search);
});
window.addEventListener("popstate", () => route());
window.addEventListener("offline", () => say(text.problem.offline(false).title));
window.addEventListener("online", () => say(text.problem.online));

function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function store(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Private windows may refuse; the choice then lasts as long as the page.
  }
}

const theme = find("#theme");
theme.value = ["light", "dark"].includes(stored("theme")) ? stored("theme") : "auto";
document.documentElement.dataset.theme = theme.value;
theme.addEventListener("change", () => {
  document.documentElement.dataset.theme = theme.value;
  store("theme", theme.value);
});

document.documentElement.dataset.keys = stored("keys") === "off" ? "off" : "on";

async function showKeys() {
  const { openKeys } = await import("./keys.js");
  openKeys({
    letters: document.documentElement.dataset.keys !== "off",
    onLetters: (on) => {
      document.documentElement.dataset.keys = on ? "on" : "off";
      store("keys", on ? "on" : "off");
    },
  });
}
find("#show-keys").addEventListener("click", showKeys);

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key.length === 1 && event.key !== " " && document.documentElement.dataset.keys === "off") return;
  if (event.key === "?") {
    event.preventDefault();
    showKeys();
  } else screen?.key?.(event);
});

async function loadInfo() {
  app.info = await call("info", "info");
  const { indexes = [], index } = app.info;
  const picker = find("#index");
  picker.closest(".picker").hidden = indexes.length < 2;
  picker.replaceChildren(...indexes.map((one) => h("option", { value: one.name }, text.indexOption(one))));
  picker.value = index?.name ?? "";
  return app.info;
}
find("#index").addEventListener("change", (event) => navigate(`/?i=${encodeURIComponent(event.target.value)}`));

/** Icons come as one file and go into the page, where <use> finds them under every browser's policy. */
async function loadIcons() {
  const answer = await fetch(document.body.dataset.icons);
  const sprite = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  document.body.append(document.adoptNode(sprite));
}

loadIcons().catch(() => {});
const place = SCREENS.find((one) => one.path.test(location.pathname));
place?.load().catch(() => {});
route({ first: true });
