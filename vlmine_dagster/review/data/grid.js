// A grid of which only what can be seen exists: rows are moved and filled anew while it scrolls.

import { pictureOf, prepare } from "./server.js";

const SPARE = 2; // rows above and below what can be seen
const CALM_MS = 70; // pictures are fetched once scrolling is this calm

export const short = (name) => name.replace(/^wrong keyword$/, "wrong");

export class Grid {
  constructor(element, items, { onMove, onOpen }) {
    this.element = element;
    this.rowsElement = element.querySelector("#rows");
    this.items = items;
    this.onMove = onMove;
    this.onOpen = onOpen;
    this.place = 0;
    this.rows = [];
    this.columns = 1;
    this.rowHeight = 200;
    this.calmAt = 0;
    element.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    element.addEventListener("click", (event) => this.#clicked(event, false));
    element.addEventListener("dblclick", (event) => this.#clicked(event, true));
    new ResizeObserver(() => this.measure()).observe(element);
  }

  // Fits columns to the width, and starts over with what is shown.
  measure() {
    const style = getComputedStyle(document.documentElement);
    const size = parseFloat(style.fontSize);
    const width = this.element.clientWidth;
    if (!width) return;
    const cell = parseFloat(style.getPropertyValue("--cell")) * size;
    this.columns = Math.max(1, Math.floor(width / cell));
    this.rowHeight = Math.round(Math.min(width / this.columns, 1.2 * cell) * 0.78 + 3.5 * size + 10);
    this.rowCount = Math.ceil(this.items.total / this.columns);
    this.rowsElement.style.height = `${this.rowCount * this.rowHeight}px`;
    this.element.setAttribute("aria-rowcount", this.rowCount);
    this.element.setAttribute("aria-colcount", this.columns);
    const wanted = Math.ceil(this.element.clientHeight / this.rowHeight) + 2 * SPARE + 1;
    this.rowsElement.replaceChildren();
    this.rows = Array.from({ length: Math.min(wanted, this.rowCount) }, () => this.#newRow());
    this.reveal(this.place);
    this.draw();
  }

  reset() {
    this.place = 0;
    this.element.scrollTop = 0;
    this.measure();
  }

  // Makes a place the active one, and scrolls to it.
  move(place) {
    if (!this.items.total) return;
    this.place = Math.min(Math.max(place, 0), this.items.total - 1);
    this.reveal(this.place);
    this.draw();
    this.onMove(this.place);
  }

  reveal(place) {
    const top = Math.floor(place / this.columns) * this.rowHeight;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.rowHeight > scrollTop + clientHeight) this.element.scrollTop = top + this.rowHeight - clientHeight;
  }

  pageSize() {
    return this.columns * Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight));
  }

  draw() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.rowHeight) - SPARE);
    const isCalm = performance.now() >= this.calmAt;
    this.coming = [];
    for (let number = first; number < Math.min(first + this.rows.length, this.rowCount); number += 1) {
      this.#drawRow(this.rows[number % this.rows.length], number, isCalm);
    }
    this.#fetchPictures();
    const active = Math.floor(this.place / this.columns);
    if (active >= first && active < first + this.rows.length) this.element.setAttribute("aria-activedescendant", `cell-${this.place}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  #scrolled() {
    this.calmAt = performance.now() + CALM_MS;
    if (!this.isWaiting) {
      this.isWaiting = true;
      requestAnimationFrame(() => {
        this.isWaiting = false;
        this.draw();
      });
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.draw(), CALM_MS + 5);
  }

  #newRow() {
    const row = document.createElement("div");
    row.className = "row";
    row.setAttribute("role", "row");
    row.style.gridTemplateColumns = `repeat(${this.columns}, minmax(0, 1fr))`;
    row.style.height = `${this.rowHeight}px`;
    row.cells = Array.from({ length: this.columns }, () => newCell());
    row.append(...row.cells.map((cell) => cell.element));
    this.rowsElement.append(row);
    return row;
  }

  #drawRow(row, number, isCalm) {
    if (row.number !== number) {
      row.number = number;
      row.style.transform = `translateY(${number * this.rowHeight}px)`;
      row.setAttribute("aria-rowindex", number + 1);
    }
    row.cells.forEach((cell, column) => this.#drawCell(cell, number * this.columns + column, isCalm));
  }

  #drawCell(cell, place, isCalm) {
    const item = this.items.at(place);
    const verdicts = item ? this.items.verdictsOf(item) : [];
    const isActive = place === this.place;
    if (cell.place !== place || cell.item !== item || cell.verdicts !== verdicts || cell.isActive !== isActive) {
      Object.assign(cell, { place, item, verdicts, isActive });
      fillCell(cell, place < this.items.total);
    }
    if (cell.picture === item) return;
    if (cell.picture) {
      cell.image.removeAttribute("src"); // nobody waits for it any more
      cell.image.dataset.state = "wait";
      cell.element.classList.remove("failed");
      cell.picture = undefined;
    }
    if (item && isCalm) this.coming.push(cell);
  }

  // Tells the server of a screenful at once, before the browser asks for its pictures a few at a time.
  #fetchPictures() {
    if (this.coming.length > 6) prepare(this.items.facts, this.coming.map((cell) => cell.item.position));
    for (const cell of this.coming) {
      cell.picture = cell.item;
      cell.image.src = pictureOf("small", this.items.facts, cell.item);
    }
  }

  #clicked(event, isDouble) {
    const element = event.target.closest(".cell");
    if (!element) return;
    this.move(Number(element.id.slice(5)));
    if (isDouble) this.onOpen();
  }
}

function newCell() {
  const element = document.createElement("div");
  element.setAttribute("role", "gridcell");
  const thumb = document.createElement("div");
  thumb.className = "thumb";
  const image = new Image();
  image.alt = "";
  image.decoding = "async";
  image.draggable = false;
  image.dataset.state = "wait";
  const line = document.createElement("div");
  line.className = "line";
  const rank = document.createElement("span");
  rank.className = "rank";
  const reason = document.createElement("span");
  line.append(rank, reason);
  const marks = document.createElement("div");
  marks.className = "marks";
  const more = document.createElement("div");
  more.className = "more";
  thumb.append(image);
  element.append(thumb, line, marks, more);
  image.addEventListener("load", () => { image.dataset.state = "shown"; element.classList.remove("failed"); });
  image.addEventListener("error", () => { image.dataset.state = "failed"; element.classList.add("failed"); });
  return { element, image, rank, reason, marks, more };
}

function fillCell(cell, isThere) {
  const { element, item, verdicts } = cell;
  element.hidden = !isThere;
  element.id = `cell-${cell.place}`;
  const last = verdicts.at(-1);
  element.className = `cell${cell.isActive ? " active" : ""}${last ? ` ${short(last.verdict)}` : ""}`;
  element.setAttribute("aria-selected", cell.isActive);
  if (!item) {
    element.setAttribute("aria-label", "loading");
    cell.rank.textContent = cell.reason.textContent = cell.more.textContent = "";
    cell.marks.replaceChildren();
    cell.more.hidden = true;
    return;
  }
  cell.rank.textContent = item.rank;
  cell.reason.textContent = item.selected ? item.reason : item.junk ? `${item.junk} · ${item.image_id}` : item.image_id;
  cell.more.hidden = !item.more_frames;
  cell.more.textContent = `+${item.more_frames}`;
  cell.more.title = `${item.more_frames} more frames of this moment`;
  cell.marks.replaceChildren(...marksOf(verdicts));
  element.setAttribute("aria-label", spoken(item, verdicts));
}

// The verdicts about an item as marks: one each, with names where there are several.
export function marksOf(verdicts) {
  return verdicts.map((one) => {
    const mark = document.createElement("span");
    mark.className = `mark ${short(one.verdict)}${one.number ? "" : " pending"}`;
    const who = verdicts.length > 1 ? `${one.reviewer}: ` : "";
    mark.textContent = who + one.verdict + (one.class_name ? ` · ${one.class_name}` : "");
    return mark;
  });
}

export function spoken(item, verdicts) {
  const said = verdicts.map((one) => `${one.verdict} by ${one.reviewer}`).join(", ");
  const more = item.more_frames ? `, ${item.more_frames} more frames of this moment` : "";
  return `rank ${item.rank}, ${item.image_id}, ${item.reason}${more}${said ? `, judged ${said}` : ", not judged"}`;
}
