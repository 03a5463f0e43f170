"""RUNE's tables as RUNE's own releases make them, for both engines. Written down here a second time, so that the
program under test and its judge share no list."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    name: str
    kind: str  # text, float, int, id, bytes
    is_null_allowed: bool = False


@dataclass(frozen=True)
class Table:
    name: str
    version: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexed: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]

    def at(self, name: str) -> int:
        return self.names.index(name)


def _table(name: str, version: int, columns: str, key: str, indexed: str = "") -> Table:
    """Columns are written `name:kind`, with `?` where NULL may stand."""
    parsed = []
    for word in columns.split():
        column, kind = word.split(":")
        parsed.append(Column(column, kind.rstrip("?"), kind.endswith("?")))
    return Table(name, version, tuple(parsed), tuple(key.split()), tuple(indexed.split()))


JOBS = _table(
    "jobs", 1,
    "job_id:text tenant_id:text kind:text status:text request_json:text result_json:text? error:text? message:text?"
    " created_at:float updated_at:float",
    "job_id",
)
KEYS = _table(
    "idempotency_keys", 2, "tenant_id:text operation:text idempotency_key:text job_id:text created_at:float",
    "tenant_id operation idempotency_key",
)
EVENTS = _table(
    "workflow_events", 3,
    "id:id job_id:text? event:text status:text duration_ms:float? error_type:text? labels_json:text? recorded_at:float",
    "id", "job_id event",
)
CHAINS = _table("chain_state", 4, "job_id:text state_json:text overall_status:text updated_at:float", "job_id")
ARTIFACTS = _table(
    "audit_artifact", 5,
    "artifact_id:text job_id:text kind:text name:text size_bytes:int sha256:text content:bytes created_at:float",
    "artifact_id", "job_id",
)
SETTINGS = _table("settings", 6, "key:text value_json:text updated_at:float", "key")
TABLES = (JOBS, KEYS, EVENTS, CHAINS, ARTIFACTS, SETTINGS)
BY_NAME = {table.name: table for table in TABLES}

_SQLITE = {"text": "TEXT", "float": "REAL", "int": "INTEGER", "bytes": "BLOB"}
_POSTGRES = {"text": "text", "float": "double precision", "int": "integer", "bytes": "bytea"}


def _indexes(table: Table) -> list[str]:
    return [f"CREATE INDEX idx_{table.name}_{column} ON {table.name} ({column})" for column in table.indexed]


def _key(table: Table, columns: list[str]) -> str:
    if table.key == ("id",):
        return ", ".join(columns)
    return ", ".join([*columns, f"PRIMARY KEY ({', '.join(table.key)})"])


def sqlite_ddl(table: Table) -> list[str]:
    columns = []
    for column in table.columns:
        if column.kind == "id":
            columns.append(f"{column.name} INTEGER PRIMARY KEY AUTOINCREMENT")
        elif table.key == (column.name,):
            columns.append(f"{column.name} TEXT")
        else:
            columns.append(f"{column.name} {_SQLITE[column.kind]}{'' if column.is_null_allowed else ' NOT NULL'}")
    return [f"CREATE TABLE {table.name} ({_key(table, columns)})", *_indexes(table)]


def postgres_ddl(table: Table, is_float4: bool) -> list[str]:
    """With `is_float4` as RUNE since the end of April 2026: `real` and `serial`."""
    columns = []
    for column in table.columns:
        if column.kind == "id":
            columns.append(f"{column.name} {'serial' if is_float4 else 'bigserial'} PRIMARY KEY")
            continue
        kind = "real" if is_float4 and column.kind == "float" else _POSTGRES[column.kind]
        columns.append(f"{column.name} {kind}{'' if column.is_null_allowed else ' NOT NULL'}")
    return [f"CREATE TABLE {table.name} ({_key(table, columns)})", *_indexes(table)]


def versions_ddl(dialect: str, versions: list[int]) -> list[str]:
    real = "REAL" if dialect == "sqlite" else "double precision"
    made = f"CREATE TABLE schema_version (version integer PRIMARY KEY, applied_at {real} NOT NULL)"
    return [made, *(f"INSERT INTO schema_version VALUES ({version}, 1790000000.5)" for version in versions)]
