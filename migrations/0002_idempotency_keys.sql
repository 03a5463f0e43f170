-- Which job answers a repeated request: one row per tenant, operation and key.

-- migrate:sqlite
CREATE TABLE idempotency_keys (
    tenant_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    job_id TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (tenant_id, operation, idempotency_key)
);

-- migrate:postgres
CREATE TABLE idempotency_keys (
    tenant_id text NOT NULL,
    operation text NOT NULL,
    idempotency_key text NOT NULL,
    job_id text NOT NULL,
    created_at double precision NOT NULL,
    PRIMARY KEY (tenant_id, operation, idempotency_key)
);
