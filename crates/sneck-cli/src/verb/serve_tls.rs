//! What `sneck serve` speaks TLS with.

use crate::args::TlsArgs;
use crate::failure::Failure;
use crate::printer::Printer;
use sneck_server::{Tls, TlsFiles};

/// Reads the files, if there are any.
///
/// # Errors
/// Wrong usage, when one of them is not what it should be.
pub(crate) fn tls(args: &TlsArgs, printer: &Printer) -> Result<Option<Tls>, Failure> {
    let (Some(certificates), Some(key)) = (&args.tls_cert, &args.tls_key) else {
        return Ok(None);
    };
    let files = TlsFiles {
        certificates: certificates.clone(),
        key: key.clone(),
        client_authorities: args.tls_client_ca.clone(),
    };
    let tls = Tls::read(&files).map_err(|error| {
        Failure::usage(format!("no TLS with these files: {error}")).with_hint(
            "all are PEM; the key is the one of the first certificate, without a password",
        )
    })?;
    if files.key_is_open_to_all().unwrap_or(false) {
        printer.warn(
            &format!("everybody on this machine can read {}", key.display()),
            &format!("chmod 600 {}", key.display()),
        );
    }
    Ok(Some(tls))
}
