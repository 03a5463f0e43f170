INSERT INTO audit_artifact VALUES
  ('a-1', 'job-1', 'sbom', 'sbom.json', 3, '2da45f2cd1f9c8e69a67abf7a6b26c282533d0a7686787a9533265418680d4d2', x'00ff10', 1000000000.0);
UPDATE schema_version SET applied_at = 1000000000.0;
UPDATE rune_db_ledger SET applied_at = 1000000000.0;
