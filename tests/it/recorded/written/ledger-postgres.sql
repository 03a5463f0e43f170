CREATE TABLE audit_artifact (
    artifact_id text NOT NULL,
    job_id text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    size_bytes integer NOT NULL,
    sha256 text NOT NULL,
    content bytea NOT NULL,
    created_at double precision NOT NULL
);
CREATE TABLE chain_state (
    job_id text NOT NULL,
    state_json text NOT NULL,
    overall_status text NOT NULL,
    updated_at double precision NOT NULL
);
CREATE TABLE idempotency_keys (
    tenant_id text NOT NULL,
    operation text NOT NULL,
    idempotency_key text NOT NULL,
    job_id text NOT NULL,
    created_at double precision NOT NULL
);
CREATE TABLE jobs (
    job_id text NOT NULL,
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
CREATE TABLE rune_db_ledger (
    version integer NOT NULL,
    file text NOT NULL,
    sha256 text,
    origin text NOT NULL,
    tool text NOT NULL,
    applied_at double precision NOT NULL
);
CREATE TABLE rune_db_repairs (
    number bigint NOT NULL,
    subject text NOT NULL,
    was text NOT NULL,
    became text NOT NULL,
    rows bigint,
    tool text NOT NULL,
    repaired_at double precision NOT NULL
);
ALTER TABLE rune_db_repairs ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME rune_db_repairs_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE schema_version (
    version integer NOT NULL,
    applied_at double precision NOT NULL
);
CREATE TABLE settings (
    key text NOT NULL,
    value_json text NOT NULL,
    updated_at double precision NOT NULL
);
CREATE TABLE workflow_events (
    id bigint NOT NULL,
    job_id text,
    event text NOT NULL,
    status text NOT NULL,
    duration_ms double precision,
    error_type text,
    labels_json text,
    recorded_at double precision NOT NULL
);
CREATE SEQUENCE workflow_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE workflow_events_id_seq OWNED BY workflow_events.id;
ALTER TABLE ONLY workflow_events ALTER COLUMN id SET DEFAULT nextval('workflow_events_id_seq'::regclass);
INSERT INTO rune_db_ledger VALUES (1, '0001_jobs.sql', '6488bc3e97fb3785efdced4b86863cb1adfd39d362eb731125a200bc2db11948', 'rune-db', 'rune-db 0.1.0', 1000000000);
INSERT INTO rune_db_ledger VALUES (2, '0002_idempotency_keys.sql', '326a8c9ac5781f435e1f2b3c533afa573ced0175adf1d4bff12989791400cfc6', 'rune-db', 'rune-db 0.1.0', 1000000000);
INSERT INTO rune_db_ledger VALUES (3, '0003_workflow_events.sql', '531da71c56269fcadc159ea93227f5b9373cd2a1e6f2805077b742cf233c8429', 'rune-db', 'rune-db 0.1.0', 1000000000);
INSERT INTO rune_db_ledger VALUES (4, '0004_chain_state.sql', '6cad965d534078a07061576f7f8166f08930e4e92fde96b35be603027b919805', 'rune-db', 'rune-db 0.1.0', 1000000000);
INSERT INTO rune_db_ledger VALUES (5, '0005_audit_artifact.sql', 'ccec1be9062b6dc6f03a35d7a2abc9ec4de0a9cf11b9055a883e2565b8395800', 'rune-db', 'rune-db 0.1.0', 1000000000);
INSERT INTO rune_db_ledger VALUES (6, '0006_settings.sql', '47b010bfe4e4445ad9db58b3cf528c85d7d8366ae57734724e8780698d442f1f', 'rune-db', 'rune-db 0.1.0', 1000000000);
INSERT INTO rune_db_repairs OVERRIDING SYSTEM VALUE VALUES (1, 'idx_workflow_events_event', 'missing', 'workflow_events (event)', NULL, 'rune-db 0.1.0', 1000000000);
INSERT INTO schema_version VALUES (1, 1000000000);
INSERT INTO schema_version VALUES (2, 1000000000);
INSERT INTO schema_version VALUES (3, 1000000000);
INSERT INTO schema_version VALUES (4, 1000000000);
INSERT INTO schema_version VALUES (5, 1000000000);
INSERT INTO schema_version VALUES (6, 1000000000);
SELECT pg_catalog.setval('rune_db_repairs_number_seq', 1, true);
SELECT pg_catalog.setval('workflow_events_id_seq', 1, false);
ALTER TABLE ONLY audit_artifact
    ADD CONSTRAINT audit_artifact_pkey PRIMARY KEY (artifact_id);
ALTER TABLE ONLY chain_state
    ADD CONSTRAINT chain_state_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, operation, idempotency_key);
ALTER TABLE ONLY jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_id);
ALTER TABLE ONLY rune_db_ledger
    ADD CONSTRAINT rune_db_ledger_pkey PRIMARY KEY (version);
ALTER TABLE ONLY rune_db_repairs
    ADD CONSTRAINT rune_db_repairs_pkey PRIMARY KEY (number);
ALTER TABLE ONLY schema_version
    ADD CONSTRAINT schema_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (key);
ALTER TABLE ONLY workflow_events
    ADD CONSTRAINT workflow_events_pkey PRIMARY KEY (id);
CREATE INDEX idx_audit_artifact_job_id ON audit_artifact USING btree (job_id);
CREATE INDEX idx_workflow_events_event ON workflow_events USING btree (event);
CREATE INDEX idx_workflow_events_job_id ON workflow_events USING btree (job_id);
