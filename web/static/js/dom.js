/** Elements, made without ever parsing text as markup. */

const PROPERTIES = new Set(["value", "checked", "selected", "indeterminate", "htmlFor", "textContent"]);
const SVG = "http://www.w3.org/2000/svg";

/**
 * An element: h("div#results.wall", {on: {click: run}}, child, "text"). What is null or
 * false is left out. `style` goes through the CSSOM: the policy refuses style attributes.
 */
export function h(tag, props = null, ...children) {
  const [, name, id, classes] = /^([a-z0-9]+)(?:#([\w-]+))?((?:\.[\w-]+)*)$/i.exec(tag);
  const element = document.createElement(name);
  if (id) element.id = id;
  if (classes) element.className = classes.slice(1).replaceAll(".", " ");
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") element.className = [element.className, value].filter(Boolean).join(" ");
    else if (key === "on") for (const [type, run] of Object.entries(value)) element.addEventListener(type, run);
    else if (key === "data") Object.assign(element.dataset, value);
    else if (key === "style") for (const [rule, v] of Object.entries(value)) element.style.setProperty(rule, v);
    else if (PROPERTIES.has(key)) element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...shown(children));
  return element;
}

const shown = (children) => children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);

export const fill = (element, ...children) => element.replaceChildren(...shown(children));

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** A button with an icon (`sign`); `bare` keeps its words as name and tooltip only. */
export function button(label, { sign = null, bare = false, key = null, ...props } = {}, run = null) {
  return h(
    "button",
    {
      type: "button",
      "aria-label": bare ? label : null,
      title: bare || key ? (key ? `${label} (${key})` : label) : null,
      "aria-keyshortcuts": key && /^[A-Z[\]]$/.test(key) ? key : null,
      ...props,
      class: [bare ? "bare" : "", props.class ?? ""].join(" ").trim() || null,
      on: run ? { click: run } : null,
    },
    sign && icon(sign),
    bare ? null : label,
  );
}

export function tick(id, label, checked, run, hint = null) {
  const input = h("input", { type: "checkbox", id, checked, on: { change: () => run(input.checked) } });
  return h("label.tick", { title: hint }, input, h("span", null, label));
}

export function field(id, label, props = {}) {
  const input = h("input", { id, ...props });
  return h("div.field", null, h("label", { for: id }, label), input);
}

export const find = (selector, root = document) => root?.querySelector(selector) ?? null;

export function debounce(run, wait) {
  let timer = 0;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = 0;
      run(...given);
    }, wait);
  };
  later.cancel = () => {
    clearTimeout(timer);
    timer = 0;
  };
  later.waiting = () => timer !== 0;
  return later;
}

export const section = (id, title, ...children) =>
  h(`section#${id}`, { "aria-labelledby": `${id}-title` }, h(`h2#${id}-title`, null, title), ...children);

export function typing(target) {
  if (!target?.closest) return false;
  const input = target.closest("input, textarea, select, [contenteditable]");
  return Boolean(input) && !["checkbox", "radio", "range", "button"].includes(input.type);
}

export const factList = (rows) =>
  h(
    "dl.facts-list",
    null,
    rows.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([key, value]) => h("div", null, h("dt", null, key), h("dd", null, value))),
  );

/** A path in two halves, so that CSS can leave out its middle; the text stays whole. */
export function pathText(path, tag = "p") {
  const characters = Array.from(path);
  const cut = characters.length < 20 ? 0 : characters.length - 14;
  return h(
    `${tag}.path`,
    { title: path },
    h("bdi.head", null, characters.slice(0, cut).join("")),
    h("bdi.tail", null, characters.slice(cut).join("")),
  );
}

/** A picture in a frame of its own shape: whatever lies over the frame lies over the picture. */
export function framed({ src, width, height, alt = "", lazy = true }, ...over) {
  const picture = h("img", {
    width,
    height,
    alt,
    loading: lazy ? "lazy" : null,
    decoding: "async",
    draggable: "false",
  });
  picture.addEventListener("error", () => picture.parentElement?.classList.add("lost"));
  picture.src = src;
  return h("span.frame", { style: { "--ar": String(width / height) } }, picture, ...over);
}

export async function copyText(content) {
  try {
    await navigator.clipboard.writeText(content);
    return true;
  } catch {
    return false;
  }
}
