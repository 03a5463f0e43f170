//! The distribution protocol over the store.

use std::{
    io::Write as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as Shared,
    http::{HeaderMap, HeaderValue, Method, Request as HttpRequest, Response, StatusCode, header},
    serve::ListenerExt as _,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::{Fault, Identity, Request, State, auth::parameters, fitting, locked};

/// An answer before a fault changes it.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Serves until the future is dropped.
pub(super) async fn serve(listener: TcpListener, identity: Option<Identity>, state: Arc<State>) {
    let listener =
        tokio::net::TcpListener::from_std(listener).expect("the runtime takes the socket");
    let router = Router::new().fallback(answer).with_state(state);
    let served = if let Some(identity) = identity {
        axum::serve(identity.listen(listener), router).await
    } else {
        let without_delay = |stream: &mut TcpStream| drop(stream.set_nodelay(true));
        axum::serve(listener.tap_io(without_delay), router).await
    };
    served.expect("the socket stays open");
}

async fn answer(Shared(state): Shared<Arc<State>>, request: HttpRequest<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let (path, query) = (
        parts.uri.path().to_owned(),
        parts.uri.query().unwrap_or_default().to_owned(),
    );
    let mut headers = parts.headers;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let received = Arc::new(AtomicU64::new(0));
    let is_held = state.record(Request {
        method: parts.method.to_string(),
        path: path.clone(),
        query: query.clone(),
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        received: Arc::clone(&received),
    });
    if is_held {
        std::future::pending::<()>().await;
    }
    let fault = Fault::take(&mut locked(&state.faults), parts.method.as_str(), &path);
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
        .unwrap_or_default();
    if locked(&state.behaviour)
        .max_request_bytes
        .is_some_and(|max| announced > max)
    {
        return Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE").into_response();
    }
    let end = fault.as_ref().and_then(Fault::end_of_request);
    let (body, is_whole) = read(body, end, &received).await;
    if !is_whole {
        locked(&state.store).keep_part(&path, &body);
        // Ends the task of the connection, and with it the connection; without a word, unlike a
        // panic.
        std::panic::resume_unwind(Box::new("the connection breaks"));
    }
    if let Some(fault) = &fault {
        fault.change_request(&mut headers);
    }
    let skips = fault.as_ref().is_some_and(Fault::replaces_answer);
    let answer = if skips {
        Answer::empty(StatusCode::OK)
    } else {
        state.answer(&parts.method, &path, &query, &headers, body)
    };
    match fault {
        Some(fault) => fault.change_answer(answer.status, answer.headers, &answer.body),
        None => answer.into_response(),
    }
}

/// Reads a body, or its beginning; says whether it is whole.
async fn read(body: Body, end: Option<usize>, received: &AtomicU64) -> (Bytes, bool) {
    let mut bytes = Vec::new();
    let mut pieces = body.into_data_stream();
    while end.is_none_or(|end| bytes.len() < end) {
        match pieces.next().await {
            Some(Ok(piece)) => {
                received.fetch_add(piece.len() as u64, Ordering::Relaxed);
                bytes.extend_from_slice(&piece);
            }
            Some(Err(_)) => return (bytes.into(), false),
            None => return (bytes.into(), true),
        }
    }
    bytes.truncate(end.unwrap_or(usize::MAX));
    (bytes.into(), false)
}

impl Answer {
    fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    fn json(status: StatusCode, value: &Value) -> Self {
        Self {
            body: value.to_string().into(),
            ..Self::empty(status)
        }
        .with("content-type", "application/json")
    }

    fn error(status: StatusCode, code: &str) -> Self {
        Self::json(
            status,
            &json!({"errors": [{"code": code, "message": code.to_lowercase().replace('_', " ")}]}),
        )
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(
            name,
            value.parse().expect("a header value of ours is valid"),
        );
        self
    }

    fn into_response(mut self) -> Response<Body> {
        self.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

impl State {
    /// Writes a request down; says whether it gets no answer.
    fn record(&self, request: Request) -> bool {
        let mut requests = locked(&self.requests);
        requests.push(request);
        self.arrived.notify_all();
        locked(&self.hold)
            .as_ref()
            .is_some_and(|hold| fitting(&requests, &hold.pattern) >= hold.count)
    }

    fn answer(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Answer {
        let form = String::from_utf8_lossy(&body).into_owned();
        if path == "/token" {
            return match self.auth.token(
                headers,
                query,
                if *method == Method::POST { &form } else { "" },
            ) {
                Some(token) => Answer::json(
                    StatusCode::OK,
                    &json!({"token": token, "access_token": token, "expires_in": 300}),
                ),
                None => Answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            };
        }
        let Some(rest) = path.strip_prefix("/v2/") else {
            return Answer::error(StatusCode::NOT_FOUND, "NOT_FOUND");
        };
        let is_read = *method == Method::GET || *method == Method::HEAD;
        let repository = ["/manifests/", "/blobs/", "/referrers/", "/tags/list"]
            .iter()
            .find_map(|part| rest.split_once(part))
            .map(|(name, _)| name);
        let scope = repository
            .map(|name| {
                format!(
                    "repository:{name}:{}",
                    if is_read { "pull" } else { "pull,push" }
                )
            })
            .unwrap_or_default();
        if let Err(challenge) = self.auth.check(headers, &scope, &self.url) {
            if let Some(status) = locked(&self.behaviour)
                .hides_with
                .filter(|_| !rest.is_empty())
            {
                return Answer::error(
                    StatusCode::from_u16(status).expect("it is a status code"),
                    "DENIED",
                );
            }
            return Answer::error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED")
                .with("www-authenticate", &challenge);
        }
        if rest.is_empty() {
            return Answer::json(StatusCode::OK, &json!({}));
        }
        if rest == "_catalog" {
            return Answer::json(
                StatusCode::OK,
                &json!({"repositories": locked(&self.store).repositories()}),
            );
        }
        if let Some((repository, "")) = rest.split_once("/tags/list") {
            let tags = locked(&self.store).tags(repository);
            return Answer::json(StatusCode::OK, &json!({"name": repository, "tags": tags}));
        }
        if let Some(refusal) = repository
            .filter(|_| !is_read)
            .and_then(|repository| self.refuse_name(repository))
        {
            return refusal;
        }
        if let Some((repository, reference)) = rest.split_once("/manifests/") {
            return if *method == Method::DELETE {
                self.delete_manifest(repository, reference)
            } else if is_read {
                self.get_manifest(repository, reference)
            } else {
                self.put_manifest(repository, reference, headers, body)
            };
        }
        if let Some((repository, subject)) = rest.split_once("/referrers/")
            && locked(&self.behaviour).lists_referrers
        {
            return self.list_referrers(repository, subject, path, query);
        }
        match rest.split_once("/blobs/") {
            Some((repository, upload)) if upload.starts_with("uploads/") => self.upload(
                method,
                repository,
                upload.trim_start_matches("uploads/"),
                query,
                headers,
                &body,
            ),
            Some((repository, digest)) if is_read => self.get_blob(repository, digest, headers),
            _ => Answer::error(StatusCode::NOT_FOUND, "NOT_FOUND"),
        }
    }

    fn list_referrers(&self, repository: &str, subject: &str, path: &str, query: &str) -> Answer {
        let after = parameters(query)
            .find(|(name, _)| name == "after")
            .map(|(_, value)| value)
            .unwrap_or_default();
        let mut listed = locked(&self.store).referrers(repository, subject);
        listed.retain(|entry| entry["digest"].as_str() > Some(after.as_str()));
        let per_page = locked(&self.behaviour).referrers_per_page;
        let is_last = listed.len() <= per_page;
        listed.truncate(per_page);
        let last = listed.last().map(|entry| entry["digest"].clone());
        let media_type = "application/vnd.oci.image.index.v1+json";
        let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": listed});
        let answer = Answer::json(StatusCode::OK, &index).with("content-type", media_type);
        match last.as_ref().and_then(Value::as_str).filter(|_| !is_last) {
            Some(last) => answer.with("link", &format!("<{path}?after={last}>; rel=\"next\"")),
            None => answer,
        }
    }

    /// What is said about a repository that cannot be written to.
    fn refuse_name(&self, repository: &str) -> Option<Answer> {
        let behaviour = locked(&self.behaviour).clone();
        if behaviour
            .max_depth
            .is_some_and(|max| repository.split('/').count() > max)
        {
            return Some(Answer::error(StatusCode::BAD_REQUEST, "NAME_INVALID"));
        }
        let is_known =
            behaviour.makes_repositories || locked(&self.store).repositories().contains(repository);
        (!is_known).then(|| Answer::error(StatusCode::NOT_FOUND, "NAME_UNKNOWN"))
    }

    fn get_manifest(&self, repository: &str, reference: &str) -> Answer {
        match locked(&self.store).manifest(repository, reference) {
            None => Answer::error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Some((media_type, body, digest)) => {
                if locked(&self.behaviour).packs_manifests {
                    return Answer {
                        body: packed(&body),
                        ..Answer::empty(StatusCode::OK)
                    }
                    .with("content-type", &media_type)
                    .with("content-encoding", "gzip");
                }
                Answer {
                    body,
                    ..Answer::empty(StatusCode::OK)
                }
                .with("content-type", &media_type)
                .with("docker-content-digest", &digest)
            }
        }
    }

    /// Takes a manifest whose children are all there, as distribution does.
    fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Answer {
        let Ok(document) = serde_json::from_slice::<Value>(&body) else {
            return Answer::error(StatusCode::BAD_REQUEST, "MANIFEST_INVALID");
        };
        let mut store = locked(&self.store);
        let digests = |field: &str| -> Vec<String> {
            let value = document.get(field).cloned().unwrap_or_default();
            let list = value.as_array().cloned().unwrap_or_else(|| vec![value]);
            list.iter()
                .filter_map(|one| one.get("digest")?.as_str().map(str::to_owned))
                .collect()
        };
        let own = locked(&self.behaviour).clone();
        let config_type = document
            .pointer("/config/mediaType")
            .and_then(Value::as_str);
        if let Some(config_type) = config_type
            && own
                .config_types
                .as_ref()
                .is_some_and(|types| !types.contains(&config_type))
        {
            let (status, code) = own.refusal;
            return Answer::error(
                StatusCode::from_u16(status).expect("it is a status code"),
                code,
            );
        }
        let is_missing = |child: &String| store.manifest(repository, child).is_none();
        let is_unknown = |child: &String| store.blob(repository, child).is_none();
        let behaviour = locked(&self.behaviour).clone();
        if (!behaviour.takes_sparse && digests("manifests").iter().any(is_missing))
            || digests("config")
                .iter()
                .chain(&digests("layers"))
                .any(is_unknown)
        {
            return Answer::error(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN");
        }
        if reference.starts_with("sha256:") && reference != crate::sha256(&body) {
            return Answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
        }
        let media_type = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let tag = (!reference.starts_with("sha256:")).then_some(reference);
        let digest = store.put_manifest(repository, tag, media_type, body);
        let answer = Answer::empty(StatusCode::CREATED)
            .with("docker-content-digest", &digest)
            .with("location", &format!("/v2/{repository}/manifests/{digest}"));
        match digests("subject")
            .first()
            .filter(|_| behaviour.lists_referrers)
        {
            Some(subject) => answer.with("oci-subject", subject),
            None => answer,
        }
    }

    /// Forgets a manifest and its tags, or a tag alone.
    fn delete_manifest(&self, repository: &str, reference: &str) -> Answer {
        let mut store = locked(&self.store);
        if store.manifest(repository, reference).is_none() {
            return Answer::error(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN");
        }
        if reference.starts_with("sha256:") {
            store.delete_manifest(repository, reference);
        } else {
            store.delete_tag(repository, reference);
        }
        if let Some((repository, tag, digest)) = locked(&self.behaviour).tagged_at_deletion.take() {
            store.put_tag(&repository, &tag, &digest);
        }
        Answer::empty(StatusCode::ACCEPTED)
    }

    fn get_blob(&self, repository: &str, digest: &str, headers: &HeaderMap) -> Answer {
        let Some(blob) = locked(&self.store).blob(repository, digest) else {
            return Answer::error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN");
        };
        let total = blob.len();
        let whole = Answer {
            body: blob.clone(),
            ..Answer::empty(StatusCode::OK)
        }
        .with("content-type", "application/octet-stream")
        .with("docker-content-digest", digest)
        .with("accept-ranges", "bytes");
        let Some(range) = headers
            .get(header::RANGE)
            .and_then(|value| value.to_str().ok())
        else {
            return whole;
        };
        let Some((first, last)) = range
            .strip_prefix("bytes=")
            .and_then(|range| range.split_once('-'))
        else {
            return whole;
        };
        let last = last
            .parse::<usize>()
            .unwrap_or(usize::MAX)
            .min(total.saturating_sub(1));
        match first.parse::<usize>() {
            Ok(first) if first <= last && first < total => Answer {
                status: StatusCode::PARTIAL_CONTENT,
                body: blob.slice(first..=last),
                ..whole
            }
            .with("content-range", &format!("bytes {first}-{last}/{total}")),
            _ => Answer::empty(StatusCode::RANGE_NOT_SATISFIABLE)
                .with("content-range", &format!("bytes */{total}")),
        }
    }

    fn upload(
        &self,
        method: &Method,
        repository: &str,
        id: &str,
        query: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Answer {
        let parameter = |name: &str| {
            parameters(query)
                .find(|(own, _)| own == name)
                .map(|(_, value)| value)
        };
        let created = |digest: &str| {
            Answer::empty(StatusCode::CREATED)
                .with("location", &format!("/v2/{repository}/blobs/{digest}"))
                .with("docker-content-digest", digest)
        };
        let behaviour = locked(&self.behaviour).clone();
        let mut store = locked(&self.store);
        if *method == Method::POST {
            if let (Some(digest), Some(from)) = (parameter("mount"), parameter("from"))
                && behaviour.mounts
                && behaviour.mount_status.is_none()
                && store.mount(repository, &from, &digest)
            {
                return created(&digest);
            }
            if let Some(status) = behaviour
                .mount_status
                .filter(|_| parameter("mount").is_some())
            {
                return Answer::error(
                    StatusCode::from_u16(status).expect("it is a status code"),
                    "DENIED",
                );
            }
            let id = store.begin_upload();
            if parameter("digest").is_none() {
                let answer = Answer::empty(StatusCode::ACCEPTED)
                    .with("location", &format!("/v2/{repository}/blobs/uploads/{id}"))
                    .with("range", "0-0");
                return match behaviour.min_chunk_bytes {
                    Some(bytes) => answer.with("oci-chunk-min-length", &bytes.to_string()),
                    None => answer,
                };
            }
            return finish_upload(
                &mut store,
                repository,
                &id,
                parameter("digest").as_deref(),
                body,
                created,
            );
        }
        let Some(received) = store.uploads.get_mut(id) else {
            return Answer::error(StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN");
        };
        if *method == Method::PUT {
            if received.is_empty() && !body.is_empty() && !behaviour.takes_whole_blobs {
                return Answer::error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN");
            }
            return finish_upload(
                &mut store,
                repository,
                id,
                parameter("digest").as_deref(),
                body,
                created,
            );
        }
        if *method == Method::PATCH {
            let begin = headers.get(header::CONTENT_RANGE).and_then(|range| {
                range
                    .to_str()
                    .ok()?
                    .split_once('-')?
                    .0
                    .parse::<usize>()
                    .ok()
            });
            if begin.is_some_and(|begin| begin != received.len()) {
                return Answer::error(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID");
            }
            received.extend_from_slice(body);
        }
        let last = received.len().saturating_sub(1);
        let status = if *method == Method::GET {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::ACCEPTED
        };
        Answer::empty(status)
            .with("location", &format!("/v2/{repository}/blobs/uploads/{id}"))
            .with("range", &format!("0-{last}"))
    }
}

fn packed(bytes: &[u8]) -> Bytes {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything").into()
}

fn finish_upload(
    store: &mut super::Store,
    repository: &str,
    id: &str,
    digest: Option<&str>,
    body: &Bytes,
    created: impl FnOnce(&str) -> Answer,
) -> Answer {
    let mut bytes = store.uploads.remove(id).unwrap_or_default();
    bytes.extend_from_slice(body);
    if digest != Some(crate::sha256(&bytes).as_str()) {
        return Answer::error(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
    }
    created(&store.put_blob(repository, bytes.into()))
}
