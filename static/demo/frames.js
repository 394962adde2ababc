/** The panel of raw frames. */

const SHOWN = 100;

const list = document.querySelector("#frames");

/** Return the time of day as an element. */
export function clock() {
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  return time;
}

/** Show one frame's text; `direction` is an arrow. */
export function showFrame(direction, text) {
  const entry = document.createElement("li");
  const arrow = document.createElement("span");
  const frame = document.createElement("code");
  arrow.textContent = direction;
  frame.textContent = text;
  entry.append(clock(), arrow, frame);
  list.prepend(entry);
  while (list.children.length > SHOWN) list.lastElementChild.remove();
}
