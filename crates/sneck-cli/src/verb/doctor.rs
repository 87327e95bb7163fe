//! placeholder
use crate::args::DoctorArgs;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::server::ServerUrl;

pub(crate) async fn doctor(_: ServerUrl, _: &DoctorArgs, _: &Printer) -> Result<u8, Failure> {
    Ok(0)
}
