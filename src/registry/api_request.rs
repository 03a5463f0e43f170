//! What is asked of a repository.

use std::{borrow::Cow, collections::BTreeSet};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use url::Url;

use super::{WebSource, retry::Attempts};
use crate::net::{AddressClass, RequestBody};
use rune_core::digest::Digest;

/// Makes the body anew for each time that a request is sent.
pub(super) type MakeBody<'a> = &'a (dyn Fn() -> RequestBody + Send + Sync);

#[derive(Clone)]
pub(super) struct ApiRequest<'a> {
    pub(super) method: Method,
    pub(super) place: Place,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<MakeBody<'a>>,
    pub(super) access: Access,
    /// Whether a redirect is an answer: that there is something elsewhere.
    pub(super) keeps_redirects: bool,
    pub(super) attempt: u32,
}

#[derive(Debug, Clone)]
pub(super) enum Place {
    /// Below the repository: `manifests/<tag>`, `blobs/<digest>`.
    Below {
        path: String,
        query: Query,
    },
    /// Beside all repositories: `_catalog`.
    Root {
        path: String,
        query: Query,
    },
    /// Where a registry at an address of this class has sent us, such as the URL of an upload.
    Given {
        url: Url,
        /// How far away the server is that gave it.
        from: AddressClass,
    },
    Web(Box<WebSource>),
}

/// Names and values of a query; a registry may choose the names of those that lead to more.
pub(super) type Query = Vec<(Cow<'static, str>, String)>;

#[derive(Debug, Clone)]
pub(super) enum Access {
    Pull,
    Push,
    /// Writing what lies in another repository of the registry.
    Mount {
        from: String,
    },
    Delete,
    Catalog,
}

impl Access {
    pub(super) fn scopes(&self, repository: &str) -> BTreeSet<String> {
        match self {
            Self::Pull => BTreeSet::from([format!("repository:{repository}:pull")]),
            Self::Push => BTreeSet::from([format!("repository:{repository}:pull,push")]),
            Self::Mount { from } => BTreeSet::from([
                format!("repository:{repository}:pull,push"),
                format!("repository:{from}:pull"),
            ]),
            Self::Delete => BTreeSet::from([format!("repository:{repository}:delete,pull")]),
            Self::Catalog => BTreeSet::from(["registry:catalog:*".to_owned()]),
        }
    }
}

impl<'a> ApiRequest<'a> {
    pub(super) fn get(path: String, accept: &'static str) -> Self {
        Self::get_at(
            Place::Below {
                path,
                query: Vec::new(),
            },
            accept,
        )
    }

    pub(super) fn get_at(place: Place, accept: &'static str) -> Self {
        Self::new(Method::GET, place, Access::Pull)
            .with(header::ACCEPT, HeaderValue::from_static(accept))
    }

    pub(super) fn new(method: Method, place: Place, access: Access) -> Self {
        Self {
            method,
            place,
            headers: HeaderMap::new(),
            body: None,
            access,
            keeps_redirects: false,
            attempt: 1,
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets a header to a text; one that no header can have is left out.
    pub(super) fn with_text(self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::try_from(value) {
            Ok(value) => self.with(name, value),
            Err(_) => self,
        }
    }

    /// Asks for the bytes from the first to the last, both included.
    pub(super) fn with_range(self, range: Option<(u64, u64)>) -> Self {
        match range {
            Some((first, last)) => self.with_text(header::RANGE, &format!("bytes={first}-{last}")),
            None => self,
        }
    }

    pub(super) fn with_body(self, body: MakeBody<'a>) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    pub(super) fn at_attempt(&self, attempts: &Attempts<'_>) -> Self {
        Self {
            attempt: attempts.made().saturating_add(1),
            ..self.clone()
        }
    }

    /// Whether it is about the one content that has a digest, and not about what a name means now.
    pub(super) fn is_by_digest(&self) -> bool {
        self.below()
            .0
            .rsplit('/')
            .next()
            .is_some_and(|last| last.parse::<Digest>().is_ok())
    }

    /// The path below the repository or the root, and the query; empty when the place is another.
    pub(super) fn below(&self) -> (&str, &[(Cow<'static, str>, String)]) {
        match &self.place {
            Place::Below { path, query } | Place::Root { path, query } => (path, query),
            Place::Given { .. } | Place::Web(_) => ("", &[]),
        }
    }
}
