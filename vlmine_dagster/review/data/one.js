// One item, large, with all that is known of it.

import { marksOf } from "./grid.js";
import { pictureOf } from "./server.js";

const by = (id) => document.getElementById(id);

export function showOne(item, verdicts, facts, { onWord, onMoment }) {
  const image = by("large");
  image.src = pictureOf("large", facts, item);
  image.alt = item.description || item.reason;
  by("caption").textContent = item.width ? `${item.width} × ${item.height} pixels` : "";
  showScene(item, facts);
  by("name").textContent = item.image_id;
  by("details").scrollTop = by("one").scrollTop = 0;
  by("reason").textContent = item.reason;
  showVerdicts(verdicts);
  const moment = by("moment");
  moment.hidden = !item.more_frames;
  moment.textContent = `${item.more_frames} more frames of this moment`;
  moment.onclick = () => onMoment(item);
  by("words").replaceChildren(...item.keywords.map((word) => wordButton(word, item, onWord)));
  by("described").textContent = item.description ?? "";
  const rows = item.signals.map(({ name, value, rank }) => row([name, value === null ? "–" : number(value), rank.toLocaleString("en")], facts, name));
  by("signals").tBodies[0].replaceChildren(...rows);
  by("more").replaceChildren(...details(item, facts));
}

export function showVerdicts(verdicts) {
  by("said").replaceChildren(...marksOf(verdicts).flatMap((mark) => [mark, " "]));
}

function showScene(item, facts) {
  const scene = by("scene");
  scene.hidden = !item.box;
  if (!item.box) return;
  const image = scene.querySelector("img");
  const box = scene.querySelector(".box");
  box.hidden = true;
  image.alt = `The whole image, with a box around the object`;
  image.onload = () => placeBox(image, box, item);
  image.src = pictureOf("scene", facts, item);
}

// The scene may be reduced; the box is in pixels of the whole image, whose size the server sends along.
function placeBox(image, box, item) {
  const [width, height] = [item.scene_width, item.scene_height];
  const share = (part, whole) => `${(100 * part) / whole}%`;
  Object.assign(box.style, { left: share(item.box.x, width), top: share(item.box.y, height), width: share(item.box.width, width), height: share(item.box.height, height) });
  box.hidden = false;
}

function wordButton(word, item, onWord) {
  const entry = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = word === item.keyword && item.keyword_count ? `${word} (${item.keyword_count})` : word;
  button.title = `Show all with “${word}”`;
  button.addEventListener("click", () => onWord(word));
  entry.append(button);
  return entry;
}

function row(texts, facts, name) {
  const made = document.createElement("tr");
  made.title = facts.signals.find((signal) => signal.name === name)?.meaning ?? "";
  made.append(...texts.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
  return made;
}

function details(item, facts) {
  const rows = {
    rank: `${item.rank.toLocaleString("en")} of ${facts.total.toLocaleString("en")}`,
    front: item.front,
    "model says": item.predicted,
    "rare class": item.rare_class,
    label: item.label,
    image: item.image,
    sequence: item.sequence && item.frame !== null ? `${item.sequence}, frame ${item.frame}` : item.sequence,
    time: item.time_s === null ? null : `${item.time_s.toFixed(3)} s`,
    "skipped for": item.instead_of,
    junk: item.junk,
    slice: item.slice,
  };
  return Object.entries(rows).filter(([, value]) => value !== null && value !== undefined && value !== "").flatMap(([name, value]) => [
    Object.assign(document.createElement("dt"), { textContent: name }),
    Object.assign(document.createElement("dd"), { textContent: value }),
  ]);
}

const number = (value) => (Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(4));
