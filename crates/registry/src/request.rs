//! One request and its answer, with every way to fail told apart.

use crate::{RegistryConfig, RegistryError};
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde_json::Value as Json;
use std::error::Error;
use std::time::Duration;

/// The media type of the Confluent API.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The longest answer that is read, bytes: a schema of ours has about 10 KiB (I8).
const MAX_ANSWER: usize = 1 << 20;
/// The longest part of an answer that a message cites, characters.
const MAX_CITED: usize = 200;

/// The error codes of the Confluent API that mean a plain no.
pub(crate) mod code {
    pub(crate) const NO_SUBJECT: i64 = 40_401;
    pub(crate) const NO_VERSION: i64 = 40_402;
    pub(crate) const NO_SCHEMA: i64 = 40_403;
}

/// What the registry answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// With success.
    Body(Body),
    /// That what was asked for does not exist: its own 404, with one of [`code`].
    Absent,
    /// That the schema is incompatible or malformed.
    Refused { url: String, detail: String },
}

/// The body of a success.
#[derive(Debug)]
pub(crate) struct Body {
    url: String,
    json: Json,
}

impl Body {
    /// A field that it may lack.
    pub(crate) fn optional<'a, T>(&'a self, name: &str, read: impl FnOnce(&'a Json) -> Option<T>) -> Option<T> {
        self.json.get(name).and_then(read)
    }

    /// A field of it.
    pub(crate) fn field<'a, T>(
        &'a self,
        name: &str,
        read: impl FnOnce(&'a Json) -> Option<T>,
    ) -> Result<T, RegistryError> {
        self.optional(name, read).ok_or_else(|| {
            let cited: String = self.json.to_string().chars().take(MAX_CITED).collect();
            RegistryError::NoRegistry { url: self.url.clone(), detail: format!("no `{name}` in {cited}") }
        })
    }
}

/// Talks to one registry.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    client: Client,
    base: Url,
    user: Option<String>,
    password: Option<String>,
}

impl Requests {
    pub(crate) fn new(config: &RegistryConfig) -> Result<Self, RegistryError> {
        let address = |detail: String| RegistryError::Address { url: config.url.clone(), detail };
        let base = Url::parse(&config.url).map_err(|error| address(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(address("neither http nor https".to_owned()));
        }
        let timeout = Duration::from_millis(config.timeout_ms);
        // A connection is driven by the runtime that opened it, and workers have one each: none is kept, so that no
        // worker hangs on another's thread. Requests are rare.
        let client = Client::builder()
            .timeout(timeout)
            .pool_max_idle_per_host(0)
            .user_agent(concat!("sporelog/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| address(causes(&error)))?;
        Ok(Self { client, base, user: config.user.clone(), password: config.password.clone() })
    }

    pub(crate) async fn get(&self, path: &[&str]) -> Result<Answer, RegistryError> {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &[&str], body: &Json) -> Result<Answer, RegistryError> {
        self.send(Method::POST, path, Some(body)).await
    }

    async fn send(&self, method: Method, path: &[&str], body: Option<&Json>) -> Result<Answer, RegistryError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let shown = shown(&url);
        let mut request = self.client.request(method, url).header("Accept", MEDIA_TYPE);
        if let Some(user) = &self.user {
            request = request.basic_auth(user, self.password.as_deref());
        }
        if let Some(body) = body {
            request = request.header("Content-Type", MEDIA_TYPE).body(body.to_string());
        }
        let unreachable =
            |error: reqwest::Error| RegistryError::Unreachable { url: shown.clone(), detail: causes(&error) };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let bytes = read(response).await.map_err(unreachable)?;
        judge(shown, status, &bytes)
    }
}

/// The body, up to a limit: what is cut is no JSON any more.
async fn read(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ANSWER
        && let Some(chunk) = response.chunk().await?
    {
        bytes.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER - bytes.len())]);
    }
    Ok(bytes)
}

/// What an answer means. Only the registry's own word makes something absent: a 404 of a proxy, or of another server at
/// that address, must not make dead letters of good records (I7).
fn judge(url: String, status: StatusCode, bytes: &[u8]) -> Result<Answer, RegistryError> {
    let json: Option<Json> = serde_json::from_slice(bytes).ok();
    let said = json.as_ref().and_then(|json| json.get("message")).and_then(Json::as_str);
    let raw = String::from_utf8_lossy(bytes);
    let detail: String = said.unwrap_or(&raw).trim().chars().take(MAX_CITED).collect();
    let code = json.as_ref().and_then(|json| json.get("error_code")).and_then(Json::as_i64);
    match status.as_u16() {
        200..=299 => match json {
            Some(json) => Ok(Answer::Body(Body { url, json })),
            None => Err(RegistryError::NoRegistry { url, detail }),
        },
        404 if matches!(code, Some(code::NO_SUBJECT | code::NO_VERSION | code::NO_SCHEMA)) => Ok(Answer::Absent),
        status @ (401 | 403 | 407) => Err(RegistryError::Denied { url, status, detail }),
        409 | 422 => Ok(Answer::Refused { url, detail }),
        300..=399 | 404 | 405 | 406 | 415 => {
            Err(RegistryError::NoRegistry { url, detail: format!("status {status}: {detail}") })
        }
        status => Err(RegistryError::Failed { url, status, detail }),
    }
}

/// The address without what is secret in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot hold a user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// An error with its causes, without the address, which the message has already.
fn causes(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    let mut innermost: &dyn Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str) -> Result<Answer, RegistryError> {
        judge("http://r/x".to_owned(), StatusCode::from_u16(status).unwrap(), body.as_bytes())
    }

    #[test]
    fn only_the_registrys_own_word_makes_an_id_absent() {
        assert!(matches!(judged(404, r#"{"error_code":40403,"message":"Schema not found"}"#), Ok(Answer::Absent)));
        for body in ["", "<html>404</html>", r#"{"error_code":404,"message":"no such path"}"#, r#"{"error_code":0}"#] {
            assert!(matches!(judged(404, body), Err(RegistryError::NoRegistry { .. })), "{body}");
        }
        assert!(matches!(judged(200, "<html>welcome</html>"), Err(RegistryError::NoRegistry { .. })));
    }

    #[test]
    fn each_status_says_what_to_do() {
        let text = |status, body| judged(status, body).unwrap_err().to_string();
        assert!(text(503, "starting").contains("status 503 (starting); look at its log"));
        assert!(text(500, r#"{"error_code":50001,"message":"store timeout"}"#).contains("(store timeout)"));
        assert!(text(401, "").contains("set `registry.user`"));
        assert!(text(302, "").contains("set `registry.url`"));
        assert!(matches!(judged(409, r#"{"error_code":409,"message":"incompatible"}"#), Ok(Answer::Refused { .. })));
        assert!(matches!(judged(422, "{}"), Ok(Answer::Refused { .. })));
    }

    #[test]
    fn a_password_in_the_address_is_not_shown() {
        let url = Url::parse("http://me:secret@r:8081/x").unwrap();
        assert_eq!(shown(&url), "http://r:8081/x");
        let config = RegistryConfig { password: Some("secret".to_owned()), ..RegistryConfig::new("http://r") };
        assert!(!format!("{config:?}").contains("secret"));
    }
}
