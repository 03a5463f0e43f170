//! A web server whose every answer a test decides, and that remembers what it was asked.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};

use axum::{
    Router,
    body::Body,
    extract::State as Shared,
    http::{Request as HttpRequest, Response, header},
};
use tokio::sync::oneshot;

/// What a path has.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The status; 200 unless it is set.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// How many of its bytes are sent before the connection breaks, of the first answer.
    pub breaks_at: Option<usize>,
}

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The path.
    pub path: String,
    /// The query, if there is one.
    pub query: Option<String>,
    /// The credentials that were shown.
    pub authorization: Option<String>,
    /// The range that was asked for.
    pub range: Option<String>,
}

#[derive(Default)]
struct State {
    pages: Mutex<HashMap<String, Page>>,
    asked: Mutex<Vec<Asked>>,
}

/// The server; it ends when it is dropped.
pub struct WebServer {
    address: SocketAddr,
    state: Arc<State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Page {
    /// A page with this content.
    pub fn of(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            body: body.into(),
            ..Self::default()
        }
    }

    /// A redirect.
    pub fn redirect(location: &str) -> Self {
        Self {
            status: 302,
            headers: vec![("location".to_owned(), location.to_owned())],
            ..Self::default()
        }
    }

    /// Nothing but a status.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }
}

impl WebServer {
    /// Starts a server without pages, on 127.0.0.1 and plain HTTP.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1")
    }

    /// The same on another address of loopback.
    pub fn start_at(address: &str) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a loopback port is free");
        listener.set_nonblocking(true).expect("the socket is ours");
        let address = listener.local_addr().expect("the socket is bound");
        let state = Arc::<State>::default();
        let (stop, stopped) = oneshot::channel();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&state));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be made");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes the socket");
                tokio::select! {
                    served = axum::serve(listener, router) => served.expect("the socket stays open"),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Puts a page at a path.
    pub fn put(&self, path: &str, page: Page) {
        self.state
            .pages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_owned(), page);
    }

    /// Removes a page.
    pub fn remove(&self, path: &str) {
        self.state
            .pages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(path);
    }

    /// What was asked since the last call, in order.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(
            &mut *self
                .state
                .asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn answer(Shared(state): Shared<Arc<State>>, request: HttpRequest<Body>) -> Response<Body> {
    let text = |name| {
        request
            .headers()
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (path, query) = (
        request.uri().path().to_owned(),
        request.uri().query().map(str::to_owned),
    );
    let range = text(header::RANGE);
    let asked = Asked {
        path: path.clone(),
        query,
        authorization: text(header::AUTHORIZATION),
        range: range.clone(),
    };
    state
        .asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(asked);
    let mut pages = state.pages.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(page) = pages.get_mut(&path) else {
        return Response::builder()
            .status(404)
            .body(Body::empty())
            .expect("a status is a response");
    };
    let breaks_at = page.breaks_at.take();
    let page = page.clone();
    drop(pages);
    let first = range.and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .split_once('-')?
            .0
            .parse::<usize>()
            .ok()
    });
    let mut response = Response::builder().status(page.status);
    for (name, value) in &page.headers {
        response = response.header(name, value);
    }
    let body = match (first, breaks_at) {
        (Some(first), _) if page.status == 200 => {
            let last = page.body.len().saturating_sub(1);
            response = response.status(206).header(
                "content-range",
                format!("bytes {first}-{last}/{}", page.body.len()),
            );
            Body::from(page.body[first..].to_vec())
        }
        (_, Some(end)) => {
            response = response.header(header::CONTENT_LENGTH, page.body.len());
            let piece: Result<Vec<u8>, std::io::Error> = Ok(page.body[..end].to_vec());
            let broken = Err(std::io::Error::other("the connection breaks"));
            Body::from_stream(futures_util::stream::iter([piece, broken]))
        }
        _ => Body::from(page.body),
    };
    response.body(body).expect("a body is a response")
}
