//! The client against the real registry, and against one that misbehaves.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use codec::Schemas;
use codec::frame::Header;
use domain::event::EventKind;
use registry::{Registry, RegistryConfig, RegistryError, register_all, subject};
use std::time::Duration;
use support::{Front, Mode, newer};

#[tokio::test]
async fn every_event_is_registered_and_found_again() {
    let front = Front::start().await;
    let (registry, schemas) = (front.registry(), Schemas::embedded().unwrap());
    register_all(&registry, &schemas).await.unwrap();
    assert_eq!(front.requests(), EventKind::ALL.len());
    let reader = Schemas::embedded().unwrap();
    for kind in EventKind::ALL {
        let Header::Id(id) = schemas.header(*kind) else { panic!("{kind} is written by fingerprint") };
        let text = registry.schema(id).await.unwrap().unwrap();
        reader.learn(id, &text).unwrap();
        assert_eq!(reader.header(*kind), Header::Id(id), "{kind}: what comes back is the schema that went there");
    }
    // A second process gets the same ids, and repeats are harmless.
    let again = Schemas::embedded().unwrap();
    register_all(&front.registry(), &again).await.unwrap();
    register_all(&registry, &schemas).await.unwrap();
    assert!(EventKind::ALL.iter().all(|kind| schemas.header(*kind) == again.header(*kind)));
    front.clean().await;
}

#[tokio::test]
async fn look_ups_are_coalesced_and_remembered() {
    let front = Front::start().await;
    let registry = front.registry();
    let kind = EventKind::Blessed;
    let id = registry.register(&registry.subject(kind), &newer(kind)).await.unwrap();
    front.requests();
    let asks: Vec<_> = (0..50)
        .map(|_| {
            let registry = registry.clone();
            tokio::spawn(async move { registry.schema(id).await.unwrap().unwrap() })
        })
        .collect();
    for ask in asks {
        assert!(ask.await.unwrap().contains("novelty_"));
    }
    assert!(registry.schema(id).await.unwrap().is_some());
    assert_eq!(front.requests(), 1);
    front.clean().await;
}

/// Junk that looks like a frame does not become a request per record; and a no is not for ever.
#[tokio::test]
async fn a_no_is_remembered_for_a_short_time() {
    let front = Front::start().await;
    let registry = Registry::new(&RegistryConfig { absent_ttl_ms: 100, ..front.config() }).unwrap();
    for _ in 0..20 {
        assert_eq!(registry.schema(2_000_000_000).await.unwrap(), None);
    }
    let asked = front.requests();
    assert!(asked <= 3, "{asked} requests");
    for id in [u32::MAX, 1 << 31, 0x7a7a_7a7a | 1 << 31] {
        assert_eq!(registry.schema(id).await.unwrap(), None);
    }
    assert_eq!(front.requests(), 0, "no registry gives such ids");
    let expired = async {
        while front.requests_so_far() == 0 {
            assert_eq!(registry.schema(2_000_000_000).await.unwrap(), None);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), expired).await.unwrap();
}

/// I7: whatever goes wrong is no answer, says what to do, and is not remembered.
#[tokio::test]
async fn a_failure_is_no_answer_and_is_not_remembered() {
    let front = Front::start().await;
    let kind = EventKind::LoopOpened;
    let id = front.registry().register(&subject(&front.topic_prefix, kind), &newer(kind)).await.unwrap();
    let registry = Registry::new(&RegistryConfig { timeout_ms: 200, ..front.config() }).unwrap();
    let faults = [
        (Mode::Hang, "does not answer at http://127.0.0.1"),
        (Mode::Say(503, "starting"), "status 503 (starting); look at its log"),
        (Mode::Say(429, "slow down"), "status 429"),
        (Mode::Say(404, "<html>nothing here</html>"), "set `registry.url`"),
        (Mode::Say(404, r#"{"error_code":404,"message":"no route"}"#), "set `registry.url`"),
        (Mode::Say(200, "<html>welcome</html>"), "is no schema registry"),
        (Mode::Say(200, "{}"), "no `schema` in {}"),
        (Mode::Say(401, ""), "set `registry.user`"),
    ];
    for (mode, sentence) in faults {
        front.set(mode);
        let text = registry.schema(id).await.unwrap_err().to_string();
        assert!(text.contains(sentence), "{mode:?}: {text}");
        let error = registry.register("any", "{}").await.unwrap_err();
        assert!(!matches!(error, RegistryError::Refused { .. }), "{mode:?}: {error}");
    }
    front.set(Mode::Pass);
    let registry = front.registry();
    assert!(registry.schema(id).await.unwrap().is_some());
    front.clean().await;
}

#[tokio::test]
async fn addresses_are_checked_and_a_dead_one_is_named() {
    for url in ["", "registry:8081", "ftp://registry", "http://"] {
        let error = Registry::new(&RegistryConfig::new(url)).unwrap_err().to_string();
        assert!(error.contains("set `registry.url`"), "{url}: {error}");
    }
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let registry = Registry::new(&RegistryConfig::new(format!("http://127.0.0.1:{port}"))).unwrap();
    let error = registry.schema(1).await.unwrap_err().to_string();
    assert!(error.contains(&format!("http://127.0.0.1:{port}/schemas/ids/1")) && error.contains("refused"), "{error}");
    assert!(error.contains("check that it runs"), "{error}");
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_with_its_subject() {
    let front = Front::start().await;
    let registry = front.registry();
    let kind = EventKind::AgentHeartbeat;
    let subject = registry.subject(kind);
    assert!(registry.compatible(&subject, &newer(kind)).await.unwrap(), "a new subject takes anything");
    registry.register(&subject, codec::embedded().unwrap().text(kind)).await.unwrap();
    front.make_strict(&subject).await;
    let other =
        r#"{"type":"record","name":"AgentHeartbeat","namespace":"io.sporelog","fields":[{"name":"x","type":"int"}]}"#;
    assert!(registry.compatible(&subject, &newer(kind)).await.unwrap());
    assert!(!registry.compatible(&subject, other).await.unwrap());
    let error = registry.register(&subject, other).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Refused { subject: named, .. } if *named == subject), "{error}");
    front.clean().await;
}

#[tokio::test]
async fn the_user_is_named() {
    let front = Front::start().await;
    let config = RegistryConfig { user: Some("me".to_owned()), password: Some("secret".to_owned()), ..front.config() };
    Registry::new(&config).unwrap().schema(2_000_000_000).await.unwrap();
    assert_eq!(front.authorization().as_deref(), Some("Basic bWU6c2VjcmV0"));
    front.registry().schema(2_000_000_000).await.unwrap();
    assert_eq!(front.authorization(), None);
}
