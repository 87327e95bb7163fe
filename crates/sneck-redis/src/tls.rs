//! The cryptography that TLS uses.

/// Chooses it once for the process, unless the process has chosen already.
pub(crate) fn prepare(tls: bool) {
    #[cfg(feature = "tls")]
    if tls {
        // An error says that there is one, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    #[cfg(not(feature = "tls"))]
    let _ = tls;
}
