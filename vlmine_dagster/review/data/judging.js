// Verdicts on their way to the server: none is lost to a server that is restarted or a window that is closed.

import { Outbox } from "./outbox.js";
import { get, Later, post } from "./server.js";

const RETRY_MS = 2000;
const LOOK_MS = 4000;
const IDLE_MS = 60_000; // without a key or a move for a minute, nobody is looking

// What most reviewers of an item say, as `consensus` in mining/judging.py has it; undefined where they are even.
export function standing(verdicts) {
  const counts = new Map();
  for (const { verdict } of verdicts) if (verdict !== "unsure") counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  const [first, second] = [...counts].sort((one, other) => other[1] - one[1]);
  return first && first[1] > (second?.[1] ?? 0) ? first[0] : undefined;
}

export class Judging {
  constructor(items, { reviewer, onChange, onProblem }) {
    Object.assign(this, { items, reviewer, onChange, onProblem });
    this.done = []; // what this window can undo
    this.outbox = new Outbox(items.facts.key);
    this.unsent = this.outbox.all();
    this.refusal = ""; // why the server did not take a verdict
    this.newest = -1;
    this.watch = new Watch();
    this.#send();
    setInterval(() => document.hidden || this.look(), LOOK_MS);
  }

  judge(item, verdict, className) {
    const before = this.items.verdictsOf(item);
    const token = crypto.randomUUID();
    const reviewer = this.reviewer();
    const mine = { number: 0, reviewer, verdict, class_name: className || null };
    this.items.verdicts.set(item.position, [...before.filter((one) => one.reviewer !== reviewer), mine]);
    this.done.push({ token, item, before, reviewer });
    this.#queue("api/verdicts", item, { token, reviewer, verdict, class_name: className, seconds: this.watch.seconds() });
  }

  // Takes back the last verdict of this window; returns its item.
  undo() {
    const last = this.done.pop();
    if (!last) return undefined;
    this.items.verdicts.set(last.item.position, last.before);
    const waiting = this.unsent.find((one) => one.body.token === last.token && !one.isOut);
    if (waiting) this.#forget(waiting);
    else this.#queue("api/undo", last.item, { token: crypto.randomUUID(), reviewer: last.reviewer, undoes: last.token });
    return last.item;
  }

  // Asks what other windows have said since.
  async look() {
    if (this.unsent.length) return;
    const { experiment, list } = this.items.facts;
    try {
      const found = await get(`api/verdicts/${encodeURIComponent(experiment)}/${list}?since=${this.newest}`);
      if (found.verdicts && !this.unsent.length) {
        this.items.verdicts = new Map(Object.entries(found.verdicts).map(([place, told]) => [Number(place), told]));
        for (const { item } of this.done) if (!this.items.verdicts.has(item.position)) this.items.verdicts.set(item.position, []);
        this.onChange();
      }
      this.newest = found.newest;
      this.onProblem(this.refusal);
    } catch (problem) {
      this.onProblem(problem instanceof TypeError ? "The server does not answer. Start `vlmine review` again; none of your verdicts is lost." : problem.message);
    }
  }

  #queue(path, item, given) {
    const { experiment, list } = this.items.facts;
    const body = { ...given, experiment, list, position: item.position, image_id: item.image_id, rank: item.rank };
    const message = { at: performance.timeOrigin + performance.now(), path, body };
    this.unsent.push(message);
    this.outbox.put(message);
    this.refusal = "";
    if (this.delay) this.#tellDelay();
    this.onChange();
    this.#send();
  }

  #forget(message) {
    this.unsent = this.unsent.filter((one) => one !== message);
    this.outbox.drop(message);
    this.onChange();
  }

  #tellDelay() {
    this.onProblem(`Not saved yet: ${this.unsent.length}. ${this.delay}`);
  }

  async #send() {
    if (this.isSending) return;
    this.isSending = true;
    while (this.unsent.length) {
      const message = this.unsent[0];
      if (this.outbox.holds(message) && !(await this.#arrives(message))) {
        await new Promise((wake) => setTimeout(wake, RETRY_MS));
        continue;
      }
      this.#forget(message);
    }
    this.isSending = false;
  }

  // Sends a message; returns whether it is done with, because the server has it or never will.
  async #arrives(message) {
    message.isOut = true;
    const { list, position } = message.body;
    const isOfThisList = list === this.items.facts.list;
    try {
      const found = await post(message.path, message.body);
      if (this.unsent.length === 1 && isOfThisList) this.items.verdicts.set(position, found.verdicts);
      this.delay = "";
    } catch (problem) {
      if (problem instanceof TypeError || problem instanceof Later) {
        message.isOut = false;
        this.delay = problem instanceof Later ? problem.message : "The server does not answer; trying again.";
        this.#tellDelay();
        return false;
      }
      this.delay = "";
      const { verdict, class_name: name, image_id: item } = message.body;
      const what = name ? `“${verdict}” with the class “${name}”` : `“${verdict}”`;
      this.refusal = verdict ? `${problem.message} Not kept: ${what}, about ${item}.` : problem.message;
      if (isOfThisList) this.items.verdicts.delete(position); // what was shown did not come to be
      this.newest = -1;
    }
    this.onProblem(this.refusal);
    return true;
  }
}

// How long somebody has looked at what is shown: not while the window is hidden or nobody moves.
class Watch {
  constructor() {
    this.start();
    for (const kind of ["keydown", "pointermove", "pointerdown", "wheel"]) addEventListener(kind, () => this.#seen(), { passive: true });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#pause() : (this.since = this.last = performance.now())));
  }

  start() {
    this.spent = 0;
    this.since = this.last = performance.now();
  }

  seconds() {
    this.#seen();
    const found = (this.spent + performance.now() - this.since) / 1000;
    this.start();
    return found;
  }

  #seen() {
    const now = performance.now();
    if (now - this.last > IDLE_MS) {
      this.spent += this.last + IDLE_MS - this.since;
      this.since = now;
    }
    this.last = now;
  }

  #pause() {
    this.spent += performance.now() - this.since;
    this.since = performance.now();
  }
}
