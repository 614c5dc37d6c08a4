//! Who is believed, and that files which change are used.

use tempfile::TempDir;
use testkit::{Authority, CertificateFiles};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// The files of a node for whoever signs it.
pub(crate) fn signed(authority: &Authority, dir: &Path, host: &str) -> TlsFiles {
    let CertificateFiles { certificate, key, authorities } = authority.sign(dir, host);
    TlsFiles { certificate, key, authorities }
}

/// A connection from one to the other over which a byte goes each way: what each says when it does not come to that.
async fn exchange(from: &Tls, to: &Tls, host: &str) -> (Result<(), String>, Result<(), String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = async {
        let mut stream = from.connect(host, Box::new(TcpStream::connect(address).await?)).await?;
        stream.write_all(b"?").await?;
        stream.read_u8().await.map(drop)
    };
    let server = async {
        let mut stream = to.accept(Box::new(listener.accept().await?.0)).await?;
        stream.read_u8().await?;
        stream.write_all(b"!").await
    };
    let (client, server): (io::Result<()>, io::Result<()>) = tokio::join!(client, server);
    (client.map_err(|error| error.to_string()), server.map_err(|error| error.to_string()))
}

fn node(authority: &Authority) -> (TempDir, Tls) {
    let dir = tempfile::tempdir().unwrap();
    let tls = Tls::open(signed(authority, dir.path(), "127.0.0.1")).unwrap();
    (dir, tls)
}

#[tokio::test]
async fn nodes_of_one_authority_hear_one_another_and_nobody_else() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let ((_a, one), (_b, two)) = (node(&ours), node(&ours));
    assert_eq!(exchange(&one, &two, "127.0.0.1").await, (Ok(()), Ok(())));
    // Another host than the certificate says.
    let (client, server) = exchange(&one, &two, "localhost").await;
    assert!(client.unwrap_err().contains("certificate") && server.is_err());
    // A stranger who believes us is not believed.
    let dir = tempfile::tempdir().unwrap();
    let files = signed(&theirs, dir.path(), "127.0.0.1");
    std::fs::write(&files.authorities, ours.pem()).unwrap();
    let stranger = Tls::open(files).unwrap();
    let (client, server) = exchange(&stranger, &two, "127.0.0.1").await;
    assert!(client.is_err() && server.unwrap_err().contains("certificate"));
    // Nor is one to whom we would speak.
    let (_c, stranger) = node(&theirs);
    let (client, server) = exchange(&one, &stranger, "127.0.0.1").await;
    assert!(client.unwrap_err().contains("invalid peer certificate") && server.is_err());
    // Whoever shows nothing is not heard.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let open = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.map(|_| rest)
    };
    let refused = async { two.accept(Box::new(listener.accept().await.unwrap().0)).await.map(drop) };
    let (_alert, refused) = tokio::join!(open, refused);
    assert!(refused.is_err());
}

#[tokio::test]
async fn files_that_change_are_used_and_what_makes_no_sense_is_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let ((a, one), (b, two)) = (node(&old), node(&old));
    assert!(!one.reload().unwrap());
    new.sign(a.path(), "127.0.0.1");
    assert!(one.reload().unwrap() && !one.reload().unwrap());
    let (client, server) = exchange(&one, &two, "127.0.0.1").await;
    assert!(client.is_err() && server.is_err(), "{client:?} {server:?}");
    new.sign(b.path(), "127.0.0.1");
    assert!(two.reload().unwrap());
    assert_eq!(exchange(&one, &two, "127.0.0.1").await, (Ok(()), Ok(())));
    // Half of a rotation, then no certificate, then none at all.
    let other_key = std::fs::read_to_string(&two.files.key).unwrap();
    type Expected = fn(&TlsError) -> bool;
    let is_pem: Expected = |error| matches!(error, TlsError::Pem { .. });
    let is_certificate: Expected = |error| matches!(error, TlsError::Certificate { .. });
    for (key, is_expected) in [(other_key.as_str(), is_certificate), ("nothing", is_pem), ("", is_pem)] {
        std::fs::write(&one.files.key, key).unwrap();
        let error = one.reload().unwrap_err();
        assert!(is_expected(&error), "{error:?}");
    }
    std::fs::remove_file(&two.files.authorities).unwrap();
    assert!(matches!(two.reload(), Err(TlsError::File(_))));
    assert_eq!(exchange(&one, &two, "127.0.0.1").await, (Ok(()), Ok(())));
}
