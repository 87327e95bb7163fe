//! Certificates of one test: a private authority, and what is wrong in the usual ways.

use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// Files in PEM, gone with the folder they are in.
#[derive(Debug, Clone)]
pub struct Material {
    /// The authority that signed the server's certificates.
    pub ca: PathBuf,
    /// An authority that signed nothing here.
    pub other_ca: PathBuf,
    /// Key and certificate for `localhost` and `127.0.0.1`.
    pub server_key_store: PathBuf,
    /// Key and certificate for `elsewhere.invalid`, signed by the right authority.
    pub wrong_name_key_store: PathBuf,
    /// Key and certificate of a client, signed by the right authority.
    pub client_key_store: PathBuf,
    /// Key and certificate of a client, signed by the other authority.
    pub other_client_key_store: PathBuf,
}

impl Material {
    /// Generates everything into `folder`.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn generate(folder: &Path) -> io::Result<Material> {
        let ca = authority("sneck test authority").map_err(io::Error::other)?;
        let other_ca = authority("another authority").map_err(io::Error::other)?;
        let material = Material {
            ca: folder.join("ca.pem"),
            other_ca: folder.join("other-ca.pem"),
            server_key_store: folder.join("server.pem"),
            wrong_name_key_store: folder.join("wrong-name.pem"),
            client_key_store: folder.join("client.pem"),
            other_client_key_store: folder.join("other-client.pem"),
        };
        std::fs::write(&material.ca, ca.pem())?;
        std::fs::write(&material.other_ca, other_ca.pem())?;
        let local: &[&str] = &["localhost", "127.0.0.1"];
        let (server, client) =
            (ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth);
        for (file, issuer, names, purpose) in [
            (&material.server_key_store, &ca, local, &server),
            (&material.wrong_name_key_store, &ca, &["elsewhere.invalid"], &server),
            (&material.client_key_store, &ca, &[], &client),
            (&material.other_client_key_store, &other_ca, &[], &client),
        ] {
            let pem = key_store(issuer, names, purpose.clone()).map_err(io::Error::other)?;
            std::fs::write(file, pem)?;
        }
        Ok(material)
    }
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Result<Issuer, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate()?)
}

/// The private key followed by the certificate, as ZooKeeper wants a key store in PEM.
fn key_store(
    issuer: &Issuer,
    names: &[&str],
    purpose: ExtendedKeyUsagePurpose,
) -> Result<String, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "sneck test");
    params.extended_key_usages = vec![purpose];
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, issuer)?;
    Ok(key.serialize_pem() + &certificate.pem())
}
