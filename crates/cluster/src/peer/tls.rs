//! TLS between nodes. Each side shows a certificate, and believes one that an authority of the cluster's own has signed:
//! who has none of those learns nothing, and is not heard.
//!
//! The files are looked at again and again. When they have changed, connections that are made from then on use what is
//! in them now; those that are open go on. What cannot be used changes nothing: half of a rotation is waited out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::RealVfs;
use disk::atomic::{self, AtomicError};
use host::Connection;
use parking_lot::RwLock;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::raft::machine::with_causes;

/// Pause between two looks at the files.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The largest of the files.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What is spoken inside.
const PROTOCOL: &[u8] = b"h2";

/// Where a node's certificate and those of its authorities are, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The node's certificate, valid for the host at which others reach it, and those between it and an authority.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities whose certificates are believed. Whoever has one of those is a node.
    pub authorities: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("a file of the peer port's TLS cannot be read")]
    File(#[from] AtomicError),
    /// A file is not PEM, or holds nothing that is looked for.
    #[error("{} is not what it should be", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// An authority's certificate makes no sense.
    #[error("a certificate in {} cannot be used", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// Nobody's certificate could be believed.
    #[error("certificates of other nodes cannot be checked")]
    Verifier(#[from] VerifierBuilderError),
    /// Certificate and key make no sense, or not together.
    #[error("the certificate in {} and its key cannot be used", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// What is in the files.
#[derive(PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    authorities: Vec<u8>,
}

/// Both sides of TLS, as the files say.
pub(crate) struct Tls {
    files: TlsFiles,
    now: RwLock<Now>,
}

struct Now {
    contents: Contents,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    /// When the node's certificate expires, in seconds since the Unix epoch; `None` where it does not say.
    expires: Option<i64>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        // They are no files of the database, and may be replaced under their names at any time.
        let read = |path: &Path| atomic::read(&RealVfs, path, FILE_BYTES_MAX);
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            authorities: read(&files.authorities)?,
        })
    }
}

impl Now {
    fn new(files: &TlsFiles, contents: Contents) -> Result<Self, TlsError> {
        let certificates = certificates(&files.certificate, &contents.certificate)?;
        let expires = certificates.first().and_then(|certificate| {
            let (_rest, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
            Some(certificate.validity().not_after.timestamp())
        });
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|source| TlsError::Pem { path: files.key.clone(), source })?;
        let mut roots = RootCertStore::empty();
        for authority in self::certificates(&files.authorities, &contents.authorities)? {
            let added = roots.add(authority);
            added.map_err(|source| TlsError::Authority { path: files.authorities.clone(), source })?;
        }
        let unusable = |source| TlsError::Certificate { path: files.certificate.clone(), source };
        let provider: Arc<CryptoProvider> = Arc::new(ring::default_provider());
        let roots = Arc::new(roots);
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_root_certificates(Arc::clone(&roots))
            .with_client_auth_cert(certificates.clone(), key.clone_key())
            .map_err(unusable)?;
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates, key)
            .map_err(unusable)?;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { contents, client: Arc::new(client), server: Arc::new(server), expires })
    }
}

/// The certificates of a file; one at least.
fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |source| TlsError::Pem { path: path.to_owned(), source };
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if found.is_empty() { Err(wrong(pem::Error::NoItemsFound)) } else { Ok(found) }
}

impl Tls {
    /// Reads the files.
    pub(crate) fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let now = RwLock::new(Now::new(&files, contents)?);
        Ok(Self { files, now })
    }

    /// When the node's certificate expires, in seconds since the Unix epoch.
    pub(crate) fn expires(&self) -> Option<i64> {
        self.now.read().expires
    }

    /// Reads the files again; whether they have changed.
    fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        if self.now.read().contents == contents {
            return Ok(false);
        }
        let new = Now::new(&self.files, contents)?;
        *self.now.write() = new;
        Ok(true)
    }

    /// Looks at the files for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut pace = interval(LOOK_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = String::new();
        loop {
            pace.tick().await;
            let this = Arc::clone(&self);
            let problem = match host::offload(move || this.reload()).await {
                Ok(Ok(false)) => String::new(),
                Ok(Ok(true)) => {
                    let certificate = self.files.certificate.display();
                    tracing::info!(%certificate, "new connections to nodes use the new certificates");
                    String::new()
                }
                Ok(Err(error)) => with_causes(&error),
                Err(panic) => with_causes(&panic),
            };
            if !problem.is_empty() && problem != told {
                tracing::warn!(reason = problem, "the certificates read before stay in use");
            }
            told = problem;
        }
    }

    /// Makes a connection to `host` secret.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: Connection,
    ) -> io::Result<client::TlsStream<Connection>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let config = Arc::clone(&self.now.read().client);
        TlsConnector::from(config).connect(name, stream).await
    }

    /// Makes a connection that a node has opened secret.
    pub(crate) async fn accept(&self, stream: Connection) -> io::Result<server::TlsStream<Connection>> {
        let config = Arc::clone(&self.now.read().server);
        TlsAcceptor::from(config).accept(stream).await
    }
}

#[cfg(test)]
pub(crate) mod tests;
