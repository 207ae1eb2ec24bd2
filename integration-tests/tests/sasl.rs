//! Brokers that want to know who asks: PLAIN and SCRAM pass through `kafka.properties`, and a wrong password is said.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails, fails the test")]

use engines::{Kafka, KafkaOptions, SASL_PASSWORD, SASL_USER};
use integration_tests::{Sporelog, text};
use std::process::Output;

fn run(folder: &Sporelog, bootstrap: &str, prefix: &str, properties: &str, args: &[&str]) -> Output {
    let mut command = folder.command(args);
    command.env("SPORELOG__KAFKA__BOOTSTRAP", bootstrap).env("SPORELOG__KAFKA__TOPIC_PREFIX", prefix);
    command.env("SPORELOG__KAFKA__PROPERTIES", properties).output().unwrap()
}

fn properties(mechanism: &str, password: &str) -> String {
    format!(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism={mechanism}\nsasl.username={SASL_USER}\nsasl.password={password}"
    )
}

#[test]
fn sasl_passes_through_and_a_wrong_password_is_said() {
    let kafka = Kafka::start(&KafkaOptions { sasl: true, ..KafkaOptions::default() }).unwrap();
    let (folder, bootstrap) = (Sporelog::new(), kafka.sasl_bootstrap());
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let (prefix, properties) = (format!("{mechanism}."), properties(mechanism, SASL_PASSWORD));
        for args in [&["topics", "apply"][..], &["simulate", "--events", "50", "--rate", "5000"], &["topics", "check"]]
        {
            let output = run(&folder, &bootstrap, &prefix, &properties, args);
            assert!(output.status.success(), "{mechanism} {args:?}: {}", text(&output.stderr));
        }
        let listed = run(&folder, &bootstrap, &prefix, &properties, &["deadletter", "list"]);
        assert!(listed.status.success(), "{mechanism}: {}", text(&listed.stderr));
        let output = run(&folder, &bootstrap, &prefix, &self::properties(mechanism, "wrong"), &["topics", "check"]);
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("mechanism, user and password"), "{mechanism}: {said}");
    }
}
