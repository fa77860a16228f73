// What the page asks its server for. Every address is relative: the token is part of the page's own.

export class Conflict extends Error {}

async function answer(response) {
  const found = await response.json().catch(() => ({ problem: `the server answered ${response.status}` }));
  if (response.ok) return found;
  throw response.status === 409 ? new Conflict(found.problem) : new Error(found.problem);
}

export const get = async (path) => answer(await fetch(path));

export const post = async (path, body) =>
  answer(await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));

export const pictureOf = (kind, facts, item) =>
  `pictures/${kind}/${encodeURIComponent(facts.experiment)}/${facts.list}/${item.position}?${item.picture}`;

// Has small pictures made together; whether it worked shows when they are asked for.
export const prepare = ({ experiment, list }, positions) =>
  post("api/pictures", { experiment, list, positions }).catch(() => undefined);
