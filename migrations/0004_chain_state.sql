-- The nodes and edges of a chained job, as one JSON text per job.

-- migrate:sqlite
CREATE TABLE chain_state (
    job_id TEXT PRIMARY KEY,
    state_json TEXT NOT NULL,
    overall_status TEXT NOT NULL,
    updated_at REAL NOT NULL
);

-- migrate:postgres
CREATE TABLE chain_state (
    job_id text PRIMARY KEY,
    state_json text NOT NULL,
    overall_status text NOT NULL,
    updated_at double precision NOT NULL
);
