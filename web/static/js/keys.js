/** The list of keys, in a dialog. */

import { button, h, tick } from "./dom.js";
import { text } from "./text.js";

let dialog = null;

export function openKeys({ letters, onLetters }) {
  const words = text.keys;
  dialog?.remove();
  dialog = h(
    "dialog#keys",
    { "aria-labelledby": "keys-title" },
    h("header", null, h("h2#keys-title", null, words.title), button(words.close, { sign: "close", bare: true, key: "Esc" }, () => dialog.close())),
    h("div.row", null, tick("letters", words.letters, letters, onLetters)),
    h(
      "div.columns",
      null,
      words.groups.map(([title, keys]) =>
        h(
          "section",
          null,
          h("h3", null, title),
          h("dl", null, keys.map(([key, does]) => h("div", null, h("dt", null, key.split(" ").map((one) => h("kbd", null, one))), h("dd", null, does)))),
        ),
      ),
    ),
  );
  const opener = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    opener?.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}
