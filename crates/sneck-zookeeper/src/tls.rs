//! TLS to the servers, through rustls. There is no fall-back to plain text.

use crate::server::Server;
use crate::transport::{Connector, Duplex, Tcp};
use async_trait::async_trait;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// Which authorities to trust and, for servers that ask, which certificate to show.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// A PEM file of certificate authorities; those of the system when absent.
    pub ca: Option<PathBuf>,
    /// PEM files of a client certificate chain and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// TCP with TLS 1.2 or 1.3; the server's certificate must be valid for its host name or address.
#[derive(Clone)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read or holds nothing useful; the error names the file, never its content.
    pub fn new(options: &TlsOptions) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots(options.ca.as_deref())?);
        let config = match &options.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| bad_file(key, &e))?;
                builder
                    .with_client_auth_cert(certificates(chain)?, key_der)
                    .map_err(|e| bad_file(key, &e))?
            }
        };
        Ok(Tls(Arc::new(config)))
    }
}

fn roots(ca: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|e| bad_file(file, &e))?;
            }
        }
        None => {
            // Systems carry the odd certificate that cannot be read; the others are still good.
            let native = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(native.certs);
        }
    }
    if roots.is_empty() {
        let text = "the system has no certificate authorities; name a file with ?ca=FILE";
        return Err(io::Error::new(io::ErrorKind::NotFound, text));
    }
    Ok(roots)
}

fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|e| bad_file(file, &e))?;
    if certificates.is_empty() {
        return Err(bad_file(file, &"it holds no PEM certificate"));
    }
    Ok(certificates)
}

fn bad_file(file: &Path, why: &dyn fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", file.display()))
}

#[async_trait]
impl Connector for Tls {
    async fn connect(&self, server: &Server) -> io::Result<Box<dyn Duplex>> {
        let name = ServerName::try_from(server.host.clone())
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
        let stream = Tcp::open(server).await?;
        let stream = TlsConnector::from(self.0.clone()).connect(name, stream).await;
        Ok(Box::new(stream.map_err(|error| match error.kind() {
            // What a port without TLS does when it is greeted with TLS.
            io::ErrorKind::UnexpectedEof => {
                let text = "it hung up on the TLS handshake; is this its TLS port?";
                io::Error::new(io::ErrorKind::InvalidData, text)
            }
            _ => error,
        })?))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}
