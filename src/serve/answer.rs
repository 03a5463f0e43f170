//! What is answered to a request: status, headers, content.

use std::ops::Range;

use bytes::Bytes;
use http::request::Parts;
use hyper::{
    Method, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    Server,
    catalog::{Lookup, Unknown},
    conditions::{Wanted, entity_tag, has_already, wanted},
    content::{Content, Outgoing},
    log::{Account, Log, Reset},
    route::{Page, Repository, Route, RouteError, route},
};
use crate::oci::media_type;
use rune_core::digest::Digest;

/// By which clients tell a registry from other servers.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// What need not be encoded in the value of a parameter.
const IN_A_PARAMETER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'/');

struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    content: Content,
}

/// What to say when something is refused; `code` is one of the specification or of distribution.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Server {
    pub(super) async fn answer(
        &self,
        request: &Parts,
        log: &Log,
        reset: &Reset,
    ) -> Response<Outgoing> {
        let is_head = request.method == Method::HEAD;
        let target = request
            .uri
            .path_and_query()
            .map_or_else(|| request.uri.path(), |target| target.as_str());
        let mut account = Account::begin(log, reset, &request.method, target);
        let answer = match self.find(request, &account).await {
            Ok(answer) => answer,
            Err(refusal) => refusal.into(),
        };
        let size = answer.content.size();
        let content = if is_head {
            Content::Memory(Bytes::new())
        } else {
            answer.content
        };
        account.answered(answer.status, content.size());
        let mut response = Response::new(Outgoing::new(content, account));
        *response.status_mut() = answer.status;
        let length = (answer.status != StatusCode::NOT_MODIFIED)
            .then(|| (header::CONTENT_LENGTH, size.to_string()));
        let version = (API_VERSION, "registry/2.0".to_owned());
        for (name, value) in answer.headers.into_iter().chain(length).chain([version]) {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }

    async fn find(&self, request: &Parts, account: &Account) -> Result<Answer, Refusal> {
        if let Some(users) = &self.users {
            let given = request
                .headers
                .get(header::AUTHORIZATION)
                .and_then(|value| value.to_str().ok());
            if !users.admits(given).await {
                return Err(Refusal::new(
                    StatusCode::UNAUTHORIZED,
                    "UNAUTHORIZED",
                    "a user and a password are needed",
                ));
            }
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "UNSUPPORTED",
                "this registry is read-only",
            ));
        }
        match route(request.uri.path(), request.uri.query().unwrap_or_default())? {
            Route::Base => Ok(Answer::json(&json!({}))),
            Route::Catalog(page) => {
                let (names, next) = page_of(self.catalog.repositories(), &page);
                Ok(Answer::json(&json!({"repositories": names})).with_next("/v2/_catalog", next))
            }
            Route::Tags(repository, page) => {
                let (tags, next) = page_of(self.catalog.tags(&repository)?, &page);
                let path = format!("/v2/{}/tags/list", repository.name);
                Ok(
                    Answer::json(&json!({"name": repository.name, "tags": tags}))
                        .with_next(&path, next),
                )
            }
            Route::Manifest(repository, target) => {
                let found = self
                    .catalog
                    .manifest(&repository, &target)
                    .map_err(|unknown| unknown.into_refusal("MANIFEST_UNKNOWN"))?;
                Self::content(&found, request, account).await
            }
            Route::Blob(repository, digest) => {
                let found = self
                    .catalog
                    .blob(&repository, digest)
                    .map_err(|unknown| unknown.into_refusal("BLOB_UNKNOWN"))?;
                Self::content(&found, request, account).await
            }
            Route::Referrers {
                repository,
                subject,
                artifact_type,
            } => self.referrers(&repository, subject, artifact_type.as_deref()),
        }
    }

    fn referrers(
        &self,
        repository: &Repository,
        subject: Digest,
        artifact_type: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let mut referrers = self.catalog.referrers(repository, subject)?;
        referrers.retain(|referrer| {
            artifact_type.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
        });
        let index =
            json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": referrers});
        let mut answer = Answer::json(&index).with(header::CONTENT_TYPE, media_type::INDEX);
        if artifact_type.is_some() {
            answer = answer.with(FILTERS_APPLIED, "artifactType");
        }
        Ok(answer)
    }

    /// Answers with a content, or the part of it that is asked for.
    async fn content(
        found: &Lookup,
        request: &Parts,
        account: &Account,
    ) -> Result<Answer, Refusal> {
        let Lookup {
            origin,
            digest,
            media_type,
        } = found;
        let tag = entity_tag(*digest);
        let described = |answer: Answer| {
            let answer = answer
                .with(header::CONTENT_TYPE, media_type)
                .with(header::ACCEPT_RANGES, "bytes");
            answer
                .with(header::ETAG, &tag)
                .with(CONTENT_DIGEST, &digest.to_string())
        };
        if has_already(&request.headers, &tag) {
            return Ok(described(Answer::of(
                StatusCode::NOT_MODIFIED,
                Content::Memory(Bytes::new()),
            )));
        }
        let size = origin.bundle.size(*digest).unwrap_or_default();
        let is_head = request.method == Method::HEAD;
        let damaged = |error: super::verified::CheckError| {
            account.refused(&format!("{digest} of {}", origin.name), &error);
            Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "DIGEST_INVALID",
                "the content is damaged on the server; its log says more",
            )
        };
        if is_head {
            return Ok(described(Answer::of(StatusCode::OK, Content::Absent(size))));
        }
        match wanted(&request.headers, &tag, size) {
            Wanted::Whole => Ok(described(Answer::of(
                StatusCode::OK,
                Content::whole(origin, *digest).await.map_err(damaged)?,
            ))),
            Wanted::Part(range) => {
                let Range { start, end } = range;
                let content = Content::part(origin, *digest, range)
                    .await
                    .map_err(damaged)?;
                let place = format!("bytes {start}-{}/{size}", end.saturating_sub(1));
                Ok(described(Answer::of(StatusCode::PARTIAL_CONTENT, content))
                    .with(header::CONTENT_RANGE, &place))
            }
            Wanted::Outside => {
                let refusal = Refusal::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "RANGE_INVALID",
                    "the range is outside the blob",
                );
                Ok(Answer::from(refusal).with(header::CONTENT_RANGE, &format!("bytes */{size}")))
            }
        }
    }
}

impl Answer {
    const fn of(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content,
        }
    }

    fn json(value: &Value) -> Self {
        let answer = Self::of(StatusCode::OK, Content::Memory(value.to_string().into()));
        answer.with(header::CONTENT_TYPE, "application/json")
    }

    /// The same with a header, which replaces one of that name.
    fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn with_next(self, path: &str, next: Option<String>) -> Self {
        match next {
            Some(query) => self.with(header::LINK, &format!("<{path}?{query}>; rel=\"next\"")),
            None => self,
        }
    }
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: &str) -> Self {
        Self {
            status,
            code,
            message: message.to_owned(),
        }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            status,
            code,
            message,
        } = refusal;
        let answer = Self {
            status,
            ..Self::json(&json!({"errors": [{"code": code, "message": message, "detail": null}]}))
        };
        match status {
            StatusCode::UNAUTHORIZED => answer.with(
                header::WWW_AUTHENTICATE,
                "Basic realm=\"rune-bundle\", charset=\"UTF-8\"",
            ),
            StatusCode::METHOD_NOT_ALLOWED => answer.with(header::ALLOW, "GET, HEAD"),
            _ => answer,
        }
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        let (status, code) = match error {
            RouteError::Endpoint => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            RouteError::Name => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            RouteError::Manifest => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            RouteError::Blob => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            RouteError::Digest => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            RouteError::Limit => (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            RouteError::Encoding => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
        };
        Self::new(status, code, &error.to_string())
    }
}

impl Unknown {
    fn into_refusal(self, code: &'static str) -> Refusal {
        match self {
            Self::Repository => Refusal::new(
                StatusCode::NOT_FOUND,
                "NAME_UNKNOWN",
                "no bundle that is served has this repository",
            ),
            Self::Content => Refusal::new(
                StatusCode::NOT_FOUND,
                code,
                "this repository does not have it",
            ),
        }
    }
}

impl From<Unknown> for Refusal {
    fn from(unknown: Unknown) -> Self {
        unknown.into_refusal("NAME_UNKNOWN")
    }
}

/// The part of a sorted list that is asked for, and the query for what follows it.
fn page_of<'a>(
    names: impl Iterator<Item = &'a str>,
    page: &Page,
) -> (Vec<&'a str>, Option<String>) {
    let mut names = names.filter(|name| page.after.as_deref().is_none_or(|after| *name > after));
    let Some(limit) = page.limit else {
        return (names.collect(), None);
    };
    let listed: Vec<&str> = names.by_ref().take(limit).collect();
    let last = listed.last().filter(|_| names.next().is_some());
    let next = last.map(|last| {
        format!(
            "n={limit}&last={}",
            utf8_percent_encode(last, IN_A_PARAMETER)
        )
    });
    (listed, next)
}

#[cfg(test)]
mod tests {
    use super::page_of;
    use crate::serve::route::Page;

    #[test]
    fn pages_together_are_the_whole_list() {
        let names = ["a", "b/c", "d_e", "f"];
        let page = |limit, after: Option<&str>| {
            page_of(
                names.into_iter(),
                &Page {
                    limit,
                    after: after.map(str::to_owned),
                },
            )
        };
        assert_eq!(page(None, None), (names.to_vec(), None));
        assert_eq!(
            page(Some(2), None),
            (vec!["a", "b/c"], Some("n=2&last=b/c".to_owned()))
        );
        assert_eq!(page(Some(2), Some("b/c")), (vec!["d_e", "f"], None));
        assert_eq!(page(Some(9), Some("b")), (vec!["b/c", "d_e", "f"], None));
        assert_eq!(page(Some(0), None), (vec![], None));
        assert_eq!(page(None, Some("f")), (vec![], None));
    }
}
