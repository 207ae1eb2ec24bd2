//! What is trusted on encrypted connections.

use crate::config::Tls;
use pipeline::StoreError;
use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// Reads certificates and key. A file that is not there or not good is waited for: an operator can mend it meanwhile.
pub(crate) fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>, StoreError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca_file)? {
        roots.add(certificate).map_err(|error| unusable(&tls.ca_file, &error))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
        .with_root_certificates(roots);
    let config = match &tls.identity {
        None => builder.with_no_client_auth(),
        Some((chain, key_file)) => {
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| unusable(key_file, &error))?;
            builder.with_client_auth_cert(certificates(chain)?, key).map_err(|error| unusable(chain, &error))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, Error>>);
    let certificates = read.map_err(|error| unusable(file, &error))?;
    if certificates.is_empty() { Err(unusable(file, &"it holds no certificate")) } else { Ok(certificates) }
}

fn unusable(file: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("{} cannot be used for TLS ({error}): put a PEM file there", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_missing_or_empty_says_which_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        let tls = Tls { ca_file: ca_file.clone(), identity: None };
        for content in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")] {
            if let Some(content) = content {
                std::fs::write(&ca_file, content).unwrap();
            }
            let error = client_config(&tls).unwrap_err();
            assert!(matches!(&error, StoreError::Unavailable(text) if text.contains("ca.pem")), "{error}");
        }
    }
}
