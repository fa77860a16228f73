// What the page asks its server for. Every address is relative: the token is part of the page's own.

export class Conflict extends Error {}

// Another try, or another window at the new address, may succeed: the address is old, or the disk is full.
export class Later extends Error {}

async function answer(response) {
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  const problem = response.headers.get("content-type")?.startsWith("application/json") ? JSON.parse(text).problem : text;
  const Kind = response.status === 409 ? Conflict : response.status === 403 || response.status >= 500 ? Later : Error;
  throw new Kind(problem || `the server answered ${response.status}`);
}

export const get = async (path) => answer(await fetch(path));

export const post = async (path, body) =>
  answer(await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));

export const pictureOf = (kind, facts, item) =>
  `pictures/${kind}/${encodeURIComponent(facts.experiment)}/${facts.list}/${item.position}?${item.picture}`;

// Has small pictures made together; whether it worked shows when they are asked for.
export const prepare = ({ experiment, list }, positions) =>
  post("api/pictures", { experiment, list, positions }).catch(() => undefined);
