"""What a home of the first version holds."""

REPLIES = """
CREATE TABLE replies (
    variant TEXT NOT NULL, content TEXT NOT NULL, text TEXT, outcome TEXT NOT NULL, failure TEXT,
    prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, latency_s REAL NOT NULL, cost_usd REAL,
    PRIMARY KEY (variant, content)) WITHOUT ROWID;
CREATE TABLE variants (variant TEXT PRIMARY KEY, label TEXT NOT NULL);
CREATE TABLE ledger (
    variant TEXT NOT NULL, day TEXT NOT NULL, calls INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL,
    PRIMARY KEY (variant, day)) WITHOUT ROWID;
CREATE TABLE batches (variant TEXT NOT NULL, contents TEXT NOT NULL, batch TEXT NOT NULL,
    PRIMARY KEY (variant, contents)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
"""Tables of its answer cache, `replies.sqlite`."""
