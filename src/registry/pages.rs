//! Lists of a registry that come in pages.
//!
//! Source: OCI distribution specification 1.1, "Listing Tags" and "Listing Referrers": the `Link`
//! header leads to the next page.

use http::{HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{
    EndpointError, EndpointFailure,
    api_client::{ApiClient, Head},
    api_request::{Access, ApiRequest, Place, Query},
    client::MAX_MANIFEST_BYTES,
    hosts::Endpoint,
};

/// Far more pages than a list has anywhere.
const MAX_PAGES: usize = 1000;

pub(super) struct Listing<P> {
    pub(super) place: P,
    pub(super) access: Access,
    pub(super) accept: &'static str,
}

impl<P: Fn(Query) -> Place> Listing<P> {
    /// Every page of a list of one endpoint; nothing when it does not have the list.
    pub(super) async fn pages<T>(
        self,
        api_client: &ApiClient,
        endpoint: &Endpoint,
        read: impl Fn(&Head, Option<Vec<u8>>) -> Result<T, EndpointError>,
    ) -> Result<Option<Vec<T>>, EndpointFailure> {
        let mut pages = Vec::new();
        let mut query = Query::new();
        while pages.len() < MAX_PAGES {
            let api_request =
                ApiRequest::new(Method::GET, (self.place)(query), self.access.clone())
                    .with(header::ACCEPT, HeaderValue::from_static(self.accept));
            let accept = |head: &Head, body: Option<Vec<u8>>| {
                let next = next_page(head.text(header::LINK))?;
                Ok((read(head, body)?, next))
            };
            let asked = api_client
                .ask_at(endpoint, &api_request, MAX_MANIFEST_BYTES, accept)
                .await;
            match asked {
                Ok((page, next)) => {
                    pages.push(page);
                    match next {
                        Some(next) => query = next,
                        None => return Ok(Some(pages)),
                    }
                }
                Err(failure)
                    if pages.is_empty()
                        && failure.cause.answered() == Some(StatusCode::NOT_FOUND) =>
                {
                    return Ok(None);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(endpoint.failure(
            1,
            EndpointError::ProtocolViolation("has a list that does not end"),
        ))
    }
}

/// The query of the next page, of a `Link` header; nothing on the last page. The next page is asked
/// for where this one was, whatever host the link names.
fn next_page(link: &str) -> Result<Option<Query>, EndpointError> {
    let unreadable =
        || EndpointError::ProtocolViolation("has a link to the next page that cannot be read");
    let Some((target, parameters)) = link.split_once('>') else {
        return if link.is_empty() {
            Ok(None)
        } else {
            Err(unreadable())
        };
    };
    let is_next = parameters.split(';').any(|parameter| {
        let parameter = parameter.trim().to_ascii_lowercase();
        matches!(parameter.as_str(), "rel=next" | "rel=\"next\"")
    });
    if !is_next {
        return Ok(None);
    }
    let base = Url::parse("http://registry.invalid/").map_err(|_| unreadable())?;
    let target = target
        .trim_start()
        .strip_prefix('<')
        .ok_or_else(unreadable)?;
    let url = base.join(target).map_err(|_| unreadable())?;
    let query: Query = url
        .query_pairs()
        .filter(|(name, _)| name != "ns")
        .map(|(name, value)| (name.into_owned().into(), value.into_owned()))
        .collect();
    if query.is_empty() {
        return Err(unreadable());
    }
    Ok(Some(query))
}

#[cfg(test)]
mod tests {
    use super::next_page;

    #[test]
    fn the_next_page_is_read_from_a_link_and_nothing_else_is() {
        let query = |link| next_page(link).ok().flatten();
        let next = query("</v2/a/referrers/sha256:0?last=b%2Bc&n=2>; rel=\"next\"").unwrap();
        assert_eq!(
            next,
            [
                ("last".into(), "b+c".to_owned()),
                ("n".into(), "2".to_owned())
            ]
        );
        assert!(query("<https://elsewhere.example/x?token=1>; rel=next").is_some());
        assert_eq!(query(""), None);
        assert_eq!(query("</x?y=1>; rel=\"prev\""), None);
        for broken in [
            "</v2/a/referrers/sha256:0>; rel=\"next\"",
            "x; rel=next",
            "/x?y=1>; rel=next",
        ] {
            assert!(next_page(broken).is_err(), "{broken}");
        }
    }
}
