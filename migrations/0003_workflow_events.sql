-- What happened while a job ran, in the order of the ids. Readers ask for events after an id, so an id is
-- never given out twice (AUTOINCREMENT) and has 64 bits.

-- migrate:sqlite
CREATE TABLE workflow_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT,
    event TEXT NOT NULL,
    status TEXT NOT NULL,
    duration_ms REAL,
    error_type TEXT,
    labels_json TEXT,
    recorded_at REAL NOT NULL
);

-- migrate:postgres
CREATE TABLE workflow_events (
    id bigserial PRIMARY KEY,
    job_id text,
    event text NOT NULL,
    status text NOT NULL,
    duration_ms double precision,
    error_type text,
    labels_json text,
    recorded_at double precision NOT NULL
);

-- migrate:all
CREATE INDEX idx_workflow_events_job_id ON workflow_events (job_id);
CREATE INDEX idx_workflow_events_event ON workflow_events (event);
