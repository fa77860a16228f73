// The items of a view, fetched some at a time as they are needed.

import { Conflict, get, post } from "./server.js";

const BLOCK = 120;

export class Items {
  constructor(facts, onArrival) {
    this.facts = facts;
    this.onArrival = onArrival;
    this.verdicts = new Map(); // by position; the newest that is known
    this.total = 0;
    this.asked = {};
    this.blocks = new Map();
  }

  // Shows other items: those that pass a filter.
  async filter(asked) {
    const { experiment, list } = this.facts;
    const found = await post("api/view", { ...asked, experiment, list });
    this.asked = asked;
    this.view = found.view;
    this.total = found.total;
    this.blocks = new Map();
  }

  // Returns an item by its place in the view, or undefined until it has arrived.
  at(place) {
    if (place < 0 || place >= this.total) return undefined;
    const number = Math.floor(place / BLOCK);
    const block = this.blocks.get(number);
    if (block === undefined) this.#fetch(number);
    return Array.isArray(block) ? block[place - number * BLOCK] : undefined;
  }

  async need(place) {
    if (this.at(place) === undefined) await this.blocks.get(Math.floor(place / BLOCK));
    return this.at(place);
  }

  verdictsOf(item) {
    return this.verdicts.get(item.position) ?? item.verdicts;
  }

  #fetch(number) {
    const { experiment, list } = this.facts;
    const view = this.view;
    const path = `api/view/${encodeURIComponent(experiment)}/${list}/${view}?start=${number * BLOCK}&count=${BLOCK}`;
    const blocks = this.blocks;
    const coming = get(path)
      .catch(async (problem) => {
        if (!(problem instanceof Conflict)) throw problem;
        await this.filter(this.asked); // the server forgot the view
        return { items: [] };
      })
      .then((found) => {
        if (blocks !== this.blocks) return;
        blocks.set(number, found.items);
        this.onArrival();
      })
      .catch(() => blocks.delete(number));
    blocks.set(number, coming);
  }
}
