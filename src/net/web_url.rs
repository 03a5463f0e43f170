//! A URL that a person wrote, without anything that must not be shown.
//!
//! A query is often a signature or a token. It is sent and never printed: [`WebUrl`] shows scheme,
//! host and path alone, also in its `Debug` form.

use std::fmt;

use serde::{Serialize, Serializer};
use url::Url;

/// The address of a file, an archive or a chart repository: http or https, no user, no password.
#[derive(Clone, PartialEq, Eq)]
pub struct WebUrl(Url);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebUrlError {
    #[error("it is not a URL such as https://host/path")]
    Form,
    #[error("it is neither https nor http")]
    Scheme,
    #[error("it holds a user or a password")]
    UserInfo,
}

impl WebUrl {
    pub(crate) fn new(mut url: Url) -> Result<Self, WebUrlError> {
        if !matches!(url.scheme(), "https" | "http") {
            return Err(WebUrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebUrlError::UserInfo);
        }
        url.set_fragment(None);
        Ok(Self(url))
    }

    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }

    /// Host and port, as in the name of an image.
    pub(crate) fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Host, port and path, without a slash at the end.
    pub(crate) fn place(&self) -> String {
        format!("{}{}", self.authority(), self.0.path())
            .trim_end_matches('/')
            .to_owned()
    }

    pub(crate) fn file_name(&self) -> &str {
        self.0.path().rsplit('/').next().unwrap_or_default()
    }

    /// A file below this address, with the same query.
    #[must_use]
    pub(crate) fn below(&self, file: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(&format!("{}/{file}", self.0.path().trim_end_matches('/')));
        Self(url)
    }

    /// What a document at this address means by a reference, as Helm reads it: the address is a
    /// directory, with or without a slash at its end, and a relative reference gets its query.
    pub(crate) fn join(&self, reference: &str) -> Result<Self, WebUrlError> {
        let mut base = self.0.clone();
        base.set_path(&format!("{}/", self.0.path().trim_end_matches('/')));
        let is_absolute = Url::parse(reference).is_ok();
        let mut joined = base.join(reference).map_err(|_| WebUrlError::Form)?;
        if !is_absolute && joined.query().is_none() && joined.origin() == base.origin() {
            joined.set_query(self.0.query());
        }
        Self::new(joined)
    }
}

impl std::str::FromStr for WebUrl {
    type Err = WebUrlError;

    fn from_str(text: &str) -> Result<Self, WebUrlError> {
        // The library drops white space and reads `\` as `/`; a person who wrote that meant
        // something else.
        if text.contains(|character: char| {
            character.is_whitespace() || character.is_control() || character == '\\'
        }) {
            return Err(WebUrlError::Form);
        }
        Self::new(Url::parse(text).map_err(|_| WebUrlError::Form)?)
    }
}

impl fmt::Display for WebUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}://{}{}",
            self.0.scheme(),
            self.authority(),
            self.0.path()
        )
    }
}

impl fmt::Debug for WebUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for WebUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{WebUrl, WebUrlError};

    fn url(text: &str) -> WebUrl {
        text.parse().unwrap()
    }

    #[test]
    fn neither_form_for_people_has_the_query() {
        let url = url("https://Host:8443/a/b.tgz?token=secret#part");
        assert_eq!(
            format!("{url} {url:?}"),
            "https://host:8443/a/b.tgz https://host:8443/a/b.tgz"
        );
        assert_eq!(url.url().query(), Some("token=secret"));
        assert_eq!(
            (url.authority().as_str(), url.file_name()),
            ("host:8443", "b.tgz")
        );
        assert_eq!(url.place(), "host:8443/a/b.tgz");
    }

    #[test]
    fn other_schemes_and_credentials_are_refused() {
        for (text, error) in [
            ("file:///etc/passwd", WebUrlError::Scheme),
            ("ftp://host/a", WebUrlError::Scheme),
            ("data:text/plain,a", WebUrlError::Scheme),
            ("https://user@host/a", WebUrlError::UserInfo),
            ("https://user:password@host/a", WebUrlError::UserInfo),
            ("https://:password@host/a", WebUrlError::UserInfo),
            ("https://", WebUrlError::Form),
            ("host/a", WebUrlError::Form),
            ("https://host/a b", WebUrlError::Form),
            ("https:\\\\host\\a", WebUrlError::Form),
            ("", WebUrlError::Form),
        ] {
            assert_eq!(text.parse::<WebUrl>(), Err(error), "{text}");
        }
    }

    #[test]
    fn references_are_read_as_helm_reads_them() {
        for (base, reference, expected) in [
            ("https://h/r", "a.tgz", "https://h/r/a.tgz"),
            ("https://h/r/", "a.tgz", "https://h/r/a.tgz"),
            ("https://h/r", "charts/a.tgz", "https://h/r/charts/a.tgz"),
            ("https://h/r", "../a.tgz", "https://h/a.tgz"),
            ("https://h/r", "/a.tgz", "https://h/a.tgz"),
            ("https://h", "a.tgz", "https://h/a.tgz"),
            ("https://h/r?token=x", "a.tgz", "https://h/r/a.tgz?token=x"),
            ("https://h/r?token=x", "https://h/a.tgz", "https://h/a.tgz"),
            (
                "https://h/r?token=x",
                "//other/a.tgz",
                "https://other/a.tgz",
            ),
            (
                "https://h/r",
                "https://other/a.tgz?sig=y",
                "https://other/a.tgz?sig=y",
            ),
        ] {
            assert_eq!(
                url(base).join(reference).unwrap().url().as_str(),
                expected,
                "{base} {reference}"
            );
        }
        for (reference, error) in [
            ("file:///etc/passwd", WebUrlError::Scheme),
            ("https://u:p@h/a", WebUrlError::UserInfo),
        ] {
            assert_eq!(url("https://h/r").join(reference), Err(error));
        }
        assert_eq!(
            url("https://h/r/?t=x").below("index.yaml").url().as_str(),
            "https://h/r/index.yaml?t=x"
        );
    }
}
