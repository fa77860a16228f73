// The page as a whole: what is shown, what keys do.

import { ClassField } from "./class_field.js";
import { Grid, short } from "./grid.js";
import { Items } from "./items.js";
import { Judging, standing } from "./judging.js";
import { showOne, showVerdicts } from "./one.js";
import { get, post } from "./server.js";

const by = (id) => document.getElementById(id);
const KEYS = { rare: "r", common: "c", junk: "j", duplicate: "d", "wrong keyword": "w", unsure: "u" };
const FILTERS = { text: "text", keyword: "keyword", class: "class_name", state: "state", lane: "lane", slice: "slice_name", front: "front", signal: "signal", low: "low", high: "high", sort: "sort" };
const FILTERED_BY = { front: "Front: write a whole number from 1.", low: "Signal, from: write a number.", high: "Signal, to: write a number." };
const SCROLLING = new Set(["ArrowUp", "ArrowDown", "PageUp", "PageDown", "Home", "End", " "]);
const lowWindow = matchMedia("(max-height: 30rem)"); // as in page.css
const page = { isOne: false, moment: null };
const problems = new Map(); // by what they are about

async function start() {
  const wanted = new URLSearchParams(location.search).get("experiment");
  const facts = await get(`api/list${wanted ? `?experiment=${encodeURIComponent(wanted)}` : ""}`);
  page.facts = facts;
  document.title = `${facts.experiment} · ${facts.project} · vlmine review`;
  by("project").textContent = facts.project;
  fillChoices(facts);
  page.items = new Items(facts, () => draw());
  page.grid = new Grid(by("grid"), page.items, { onMove: () => moved(), onOpen: () => setMode(true) });
  page.judging = new Judging(page.items, { reviewer, onChange: () => draw(), onProblem: (problem) => tell(problem, "verdicts") });
  page.className = new ClassField(by("class-name"), by("class-problem"), { choices: facts.class_choices, isClosed: facts.has_closed_classes });
  listen();
  await refilter();
  await page.judging.look();
  by("grid").focus({ preventScroll: true });
}

function fillChoices(facts) {
  const option = (value, text = value) => Object.assign(document.createElement("option"), { value, textContent: text });
  by("experiment").replaceChildren(...facts.experiments.map((name) => option(name)));
  by("experiment").value = facts.experiment;
  by("reviewer").value = localStorage.getItem("vlmine-reviewer") || facts.reviewer;
  by("keywords").replaceChildren(...facts.keywords.map(({ name, count }) => option(name, `${count}`)));
  by("classes").replaceChildren(...facts.classes.map((name) => option(name)));
  by("class-choices").replaceChildren(...(facts.class_choices.length ? facts.class_choices : facts.classes).map((name) => option(name)));
  for (const { name, meaning } of facts.signals) for (const id of ["signal", "sort"]) by(id).append(Object.assign(option(name), { title: meaning }));
  for (const { name } of facts.verdicts) by("state").append(option(name));
  by("lane").options[1].textContent = `junk (${facts.junk.toLocaleString("en")})`;
  by("lane").parentElement.hidden = !facts.junk;
  by("slice").append(...facts.slices.map(({ name, count }) => option(name, `${name} (${count.toLocaleString("en")})`)));
  by("slice").parentElement.hidden = !facts.slices.length;
  if (facts.selected >= facts.total) by("selected").parentElement.hidden = true;
  by("grid").setAttribute("aria-label", `Mined ${facts.unit}s`);
  by("verdicts").replaceChildren(...facts.verdicts.map(verdictButton));
  by("keys").replaceChildren(...helpRows(facts));
}

function verdictButton({ name, meaning }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = `verdict ${short(name)}`;
  button.title = meaning;
  button.dataset.verdict = name;
  button.setAttribute("aria-pressed", "false");
  const key = Object.assign(document.createElement("kbd"), { textContent: KEYS[name].toUpperCase() });
  button.append(name, " ", key);
  button.setAttribute("aria-keyshortcuts", KEYS[name]);
  button.addEventListener("click", () => judge(name));
  return button;
}

function helpRows(facts) {
  const rows = [
    ...facts.verdicts.map(({ name, meaning }) => [KEYS[name], `${name}: ${meaning}`]),
    ["z", "undo the last verdict"], ["n or Space", "next"], ["p", "previous"], ["arrows", "move in the grid"],
    ["Enter", "one by one, and back"], ["Tab", "one by one: to the text, where arrows and Page Up and Down scroll"], ["l", "name the class, Enter to go back"], ["k", "show all with its rarest keyword"],
    ["f", "more frames of this moment"], ["m", "mine more like this one"], ["/", "find by text"], ["o", "show the filters"], ["Esc", "back"], ["?", "these keys"],
  ];
  return rows.map((texts) => {
    const row = document.createElement("tr");
    const key = Object.assign(document.createElement("kbd"), { textContent: texts[0] });
    row.append(document.createElement("td"), Object.assign(document.createElement("td"), { textContent: texts[1] }));
    row.firstChild.append(key);
    return row;
  });
}

function listen() {
  let timer;
  const later = () => { clearTimeout(timer); timer = setTimeout(refilter, 200); };
  by("filters").addEventListener("input", later);
  by("filters").addEventListener("reset", () => setTimeout(refilter));
  by("filters").addEventListener("submit", (event) => { event.preventDefault(); by("grid").focus(); });
  by("experiment").addEventListener("change", (event) => { location.search = `?experiment=${encodeURIComponent(event.target.value)}`; });
  by("reviewer").addEventListener("change", () => { localStorage.setItem("vlmine-reviewer", reviewer()); draw(); });
  by("reviewer").addEventListener("input", () => reviewer() && tell("", "reviewer"));
  by("reviewer").addEventListener("keydown", (event) => { if (event.key === "Enter") focusContent(); });
  by("filter-button").addEventListener("click", () => toggleFilters());
  by("theme").addEventListener("click", changeTheme);
  by("help-button").addEventListener("click", () => by("help").showModal());
  by("undo").addEventListener("click", undo);
  by("finish").addEventListener("click", askToFinish);
  by("round").addEventListener("close", finish);
  by("like").addEventListener("click", moreLike);
  by("mode").addEventListener("click", () => setMode(!page.isOne));
  by("moment-bar").querySelector("button").addEventListener("click", leaveMoment);
  by("class-name").addEventListener("keydown", (event) => { if (event.key === "Enter" && page.className.check()) focusContent(); });
  document.addEventListener("keydown", pressed);
  lowWindow.addEventListener("change", makeRoom);
  const theme = localStorage.getItem("vlmine-theme");
  if (theme) document.documentElement.dataset.theme = theme;
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || by("help").open || by("round").open) return;
  const isTyping = event.target.matches("input, select, textarea");
  if (event.key === "Escape") return escape(event, isTyping);
  if (isTyping || (event.target.matches("button, a") && ["Enter", " "].includes(event.key))) return;
  if (SCROLLING.has(event.key) && by("details").contains(event.target) && [by("details"), by("one")].some(canScroll)) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const verdict = Object.keys(KEYS).find((name) => KEYS[name] === key);
  const place = page.grid.place;
  const across = page.isOne ? 1 : page.grid.columns;
  const actions = {
    z: undo, n: () => go(place + 1), " ": () => go(place + 1), p: () => go(place - 1),
    ArrowRight: () => go(place + 1), ArrowLeft: () => go(place - 1), ArrowDown: () => go(place + across), ArrowUp: () => go(place - across),
    PageDown: () => go(place + page.grid.pageSize()), PageUp: () => go(place - page.grid.pageSize()),
    Home: () => go(0), End: () => go(page.items.total - 1),
    Enter: () => setMode(!page.isOne), l: () => by("class-name").focus(), "/": () => toggleFilters(true, "text"), o: () => toggleFilters(),
    m: moreLike, k: () => current()?.keyword && filterWord(current().keyword), f: () => current()?.more_frames && openMoment(current()),
    "?": () => by("help").showModal(),
  };
  const act = verdict ? () => judge(verdict) : actions[key];
  if (!act) return;
  event.preventDefault();
  act();
}

function escape(event, isTyping) {
  event.preventDefault();
  if (isTyping) focusContent();
  else if (page.isOne) setMode(false);
  else if (page.moment) leaveMoment();
}

const canScroll = (element) => element.scrollHeight > element.clientHeight && getComputedStyle(element).overflowY === "auto";
const current = () => page.items.at(page.grid.place);
const reviewer = () => by("reviewer").value.trim();

async function judge(verdict) {
  const item = current();
  if (!item) return;
  if (!reviewer()) {
    tell("A verdict needs the name of its reviewer: type yours into the field Reviewer.", "reviewer");
    return by("reviewer").focus();
  }
  if (!page.className.check()) return by("class-name").focus();
  page.judging.judge(item, verdict, page.className.name);
  page.className.clear();
  const judged = page.items.verdicts.size;
  say(`${verdict}, ${item.image_id}, ${judged} judged`);
  if (page.grid.place + 1 < page.items.total) go(page.grid.place + 1);
  else draw();
}

function undo() {
  const item = page.judging.undo();
  if (!item) return say("nothing to undo");
  say(`undone, ${item.image_id}`);
  page.items.at(page.grid.place - 1)?.position === item.position ? go(page.grid.place - 1) : draw();
}

function go(place) {
  page.grid.move(place);
  focusContent();
}

function moved() {
  page.judging?.watch.start();
  draw();
  if (page.isOne) for (const next of [1, 2]) {
    const item = page.items.at(page.grid.place + next);
    if (item) new Image().src = `pictures/large/${encodeURIComponent(page.facts.experiment)}/${page.facts.list}/${item.position}?${item.picture}`;
  }
}

function focusContent() {
  (page.isOne ? by("name") : by("grid")).focus({ preventScroll: true });
}

function setMode(isOne) {
  page.isOne = isOne && page.items.total > 0;
  by("one").hidden = !page.isOne;
  by("grid").inert = page.isOne;
  by("mode").textContent = page.isOne ? "Grid" : "One by one";
  page.shown = null;
  makeRoom();
  draw();
  focusContent();
}

// In a low window, as at 200% zoom, filters leave their room to the picture.
function makeRoom() {
  if (!page.isOne || !lowWindow.matches || by("filters").hidden) return;
  const hadFocus = by("filters").contains(document.activeElement);
  toggleFilters(false);
  if (hadFocus) focusContent();
}

async function refilter() {
  const wrong = Object.keys(FILTERED_BY).find((id) => !by(id).validity.valid);
  tell(FILTERED_BY[wrong] ?? "", "filters");
  if (wrong) return;
  const asked = { reviewer: reviewer(), is_selected: by("selected").checked && !page.moment, is_descending: by("descending").checked };
  for (const [id, name] of Object.entries(FILTERS)) asked[name] = by(id).value;
  if (page.moment) Object.assign(asked, { moment: page.moment.image_id, sort: "rank", text: "", keyword: "", class_name: "", state: "", lane: "all", slice_name: "", front: "", signal: "" });
  try {
    await page.items.filter(asked);
  } catch (problem) {
    tell(problem.message, "filters");
  }
  by("empty").hidden = page.items.total > 0;
  by("empty").textContent = "Nothing passes these filters.";
  if (!page.items.total && page.isOne) setMode(false);
  page.grid.reset();
  await page.items.need(0);
  draw();
}

function filterWord(word) {
  by("keyword").value = word;
  by("selected").checked = false;
  toggleFilters(true);
  setMode(false);
  refilter();
}

async function moreLike() {
  const item = current();
  if (!item || page.isMining) return;
  page.isMining = true;
  tell("", "like");
  say(`mining more like ${item.image_id}`);
  by("progress").textContent = `Mining more like ${item.image_id} …`;
  try {
    const { experiment } = await post("api/like", { experiment: page.facts.experiment, list: page.facts.list, position: item.position });
    location.search = `?experiment=${encodeURIComponent(experiment)}`;
  } catch (problem) {
    tell(problem.message, "like");
    progress();
  } finally {
    page.isMining = false;
  }
}

function openMoment(item) {
  page.moment = item;
  page.back = page.grid.place;
  by("moment-bar").hidden = false;
  by("moment-bar").firstElementChild.textContent = `${item.more_frames} ${item.more_frames === 1 ? "frame" : "frames"} of the moment of ${item.image_id}`;
  setMode(false);
  refilter();
}

async function leaveMoment() {
  page.moment = null;
  by("moment-bar").hidden = true;
  await refilter();
  go(page.back ?? 0);
}

function toggleFilters(isOpen = by("filters").hidden, focused = "") {
  by("filters").hidden = !isOpen;
  by("filter-button").setAttribute("aria-expanded", isOpen);
  if (focused) by(focused).focus();
}

function changeTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("vlmine-theme", root.dataset.theme);
}

async function askToFinish() {
  tell("", "finish");
  const { lines } = await get("api/round");
  by("round-lines").replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
  by("round").returnValue = "no";
  by("round").showModal();
}

async function finish() {
  if (by("round").returnValue !== "yes") return;
  try {
    const { number } = await post("api/round", {});
    say(`round ${number} is finished; run vlmine run`);
    by("progress").textContent = `Round ${number} is finished. Next: vlmine run`;
    page.judging.done = [];
  } catch (problem) {
    tell(problem.message, "finish");
  }
}

function draw() {
  if (!page.grid) return;
  page.grid.draw();
  const item = current();
  const verdicts = item ? page.items.verdictsOf(item) : [];
  if (page.isOne && item) {
    if (page.shown !== item) {
      page.shown = item;
      showOne(item, verdicts, page.facts, { onWord: filterWord, onMoment: openMoment });
    } else showVerdicts(verdicts);
  }
  const mine = verdicts.find((one) => one.reviewer === reviewer())?.verdict;
  for (const button of by("verdicts").children) button.setAttribute("aria-pressed", button.dataset.verdict === mine);
  progress();
}

function progress() {
  let [judged, rare] = [0, 0];
  for (const found of page.items.verdicts.values()) {
    judged += found.length > 0;
    rare += standing(found) === "rare";
  }
  const place = page.items.total ? page.grid.place + 1 : 0;
  by("progress").textContent = `${place.toLocaleString("en")} of ${page.items.total.toLocaleString("en")} · ${judged} judged, ${rare} rare`;
}

// Shows a problem until that which it is about is right; "" where it is.
function tell(problem, about) {
  problems.set(about, problem);
  const text = [...problems.values()].filter(Boolean).join(" ");
  by("problem").hidden = !text;
  if (by("problem").textContent !== text) by("problem").textContent = text;
}

function say(text) {
  by("spoken").textContent = text;
}

start().catch((problem) => tell(problem.message, "start"));
