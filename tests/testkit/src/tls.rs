//! Certificates for one test.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// A directory with `ca.pem`, and certificates with keys for a server on localhost and a client: `server.pem`,
/// `server.key`, `client.pem`, `client.key`.
#[derive(Debug)]
pub struct TlsFiles(TempDir);

impl TlsFiles {
    /// Makes a new authority and what it signs.
    ///
    /// # Panics
    ///
    /// If the files cannot be written.
    pub fn create() -> Self {
        let files = Self(tempfile::tempdir().expect("a temporary directory"));
        let key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "test authority");
        files.write("ca.pem", &ca.self_signed(&key).expect("signed").pem());
        let issuer = Issuer::new(ca, key);
        for name in ["server", "client"] {
            let key = KeyPair::generate().expect("a key");
            let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
            let mut params = CertificateParams::new(names).expect("valid names");
            params.distinguished_name.push(DnType::CommonName, name);
            let certificate = params.signed_by(&key, &issuer).expect("signed");
            files.write(&format!("{name}.pem"), &certificate.pem());
            files.write(&format!("{name}.key"), &key.serialize_pem());
        }
        files
    }

    /// Where a file is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).expect("the file is written");
    }
}
