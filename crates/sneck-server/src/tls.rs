//! TLS for clients over TCP, through rustls.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// Where a server's certificate and key are, all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, with the others of its chain behind it.
    pub certificates: PathBuf,
    /// The private key of the first certificate.
    pub key: PathBuf,
    /// The authorities whose certificates let a client in. Without them clients show none.
    pub client_authorities: Option<PathBuf>,
}

/// TLS 1.2 or 1.3 with a server's certificate. Clones share one.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    asks_clients: bool,
}

impl Tls {
    /// Reads the files. They are not looked at again: a new certificate needs a new start.
    ///
    /// # Errors
    /// When a file cannot be read or is not what it should be, or the key is not the certificate's.
    /// The error names the file, and never what is in it.
    pub fn read(files: &TlsFiles) -> io::Result<Tls> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let builder = match &files.client_authorities {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let roots = Arc::new(roots(file)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = verifier.build().map_err(|error| bad_file(file, &error))?;
                builder.with_client_cert_verifier(verifier as Arc<dyn ClientCertVerifier>)
            }
        };
        let key = &files.key;
        let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| bad_file(key, &error))?;
        let config = builder
            .with_single_cert(certificates(&files.certificates)?, key_der)
            .map_err(|error| bad_file(key, &error))?;
        Ok(Tls { config: Arc::new(config), asks_clients: files.client_authorities.is_some() })
    }

    /// Whether a client has to show a certificate.
    pub fn asks_clients(&self) -> bool {
        self.asks_clients
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

impl fmt::Debug for Tls {
    /// Without the configuration, which has the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("asks_clients", &self.asks_clients).finish_non_exhaustive()
    }
}

impl TlsFiles {
    /// Whether others than its owner and group can read the key.
    ///
    /// # Errors
    /// Of the file system.
    pub fn key_is_open_to_all(&self) -> io::Result<bool> {
        const READ_BY_OTHERS: u32 = 0o004;
        let mode = std::fs::metadata(&self.key)?.permissions().mode();
        Ok(mode & READ_BY_OTHERS != 0)
    }
}

fn roots(file: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| bad_file(file, &error))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| bad_file(file, &error))?;
    if certificates.is_empty() {
        return Err(bad_file(file, &"it holds no PEM certificate"));
    }
    Ok(certificates)
}

fn bad_file(file: &Path, why: &dyn fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", file.display()))
}
