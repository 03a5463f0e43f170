PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE jobs (job_id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, request_json TEXT NOT NULL, result_json TEXT, error TEXT, message TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL);
INSERT INTO jobs VALUES('job-1','tenant','benchmark','succeeded','{"model": "m", "x": NaN}','{"score": 1.5}',NULL,'done',1000000000.1234560012,1000000100.5);
INSERT INTO jobs VALUES('job-2','tenant','agentic-agent','running','{}',NULL,NULL,NULL,1000001000.0,1000001001.0);
INSERT INTO jobs VALUES('job-3','other','cost-estimate','failed','{}',NULL,'boom','über ‮x',1000002000.0,1000002001.0);
CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at REAL NOT NULL);
INSERT INTO schema_version VALUES(1,1000000000.0);
INSERT INTO schema_version VALUES(2,1000000000.0);
INSERT INTO schema_version VALUES(3,1000000000.0);
INSERT INTO schema_version VALUES(4,1000000000.0);
INSERT INTO schema_version VALUES(5,1000000000.0);
INSERT INTO schema_version VALUES(6,1000000000.0);
CREATE TABLE rune_db_ledger (
        version INTEGER PRIMARY KEY,
        file TEXT NOT NULL,
        sha256 TEXT,
        origin TEXT NOT NULL,
        tool TEXT NOT NULL,
        applied_at REAL NOT NULL
    );
INSERT INTO rune_db_ledger VALUES(1,'0001_jobs.sql',NULL,'rune-legacy','rune-db 0.1.0',1000000000.0);
INSERT INTO rune_db_ledger VALUES(2,'0002_idempotency_keys.sql','326a8c9ac5781f435e1f2b3c533afa573ced0175adf1d4bff12989791400cfc6','rune-db','rune-db 0.1.0',1000000000.0);
INSERT INTO rune_db_ledger VALUES(3,'0003_workflow_events.sql','531da71c56269fcadc159ea93227f5b9373cd2a1e6f2805077b742cf233c8429','rune-db','rune-db 0.1.0',1000000000.0);
INSERT INTO rune_db_ledger VALUES(4,'0004_chain_state.sql','6cad965d534078a07061576f7f8166f08930e4e92fde96b35be603027b919805','rune-db','rune-db 0.1.0',1000000000.0);
INSERT INTO rune_db_ledger VALUES(5,'0005_audit_artifact.sql','ccec1be9062b6dc6f03a35d7a2abc9ec4de0a9cf11b9055a883e2565b8395800','rune-db','rune-db 0.1.0',1000000000.0);
INSERT INTO rune_db_ledger VALUES(6,'0006_settings.sql','47b010bfe4e4445ad9db58b3cf528c85d7d8366ae57734724e8780698d442f1f','rune-db','rune-db 0.1.0',1000000000.0);
CREATE TABLE idempotency_keys (
    tenant_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    job_id TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (tenant_id, operation, idempotency_key)
);
INSERT INTO idempotency_keys VALUES('tenant','benchmark','key','job-1',1000000000.0);
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
INSERT INTO workflow_events VALUES(1,'job-1','start','ok',12.25,NULL,'{"a": "b"}',1000000001.0);
INSERT INTO workflow_events VALUES(2,'job-1','end','ok',20.0,NULL,NULL,1000000002.0);
INSERT INTO workflow_events VALUES(9,'job-3','end','error',NULL,'Timeout','{}',1000002001.0);
CREATE TABLE chain_state (
    job_id TEXT PRIMARY KEY,
    state_json TEXT NOT NULL,
    overall_status TEXT NOT NULL,
    updated_at REAL NOT NULL
);
INSERT INTO chain_state VALUES('job-1','{"nodes": [{"id": "a", "status": "success"}], "edges": []}','success',1000000100.5);
CREATE TABLE audit_artifact (
    artifact_id TEXT PRIMARY KEY,
    job_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    content BLOB NOT NULL,
    created_at REAL NOT NULL
);
INSERT INTO audit_artifact VALUES('a-1','job-1','sbom','sbom.json',3,'2da45f2cd1f9c8e69a67abf7a6b26c282533d0a7686787a9533265418680d4d2',X'00ff10',1000000000.0);
CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value_json TEXT NOT NULL,
    updated_at REAL NOT NULL
);
INSERT INTO settings VALUES('rune_config','{"a": 1}',1000000000.0);
INSERT INTO settings VALUES('rune_other','{"b": [true, null]}',1000000000.0);
CREATE TABLE rune_db_repairs (
        number INTEGER PRIMARY KEY,
        subject TEXT NOT NULL,
        was TEXT NOT NULL,
        became TEXT NOT NULL,
        rows INTEGER,
        tool TEXT NOT NULL,
        repaired_at REAL NOT NULL
    );
INSERT INTO rune_db_repairs VALUES(1,'idx_workflow_events_event','missing','workflow_events (event)',NULL,'rune-db 0.1.0',1000000000.0);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('workflow_events',9);
CREATE INDEX idx_workflow_events_job_id ON workflow_events (job_id);
CREATE INDEX idx_audit_artifact_job_id ON audit_artifact (job_id);
CREATE INDEX idx_workflow_events_event ON workflow_events (event);
COMMIT;
