//! A registry on a loopback address that has one image manifest, for as long as syft runs.
//!
//! Blobs are read from the image's own registry when they are asked for. Other users of the machine
//! can reach a loopback address: only who knows the password of this run gets anything.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http::request::Parts;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Frame, Incoming, SizeHint},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    task::{JoinHandle, JoinSet},
};

use super::{ImageManifest, SyftError};
use crate::{
    oci::{Descriptor, Manifest},
    registry::{BlobStream, Client, RegistryError, RepositoryName},
};
use rune_core::digest::Digest;

pub(super) const USER: &str = "syft";

/// What syft calls the image; the SBOM has its real name.
const NAME: &str = "image";

const PIECES: usize = 4;

pub(super) struct ImageServer {
    address: SocketAddr,
    password: String,
    manifest: Digest,
    failure: Arc<Mutex<Option<RegistryError>>>,
    task: JoinHandle<()>,
}

struct Served {
    client: Client,
    repository: RepositoryName,
    manifest: Manifest,
    blobs: BTreeMap<Digest, Descriptor>,
    /// The digest of the one value of `Authorization` that is right: comparing it gives no clue.
    authorization: Digest,
    failure: Arc<Mutex<Option<RegistryError>>>,
}

enum Outgoing {
    Bytes(Option<Bytes>),
    Blob {
        pieces: Receiver<Result<Bytes, CutOff>>,
        left: u64,
    },
}

#[derive(Debug, thiserror::Error)]
#[error("the blob breaks off")]
struct CutOff;

impl ImageServer {
    pub(super) async fn start(
        manifest: Manifest,
        image: &ImageManifest,
        client: Client,
    ) -> Result<Self, SyftError> {
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| SyftError::Listen(io::Error::other(error.to_string())))?;
        let password = Digest::of(&random).hex();
        let authorization = Base64::encode_string(format!("{USER}:{password}").as_bytes());
        let failure = Arc::default();
        let digest = manifest.digest();
        let served = Arc::new(Served {
            client,
            repository: image.repository.clone(),
            manifest,
            blobs: image
                .blobs
                .iter()
                .map(|blob| (blob.digest, blob.clone()))
                .collect(),
            authorization: Digest::of(format!("Basic {authorization}").as_bytes()),
            failure: Arc::clone(&failure),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(SyftError::Listen)?;
        let address = listener.local_addr().map_err(SyftError::Listen)?;
        Ok(Self {
            address,
            password,
            manifest: digest,
            failure,
            task: tokio::spawn(accept(listener, served)),
        })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn password(&self) -> &str {
        &self.password
    }

    pub(super) fn reference(&self) -> String {
        format!("{}/{NAME}@{}", self.address, self.manifest)
    }

    /// The first thing that the image's own registry did not give.
    pub(super) fn failure(&self) -> Option<RegistryError> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take()
    }
}

impl Drop for ImageServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves until it is aborted; connections end with it.
async fn accept(listener: TcpListener, served: Arc<Served>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let served = Arc::clone(&served);
                let service = service_fn(move |request: Request<Incoming>| {
                    let served = Arc::clone(&served);
                    let (request, _) = request.into_parts();
                    async move { Ok::<_, Infallible>(served.answer(&request).await) }
                });
                let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(connection);
            }
        }
    }
}

impl Served {
    async fn answer(&self, request: &Parts) -> Response<Outgoing> {
        let given = request.headers.get(header::AUTHORIZATION);
        let is_right =
            |value: &header::HeaderValue| Digest::of(value.as_bytes()) == self.authorization;
        if !given.is_some_and(is_right) {
            let mut response = status(StatusCode::UNAUTHORIZED);
            let challenge = header::HeaderValue::from_static("Basic realm=\"rune-bundle\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
            return response;
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            return status(StatusCode::METHOD_NOT_ALLOWED);
        }
        let path = request.uri.path();
        if path == "/v2/" {
            return status(StatusCode::OK);
        }
        let below = path
            .strip_prefix("/v2/")
            .and_then(|path| path.strip_prefix(NAME));
        let digest = |kind: &str| {
            let text = below?.strip_prefix(kind)?;
            text.parse::<Digest>().ok()
        };
        let is_head = request.method == Method::HEAD;
        if digest("/manifests/") == Some(self.manifest.digest()) {
            let bytes = Bytes::copy_from_slice(self.manifest.bytes());
            let (size, media_type) = (bytes.len() as u64, self.manifest.media_type());
            let body = Outgoing::Bytes((!is_head).then_some(bytes));
            return found(body, size, media_type, self.manifest.digest());
        }
        let blob = digest("/blobs/").and_then(|digest| self.blobs.get(&digest));
        let Some(blob) = blob else {
            return status(StatusCode::NOT_FOUND);
        };
        let body = if is_head {
            Outgoing::Bytes(None)
        } else {
            match self.client.blob(&self.repository, blob, 0).await {
                Ok(stream) => self.streamed(stream, blob.size),
                Err(error) => {
                    note(&self.failure, error);
                    return status(StatusCode::BAD_GATEWAY);
                }
            }
        };
        found(body, blob.size, "application/octet-stream", blob.digest)
    }

    fn streamed(&self, mut stream: BlobStream, left: u64) -> Outgoing {
        let (sender, pieces) = channel(PIECES);
        let failure = Arc::clone(&self.failure);
        tokio::spawn(async move {
            loop {
                let piece = match stream.next().await {
                    Ok(Some(piece)) => Ok(piece),
                    Ok(None) => return,
                    Err(error) => {
                        note(&failure, error);
                        Err(CutOff)
                    }
                };
                let is_last = piece.is_err();
                if sender.send(piece).await.is_err() || is_last {
                    return;
                }
            }
        });
        Outgoing::Blob { pieces, left }
    }
}

fn note(failure: &Mutex<Option<RegistryError>>, error: RegistryError) {
    let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
    failure.get_or_insert(error);
}

fn status(status: StatusCode) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::Bytes(None));
    *response.status_mut() = status;
    response
}

fn found(body: Outgoing, size: u64, media_type: &str, digest: Digest) -> Response<Outgoing> {
    let mut response = Response::new(body);
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (
            header::HeaderName::from_static("docker-content-digest"),
            digest.to_string(),
        ),
    ];
    for (name, value) in headers {
        if let Ok(value) = header::HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match self.get_mut() {
            Self::Bytes(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Blob { pieces, left } => pieces.poll_recv(context).map_ok(|piece| {
                *left = left.saturating_sub(piece.len() as u64);
                Frame::data(piece)
            }),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Bytes(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::Blob { left, .. } => *left,
        })
    }
}
