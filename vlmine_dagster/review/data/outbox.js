// Verdicts that no server has confirmed yet, each under a key of its own in the browser's storage: windows do not
// overwrite each other's, and a server that was started again, with another token, gets them too.

export class Outbox {
  constructor(project) {
    this.prefix = `vlmine-unsent-${project}-`;
  }

  // What waits, of this window and of others, the oldest first.
  all() {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix));
    return keys.map((key) => JSON.parse(localStorage.getItem(key))).sort((one, other) => one.at - other.at);
  }

  put({ at, path, body }) {
    localStorage.setItem(this.prefix + body.token, JSON.stringify({ at, path, body }));
  }

  // False once another window has sent it or taken it back.
  holds({ body }) {
    return localStorage.getItem(this.prefix + body.token) !== null;
  }

  drop({ body }) {
    localStorage.removeItem(this.prefix + body.token);
  }
}
