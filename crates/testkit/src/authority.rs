//! Certificates for nodes, signed by an authority of the test's own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

/// Signs certificates.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// The PEM files of a node.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// Its certificate.
    pub certificate: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
    /// The authority that has signed it.
    pub authorities: PathBuf,
}

impl CertificateFiles {
    /// Where [`Authority::sign`] writes in a directory.
    pub fn of(dir: &Path) -> Self {
        let [certificate, key, authorities] =
            ["node.pem", "node.key", "authority.pem"].map(|name| dir.join(name));
        Self { certificate, key, authorities }
    }

    /// The arguments of `tidemark serve` for the peer port.
    pub fn arguments(&self) -> [String; 6] {
        let text = |path: &Path| path.display().to_string();
        [
            "--peer-tls-cert".to_owned(),
            text(&self.certificate),
            "--peer-tls-key".to_owned(),
            text(&self.key),
            "--peer-tls-ca".to_owned(),
            text(&self.authorities),
        ]
    }
}

impl Authority {
    /// A new one.
    #[expect(clippy::new_without_default, reason = "each is another")]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("it signs itself"))
    }

    /// Its own certificate, PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a new certificate for a host, with its key, and this authority.
    pub fn sign(&self, dir: &Path, host: &str) -> CertificateFiles {
        let files = CertificateFiles::of(dir);
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![host.to_owned()]).expect("a host");
        let certificate = params.signed_by(&key, &self.0).expect("it signs others");
        let pieces = [
            (&files.certificate, certificate.pem()),
            (&files.key, key.serialize_pem()),
            (&files.authorities, self.pem()),
        ];
        for (path, text) in pieces {
            std::fs::write(path, text).expect("the directory is there");
        }
        files
    }
}
