//! Evidence that jobs leave behind, and the proof that it is still what was stored.

use sha2::{Digest as _, Sha256};

use super::{
    error::StoreError,
    limits,
    records::{ArtifactInfo, NewArtifact},
    session::{PieceSink, Row, Session, Value},
    status::ARTIFACT_KINDS,
    uuid,
};

pub(super) const COLUMNS: &str = "artifact_id, job_id, kind, name, size_bytes, sha256,
    created_at /* ::text::float8 */ AS created_at";

pub(super) fn read(row: &Row) -> Result<ArtifactInfo, StoreError> {
    Ok(ArtifactInfo {
        artifact_id: row.text("artifact_id")?,
        job_id: row.text("job_id")?,
        kind: row.text("kind")?,
        name: row.text("name")?,
        size_bytes: row.integer("size_bytes")?,
        sha256: row.text("sha256")?,
        created_at: row.float("created_at")?,
    })
}

pub(super) fn check_new(artifact: &NewArtifact<'_>) -> Result<(), StoreError> {
    if !ARTIFACT_KINDS.contains(&artifact.kind) {
        return Err(StoreError::UnknownArtifactKind(
            artifact.kind.chars().take(limits::MAX_WORD).collect(),
        ));
    }
    limits::word("job_id", artifact.job_id, limits::MAX_JOB_ID)?;
    limits::word("name", artifact.name, limits::MAX_KEY)?;
    limits::content(artifact.content)
}

pub(super) fn record(
    session: &mut dyn Session,
    artifact: &NewArtifact<'_>,
    now: f64,
) -> Result<String, StoreError> {
    const RECORD: &str = "INSERT INTO audit_artifact (artifact_id, job_id, kind, name, size_bytes, sha256, content, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let artifact_id = uuid::random()?;
    let sha256 = hex(&Sha256::digest(artifact.content));
    let values = [
        Value::Text(&artifact_id),
        Value::Text(artifact.job_id),
        Value::Text(artifact.kind),
        Value::Text(artifact.name),
        Value::Integer(i64::try_from(artifact.content.len()).unwrap_or(i64::MAX)),
        Value::Text(&sha256),
        Value::Bytes(artifact.content),
        Value::Float(now),
    ];
    session.execute(RECORD, &values)?;
    Ok(artifact_id)
}

pub(super) fn list(
    session: &mut dyn Session,
    job_id: &str,
) -> Result<Vec<ArtifactInfo>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_artifact WHERE job_id = ?1 ORDER BY \
         audit_artifact.created_at, artifact_id COLLATE BINARY"
    );
    session
        .query(&sql, &[Value::Text(job_id)])?
        .iter()
        .map(read)
        .collect()
}

pub(super) fn find(
    session: &mut dyn Session,
    artifact_id: &str,
    job_id: Option<&str>,
) -> Result<Option<ArtifactInfo>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_artifact WHERE artifact_id = ?1 AND (?2 IS NULL OR job_id = \
         ?2)"
    );
    session
        .query(
            &sql,
            &[Value::Text(artifact_id), Value::OptionalText(job_id)],
        )?
        .first()
        .map(read)
        .transpose()
}

pub(super) fn bytes(session: &mut dyn Session, job_id: Option<&str>) -> Result<u64, StoreError> {
    const SUM: &str = "SELECT COALESCE(SUM(octet_length(content)), 0) AS bytes FROM \
                       audit_artifact WHERE (?1 IS NULL OR job_id = ?1)";
    let rows = session.query(SUM, &[Value::OptionalText(job_id)])?;
    Ok(rows
        .first()
        .map_or(Ok(0), |row| row.integer("bytes"))?
        .try_into()
        .unwrap_or(0))
}

/// Passes the content on, and fails after the last piece when it is not what was stored.
pub(super) fn read_content(
    session: &mut dyn Session,
    info: &ArtifactInfo,
    sink: PieceSink<'_>,
) -> Result<(), StoreError> {
    let mut hash = Sha256::new();
    let mut size = 0_i64;
    session.read_content(&info.artifact_id, &mut |piece| {
        hash.update(piece);
        size = size.saturating_add(i64::try_from(piece.len()).unwrap_or(i64::MAX));
        sink(piece)
    })?;
    let damaged = |problem| StoreError::ArtifactDamaged {
        artifact_id: info.artifact_id.clone(),
        problem,
    };
    if size != info.size_bytes {
        return Err(damaged("its size is another"));
    }
    if !hex(&hash.finalize()).eq_ignore_ascii_case(&info.sha256) {
        return Err(damaged("its sha256 is another"));
    }
    Ok(())
}

/// A piece of evidence that was read to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedArtifact {
    /// What it says it is.
    pub info: ArtifactInfo,
    /// What of it is not so.
    pub problem: Option<&'static str>,
}

pub(super) fn check(
    session: &mut dyn Session,
    info: ArtifactInfo,
    read: &mut dyn FnMut(&[u8]),
) -> Result<CheckedArtifact, StoreError> {
    let mut sink = |piece: &[u8]| {
        read(piece);
        Ok(())
    };
    let problem = match read_content(session, &info, &mut sink) {
        Ok(()) => None,
        Err(StoreError::ArtifactDamaged { problem, .. }) => Some(problem),
        Err(error) => return Err(error),
    };
    Ok(CheckedArtifact { info, problem })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
