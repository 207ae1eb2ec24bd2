//! A server before the real registry that counts requests and can be told to misbehave.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use domain::event::EventKind;
use engines::Engine;
use registry::{Registry, RegistryConfig};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Gives it to the real registry.
    Pass,
    /// Never answers.
    Hang,
    /// Answers with this status and body.
    Say(u16, &'static str),
}

struct Held {
    mode: Mutex<Mode>,
    requests: AtomicUsize,
    authorization: Mutex<Option<String>>,
    client: reqwest::Client,
    real: String,
    subjects: Mutex<Vec<String>>,
}

/// The server. Subjects that were registered through it are deleted by [`Front::clean`].
#[derive(Clone)]
pub struct Front {
    held: Arc<Held>,
    url: String,
    pub topic_prefix: String,
}

impl Front {
    pub async fn start() -> Self {
        let held = Arc::new(Held {
            mode: Mutex::new(Mode::Pass),
            requests: AtomicUsize::new(0),
            authorization: Mutex::default(),
            client: reqwest::Client::new(),
            real: engines::address(Engine::Registry),
            subjects: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/", listener.local_addr().unwrap());
        let app = Router::new().fallback(answer).with_state(held.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { held, url, topic_prefix: format!("{}.", uuid::Uuid::now_v7().simple()) }
    }

    pub fn config(&self) -> RegistryConfig {
        let topic_prefix = self.topic_prefix.clone();
        RegistryConfig { topic_prefix, timeout_ms: 5_000, ..RegistryConfig::new(&self.url) }
    }

    pub fn registry(&self) -> Registry {
        Registry::new(&self.config()).unwrap()
    }

    pub fn set(&self, mode: Mode) {
        *self.held.mode.lock().unwrap() = mode;
    }

    /// The requests since the last call.
    pub fn requests(&self) -> usize {
        self.held.requests.swap(0, Ordering::Relaxed)
    }

    pub fn requests_so_far(&self) -> usize {
        self.held.requests.load(Ordering::Relaxed)
    }

    /// The last request's `Authorization`.
    pub fn authorization(&self) -> Option<String> {
        self.held.authorization.lock().unwrap().clone()
    }

    /// Asks the real registry for the strictest compatibility of a subject.
    pub async fn make_strict(&self, subject: &str) {
        let request = self.held.client.put(format!("{}/config/{subject}", self.held.real));
        let body = r#"{"compatibility":"FULL_TRANSITIVE"}"#;
        let response = request.header("Content-Type", "application/json").body(body).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
    }

    pub async fn clean(&self) {
        let subjects = std::mem::take(&mut *self.held.subjects.lock().unwrap());
        for subject in subjects {
            let _ = self.held.client.delete(format!("{}/subjects/{subject}", self.held.real)).send().await;
        }
    }
}

async fn answer(
    State(held): State<Arc<Held>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StatusCode> {
    held.requests.fetch_add(1, Ordering::Relaxed);
    let authorization = headers.get("Authorization").and_then(|value| value.to_str().ok()).map(str::to_owned);
    *held.authorization.lock().unwrap() = authorization;
    let mode = *held.mode.lock().unwrap();
    match mode {
        Mode::Hang => std::future::pending().await,
        Mode::Say(status, body) => Ok((StatusCode::from_u16(status).unwrap(), body).into_response()),
        Mode::Pass => {
            let path = uri.path().strip_prefix("/api").ok_or(StatusCode::NOT_FOUND)?;
            if let Some(subject) = path.strip_prefix("/subjects/").and_then(|path| path.strip_suffix("/versions")) {
                held.subjects.lock().unwrap().push(subject.to_owned());
            }
            let mut request = held.client.request(method, format!("{}{path}", held.real)).body(body);
            for name in ["Accept", "Content-Type"] {
                if let Some(value) = headers.get(name) {
                    request = request.header(name, value);
                }
            }
            let response = request.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
            let status = response.status();
            let body = response.bytes().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
            Ok((status, body).into_response())
        }
    }
}

/// A version of an event's schema that nobody has seen: the current one and a field at its end.
pub fn newer(kind: EventKind) -> String {
    let field = format!("novelty_{}", uuid::Uuid::now_v7().simple());
    let text = codec::embedded().unwrap().text(kind);
    let mut schema: serde_json::Value = serde_json::from_str(text).unwrap();
    let added = serde_json::json!({"name": field, "type": ["null", "string"], "default": null});
    schema["fields"].as_array_mut().unwrap().push(added);
    schema.to_string()
}
