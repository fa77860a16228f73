// The field that names an item's class: where the project names its classes, it takes no other.

export class ClassField {
  constructor(element, message, { choices, isClosed }) {
    Object.assign(this, { element, message, choices: new Set(choices), isClosed });
    element.setAttribute("aria-describedby", message.id);
    element.addEventListener("change", () => this.check());
    element.addEventListener("input", () => this.message.hidden || this.check());
  }

  get name() {
    return this.element.value.trim().replace(/\s+/g, " ");
  }

  // Says what is wrong with the class, if anything; returns whether it can be sent.
  check() {
    const isKnown = !this.isClosed || !this.name || this.choices.has(this.name);
    this.element.setAttribute("aria-invalid", !isKnown);
    const text = isKnown ? "" : this.#problem();
    if (this.message.textContent !== text) this.message.textContent = text;
    this.message.hidden = isKnown;
    return isKnown;
  }

  clear() {
    this.element.value = "";
    this.check();
  }

  #problem() {
    return `“${this.name}” is not among the project's ${this.choices.size.toLocaleString("en")} classes. The nearest is “${nearest(this.name, this.choices)}”. `
      + "Correct it, clear the field, or add it to the file of classes (dataset.labels.classes) and start vlmine review again.";
  }
}

function nearest(name, choices) {
  const far = (choice) => distance(name.toLowerCase(), choice.toLowerCase());
  return [...choices].reduce((best, choice) => (far(choice) < best.far ? { choice, far: far(choice) } : best), { choice: "", far: Infinity }).choice;
}

// How many characters have to be added, dropped or replaced (Levenshtein).
function distance(one, other) {
  let above = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let row = 1; row <= one.length; row += 1) {
    const below = [row];
    for (let at = 1; at <= other.length; at += 1) {
      below.push(Math.min(above[at] + 1, below[at - 1] + 1, above[at - 1] + (one[row - 1] !== other[at - 1])));
    }
    above = below;
  }
  return above[other.length];
}
