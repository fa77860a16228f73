// Verdicts on their way to the server: none is lost to a server that is restarted or a window that is closed.

import { Conflict, get, post } from "./server.js";

const RETRY_MS = 2000;
const LOOK_MS = 4000;
const IDLE_MS = 60_000; // without a key or a move for a minute, nobody is looking

export class Judging {
  constructor(items, { reviewer, onChange, onProblem }) {
    Object.assign(this, { items, reviewer, onChange, onProblem });
    this.done = []; // what this window can undo
    this.key = `vlmine-unsent-${location.pathname}`;
    this.unsent = JSON.parse(localStorage.getItem(this.key) ?? "[]");
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
    const { experiment, list } = this.items.facts;
    const seconds = this.watch.seconds();
    this.done.push({ token, item, before });
    this.#queue({ path: "api/verdicts", body: { token, experiment, list, position: item.position, reviewer, verdict, class_name: className, seconds } });
  }

  // Takes back the last verdict of this window; returns its item.
  undo() {
    const last = this.done.pop();
    if (!last) return undefined;
    this.items.verdicts.set(last.item.position, last.before);
    const waiting = this.unsent.findIndex((one) => one.body.token === last.token && !one.isOut);
    if (waiting >= 0) {
      this.unsent.splice(waiting, 1);
      this.#keep();
    } else {
      const { experiment, list } = this.items.facts;
      this.#queue({ path: "api/undo", undoes: last.token, body: { token: crypto.randomUUID(), experiment, list, position: last.item.position, reviewer: this.reviewer(), number: last.number } });
    }
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
      this.onProblem("");
    } catch (problem) {
      this.onProblem(problem instanceof Conflict ? problem.message : "The server does not answer. Start `vlmine review` again; nothing that you judge meanwhile is lost.");
    }
  }

  #queue(message) {
    this.unsent.push(message);
    this.#keep();
    this.onChange();
    this.#send();
  }

  #keep() {
    localStorage.setItem(this.key, JSON.stringify(this.unsent.map(({ path, body, undoes }) => ({ path, body, undoes }))));
  }

  async #send() {
    if (this.isSending) return;
    this.isSending = true;
    while (this.unsent.length) {
      const message = this.unsent[0];
      message.isOut = true;
      try {
        if (message.undoes) message.body.number = this.numbers?.get(message.undoes) ?? message.body.number;
        const found = await post(message.path, message.body);
        (this.numbers ??= new Map()).set(message.body.token, found.number);
        const undoable = this.done.find((one) => one.token === message.body.token);
        if (undoable) undoable.number = found.number;
        if (this.unsent.length === 1) this.items.verdicts.set(message.body.position, found.verdicts);
        this.onProblem("");
      } catch (problem) {
        if (problem instanceof TypeError) { // no answer at all
          message.isOut = false;
          this.onProblem(`Not saved yet: ${this.unsent.length}. The server does not answer; trying again.`);
          await new Promise((wake) => setTimeout(wake, RETRY_MS));
          continue;
        }
        this.onProblem(problem.message);
      }
      this.unsent.shift();
      this.#keep();
      this.onChange();
    }
    this.isSending = false;
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
