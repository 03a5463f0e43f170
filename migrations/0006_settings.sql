-- Settings that are changed while RUNE runs: one JSON text per key.

-- migrate:sqlite
CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value_json TEXT NOT NULL,
    updated_at REAL NOT NULL
);

-- migrate:postgres
CREATE TABLE settings (
    key text PRIMARY KEY,
    value_json text NOT NULL,
    updated_at double precision NOT NULL
);
