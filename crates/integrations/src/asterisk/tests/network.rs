//! Over real connections: plain, with TLS, and with a certificate that is nobody's.

use super::replay::{Desk, Folder, Script, cues, serve};
use super::{CANCELLED, findings, found};
use crate::asterisk::{Settings, run};
use sources::telephony::calls::Finding;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Longer than anything takes here.
const LONG: Duration = Duration::from_secs(20);

async fn listener(settings: &mut Settings) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    settings.port = listener.local_addr().expect("an address").port();
    listener
}

/// Runs until something was taken, or `long` is over.
async fn until_taken(settings: Settings, desk: &Arc<Desk>, long: Duration) {
    let stop = CancellationToken::new();
    let running = tokio::spawn(run(settings, desk.clone(), stop.clone()));
    let taken = async {
        while desk.acts().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    let _ = timeout(long, taken).await;
    stop.cancel();
    timeout(LONG, running).await.expect("it stops").expect("it does not fall over");
}

#[tokio::test]
async fn a_call_is_heard_over_tcp() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let mut settings = folder.settings();
    let listener = listener(&mut settings).await;
    tokio::spawn(async move {
        let (wire, _) = listener.accept().await.expect("a client");
        serve(wire, Script::Play(cues(CANCELLED, 100)), Arc::default()).await;
    });
    until_taken(settings, &desk, LONG).await;
    assert_eq!(findings(&desk.legs()), found("102", Finding::Missed));
}

#[tokio::test]
async fn a_call_is_heard_over_tls_and_only_from_a_server_that_is_trusted() {
    let (folder, desk) = (Folder::new(), Desk::with(&["102"]));
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a pair");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let mut settings = Settings { tls: true, ca_file: Some(folder.write("other.pem", other.cert.pem())), ..folder.settings() };
    let listener = listener(&mut settings).await;
    tokio::spawn(async move {
        loop {
            let (wire, _) = listener.accept().await.expect("a client");
            let Ok(wire) = acceptor.accept(wire).await else { continue };
            serve(wire, Script::Play(cues(CANCELLED, 100)), Arc::default()).await;
        }
    });
    until_taken(settings.clone(), &desk, Duration::from_millis(500)).await;
    assert!(desk.acts().is_empty(), "somebody else's certificate");
    settings.ca_file = Some(folder.write("ca.pem", made.cert.pem()));
    until_taken(settings, &desk, LONG).await;
    assert_eq!(findings(&desk.legs()), found("102", Finding::Missed));
}
