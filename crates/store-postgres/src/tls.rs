//! How the server is trusted: the URL's `sslmode` and `sslrootcert`.

use pipeline::StoreError;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::sync::Arc;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What a URL says: the driver's settings, and how to make a connection private.
pub(crate) fn parse(url: &str) -> Result<(Config, MakeRustlsConnect), StoreError> {
    let (plain, mode, root) = split(url);
    let config: Config = plain.parse().map_err(|error: tokio_postgres::Error| {
        let cause = std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"));
        StoreError::Fatal(format!(
            "the postgres url cannot be read ({error}{cause}): write postgres://user:password@host:5432/database"
        ))
    })?;
    let (mode, verify) = match mode.as_deref() {
        Some("disable") => (SslMode::Disable, false),
        None | Some("prefer") => (SslMode::Prefer, false),
        Some("require") => (SslMode::Require, root.is_some()),
        Some("verify-full") => (SslMode::Require, true),
        Some(other) => {
            return Err(StoreError::Fatal(format!(
                "the postgres url has sslmode={other}: use disable, prefer, require or verify-full"
            )));
        }
    };
    let mut config = config;
    config.ssl_mode(mode);
    Ok((config, MakeRustlsConnect::new(client(verify, root.as_deref())?)))
}

/// Takes out what the driver does not know.
fn split(url: &str) -> (String, Option<String>, Option<String>) {
    let Some((front, query)) = url.split_once('?') else { return (url.to_owned(), None, None) };
    let (mut mode, mut root, mut rest) = (None, None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", value)) => mode = Some(value.to_owned()),
            Some(("sslrootcert", value)) => root = Some(decoded(value)),
            _ => rest.push(pair),
        }
    }
    let plain = if rest.is_empty() { front.to_owned() } else { format!("{front}?{}", rest.join("&")) };
    (plain, mode, root)
}

/// A path as it stands in a URL: `%2F` is a slash.
fn decoded(value: &str) -> String {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The provider is named, so that no process-wide default is needed.
fn client(verify: bool, root: Option<&str>) -> Result<ClientConfig, StoreError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Fatal(format!("tls cannot be set up: {error}")))?;
    if !verify {
        let unchecked = Arc::new(Unchecked(provider));
        return Ok(builder.dangerous().with_custom_certificate_verifier(unchecked).with_no_client_auth());
    }
    Ok(builder.with_root_certificates(roots(root)?).with_no_client_auth())
}

fn roots(file: Option<&str>) -> Result<RootCertStore, StoreError> {
    let mut store = RootCertStore::empty();
    let Some(file) = file else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(store);
    };
    let unreadable = |error: String| {
        StoreError::Fatal(format!("sslrootcert {file} holds no certificate authority in PEM form: {error}"))
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unreadable(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        store.add(certificate).map_err(|error| unreadable(error.to_string()))?;
    }
    if store.is_empty() { Err(unreadable("it is empty".to_owned())) } else { Ok(store) }
}

/// Encrypts without asking who the server is: `prefer`, and `require` without a root certificate.
#[derive(Debug)]
struct Unchecked(Arc<CryptoProvider>);

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_how_the_server_is_trusted() {
        let mode = |url: &str| parse(url).map(|(config, _)| config.get_ssl_mode());
        assert_eq!(mode("postgres://h/d").unwrap(), SslMode::Prefer);
        assert_eq!(mode("postgres://h/d?sslmode=disable&connect_timeout=3").unwrap(), SslMode::Disable);
        assert_eq!(mode("postgres://h/d?sslmode=require").unwrap(), SslMode::Require);
        assert_eq!(mode("postgres://h/d?sslmode=verify-full").unwrap(), SslMode::Require);
        let error = mode("postgres://h/d?sslmode=verify-full&sslrootcert=%2Fno%2Fca.pem").unwrap_err().to_string();
        assert!(error.contains("/no/ca.pem"), "{error}");
        assert!(mode("postgres://h/d?sslmode=maybe").unwrap_err().to_string().contains("sslmode=maybe"));
        assert!(mode("postgres://h/d?no_such=1").unwrap_err().to_string().contains("no_such"));
    }
}
