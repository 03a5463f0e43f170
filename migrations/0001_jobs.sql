-- Benchmark jobs: one row per accepted request, whatever became of it.
-- Timestamps are seconds since 1970 as 64-bit floats: a 32-bit float would round them to two minutes.

-- migrate:sqlite
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    request_json TEXT NOT NULL,
    result_json TEXT,
    error TEXT,
    message TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
);

-- migrate:postgres
CREATE TABLE jobs (
    job_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    request_json text NOT NULL,
    result_json text,
    error text,
    message text,
    created_at double precision NOT NULL,
    updated_at double precision NOT NULL
);
