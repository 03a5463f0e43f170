INSERT INTO jobs VALUES
  ('job-1', 'tenant', 'benchmark', 'succeeded', '{"model": "m", "x": NaN}', '{"score": 1.5}', NULL, 'done', 1000000000.123456, 1000000100.5),
  ('job-2', 'tenant', 'agentic-agent', 'running', '{}', NULL, NULL, NULL, 1000001000.0, 1000001001.0),
  ('job-3', 'other', 'cost-estimate', 'failed', '{}', NULL, 'boom', 'über ‮x', 1000002000.0, 1000002001.0);
INSERT INTO idempotency_keys VALUES ('tenant', 'benchmark', 'key', 'job-1', 1000000000.0);
INSERT INTO workflow_events (id, job_id, event, status, duration_ms, error_type, labels_json, recorded_at) VALUES
  (1, 'job-1', 'start', 'ok', 12.25, NULL, '{"a": "b"}', 1000000001.0), (2, 'job-1', 'end', 'ok', 20.0, NULL, NULL, 1000000002.0),
  (9, 'job-3', 'end', 'error', NULL, 'Timeout', '{}', 1000002001.0);
INSERT INTO chain_state VALUES ('job-1', '{"nodes": [{"id": "a", "status": "success"}], "edges": []}', 'success', 1000000100.5);
INSERT INTO settings VALUES ('rune_config', '{"a": 1}', 1000000000.0), ('rune_other', '{"b": [true, null]}', 1000000000.0);
