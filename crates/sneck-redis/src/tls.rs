//! TLS to the servers, through rustls. There is no fall-back to plain text.

#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, pem::PemObject};
use sneck_core::Error;
#[cfg(feature = "tls")]
use sneck_core::ErrorKind;
use std::path::PathBuf;

/// Which authorities to trust and, for servers that ask, which certificate to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// A PEM file of certificate authorities; those of the system when absent.
    pub ca: Option<PathBuf>,
    /// PEM files of a client certificate chain and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// What the driver is told about TLS, read once; nothing in a build without it.
#[derive(Clone)]
pub(crate) struct Certificates {
    #[cfg(feature = "tls")]
    pub(crate) driver: redis::TlsCertificates,
}

impl Certificates {
    /// Reads the files; nothing when there is to be no TLS.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a file that cannot be read; the error names it, never its content.
    #[cfg(feature = "tls")]
    pub(crate) fn read(options: Option<&TlsOptions>) -> Result<Option<Self>, Error> {
        let Some(options) = options else { return Ok(None) };
        // The process chooses its cryptography once. An error says that it has, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let read = |file: &PathBuf| {
            std::fs::read(file).map_err(|error| {
                Error::new(ErrorKind::Invalid, format!("{}: {error}", file.display()))
            })
        };
        let client_tls = match &options.identity {
            None => None,
            Some((chain, key)) => {
                let (client_cert, client_key) = (read(chain)?, read(key)?);
                Some(redis::ClientTlsConfig { client_cert, client_key })
            }
        };
        let root_cert = options.ca.as_ref().map(read).transpose()?;
        if let (Some(file), Some(pem)) = (&options.ca, &root_cert)
            && CertificateDer::pem_slice_iter(pem).flatten().next().is_none()
        {
            // The driver would trust nobody, and not say why.
            let text = format!("{}: it holds no PEM certificate", file.display());
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let driver = redis::TlsCertificates { client_tls, root_cert };
        Ok(Some(Certificates { driver }))
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn read(_: Option<&TlsOptions>) -> Result<Option<Self>, Error> {
        Ok(None)
    }
}
