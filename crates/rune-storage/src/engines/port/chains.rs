//! The steps of chained jobs: one JSON text per job, read and changed under a lock.

use super::{
    error::StoreError,
    json_tree::Tree,
    limits,
    records::{ChainEdge, ChainNode, ChainState, NodeChange},
    session::{Session, Value},
    status::overall_status,
};

/// The most bytes of a chain's text.
const MAX_BYTES: usize = 16 << 20;

pub(super) fn initialize(
    session: &mut dyn Session,
    job_id: &str,
    nodes: &[ChainNode],
    edges: &[ChainEdge],
    now: f64,
) -> Result<(), StoreError> {
    const STORE: &str = "INSERT INTO chain_state (job_id, state_json, overall_status, updated_at)
        VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (job_id) DO UPDATE SET state_json = excluded.state_json,
            overall_status = excluded.overall_status,
            updated_at = excluded.updated_at";
    limits::word("job_id", job_id, limits::MAX_JOB_ID)?;
    let statuses: Vec<&str> = nodes.iter().map(|node| node.status.as_str()).collect();
    let overall = overall_status(&statuses);
    let nodes = nodes.iter().map(node_tree).collect::<Result<Vec<_>, _>>()?;
    let edges = edges.iter().map(edge_tree).collect::<Result<Vec<_>, _>>()?;
    let state = text(&Tree::object([
        ("nodes", Tree::Array(nodes)),
        ("edges", Tree::Array(edges)),
    ]))?;
    session.execute(
        STORE,
        &[
            Value::Text(job_id),
            Value::Text(&state),
            Value::Text(overall),
            Value::Float(now),
        ],
    )?;
    Ok(())
}

fn node_tree(node: &ChainNode) -> Result<Tree, StoreError> {
    limits::word("node.id", &node.id, limits::MAX_KEY)?;
    limits::free("node.agent_name", &node.agent_name, limits::MAX_KEY)?;
    limits::word("node.status", &node.status, limits::MAX_WORD)?;
    limits::free(
        "node.error",
        node.error.as_deref().unwrap_or_default(),
        limits::MAX_ERROR,
    )?;
    Ok(Tree::object([
        ("id", Tree::text(&node.id)),
        ("agent_name", Tree::text(&node.agent_name)),
        ("status", Tree::text(&node.status)),
        ("started_at", time("node.started_at", node.started_at)?),
        ("finished_at", time("node.finished_at", node.finished_at)?),
        ("error", Tree::optional_text(node.error.as_deref())),
    ]))
}

fn edge_tree(edge: &ChainEdge) -> Result<Tree, StoreError> {
    limits::word("edge.from", &edge.from, limits::MAX_KEY)?;
    limits::word("edge.to", &edge.to, limits::MAX_KEY)?;
    Ok(Tree::object([
        ("from", Tree::text(&edge.from)),
        ("to", Tree::text(&edge.to)),
    ]))
}

fn time(field: &'static str, time: Option<f64>) -> Result<Tree, StoreError> {
    Ok(Tree::optional_number(
        time.map(|time| limits::number(field, time)).transpose()?,
    ))
}

fn text(state: &Tree) -> Result<String, StoreError> {
    let text = state.to_python();
    if text.len() > MAX_BYTES {
        return Err(StoreError::Refused {
            field: "state_json",
            problem: super::error::Problem::Bytes(MAX_BYTES),
        });
    }
    Ok(text)
}

pub(super) fn transition(
    session: &mut dyn Session,
    job_id: &str,
    node_id: &str,
    change: &NodeChange<'_>,
    now: f64,
) -> Result<(), StoreError> {
    const STATE: &str = "SELECT state_json FROM chain_state WHERE job_id = ?1 /* FOR UPDATE */";
    const STORE: &str = "UPDATE chain_state SET state_json = ?2, overall_status = ?3, updated_at \
                         = ?4 WHERE job_id = ?1";
    limits::word("node.status", change.status, limits::MAX_WORD)?;
    limits::free(
        "node.error",
        change.error.unwrap_or_default(),
        limits::MAX_ERROR,
    )?;
    let rows = session.query(STATE, &[Value::Text(job_id)])?;
    let row = rows
        .first()
        .ok_or_else(|| StoreError::ChainNotInitialized(job_id.to_owned()))?;
    let unreadable = || StoreError::ChainUnreadable(job_id.to_owned());
    let mut state = Tree::parse(&row.text("state_json")?).ok_or_else(unreadable)?;
    let nodes = state.member_array_mut("nodes").ok_or_else(unreadable)?;
    let is_node =
        |node: &&mut Tree| node.get("id").and_then(Tree::as_text).as_deref() == Some(node_id);
    let node = nodes
        .iter_mut()
        .find(is_node)
        .ok_or_else(|| StoreError::ChainNodeNotFound {
            job_id: job_id.to_owned(),
            node_id: node_id.to_owned(),
        })?;
    node.set("status", Tree::text(change.status));
    if change.started_at.is_some() {
        node.set("started_at", time("node.started_at", change.started_at)?);
    }
    if change.finished_at.is_some() {
        node.set("finished_at", time("node.finished_at", change.finished_at)?);
    }
    if change.error.is_some() {
        node.set("error", Tree::optional_text(change.error));
    }
    let statuses: Vec<String> = nodes
        .iter()
        .map(|node| {
            node.get("status")
                .and_then(Tree::as_text)
                .unwrap_or_default()
        })
        .collect();
    let overall = overall_status(&statuses.iter().map(String::as_str).collect::<Vec<_>>());
    let state = text(&state)?;
    session.execute(
        STORE,
        &[
            Value::Text(job_id),
            Value::Text(&state),
            Value::Text(overall),
            Value::Float(now),
        ],
    )?;
    Ok(())
}

pub(super) fn get(
    session: &mut dyn Session,
    job_id: &str,
) -> Result<Option<ChainState>, StoreError> {
    const GET: &str = "SELECT state_json, overall_status FROM chain_state WHERE job_id = ?1";
    let rows = session.query(GET, &[Value::Text(job_id)])?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let state = Tree::parse(&row.text("state_json")?);
    let parts = state.as_ref().and_then(|state| {
        let nodes = state
            .get("nodes")?
            .as_array()?
            .iter()
            .map(read_node)
            .collect::<Option<Vec<_>>>()?;
        let edges = state
            .get("edges")?
            .as_array()?
            .iter()
            .map(read_edge)
            .collect::<Option<Vec<_>>>()?;
        Some((nodes, edges))
    });
    let (nodes, edges) = parts.ok_or_else(|| StoreError::ChainUnreadable(job_id.to_owned()))?;
    Ok(Some(ChainState {
        nodes,
        edges,
        overall_status: row.text("overall_status")?,
    }))
}

fn read_node(node: &Tree) -> Option<ChainNode> {
    let text = |name| node.get(name).and_then(Tree::as_text);
    let number = |name| node.get(name).and_then(Tree::as_number);
    Some(ChainNode {
        id: text("id")?,
        agent_name: text("agent_name").unwrap_or_default(),
        status: text("status")?,
        started_at: number("started_at"),
        finished_at: number("finished_at"),
        error: text("error"),
    })
}

fn read_edge(edge: &Tree) -> Option<ChainEdge> {
    let text = |name| edge.get(name).and_then(Tree::as_text);
    Some(ChainEdge {
        from: text("from")?,
        to: text("to")?,
    })
}
