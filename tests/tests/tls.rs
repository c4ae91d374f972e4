//! The listener's own TLS: HTTP/2 and HTTP/1.1, certificates that are changed under load without losing a request, and a
//! wrong pair that is not taken.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use stories::{SOON, Server, eventually, when};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An authority of this story, which signs as many certificates as are asked for.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Pair {
    chain: String,
    key: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for this name that ends in so many days.
    fn sign(&self, name: &str, days: i64) -> Pair {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let end = jiff::Timestamp::now().as_second() + days * 86_400;
        let end = jiff::Timestamp::from_second(end).expect("a time").to_zoned(jiff::tz::TimeZone::UTC);
        params.not_after =
            rcgen::date_time_ymd(end.year().into(), u8::try_from(end.month()).expect("a month"), u8::try_from(end.day()).expect("a day"));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Pair { chain: certificate.pem(), key: key.serialize_pem() }
    }

    fn connector(&self, alpn: &[&[u8]]) -> TlsConnector {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("our own")).expect("a root");
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        // Each connection is to see the certificate, not to resume.
        config.resumption = rustls::client::Resumption::disabled();
        TlsConnector::from(Arc::new(config))
    }

    /// A client that finds this name here and keeps no connection.
    fn client(&self, name: &str, port: u16) -> reqwest::Client {
        let here = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let root = reqwest::Certificate::from_pem(self.pem.as_bytes()).expect("our own");
        let client =
            reqwest::Client::builder().no_proxy().tls_certs_only([root]).pool_max_idle_per_host(0).timeout(SOON).resolve(name, here);
        client.build().expect("a client")
    }
}

fn write(server: &Server, pair: &Pair) {
    for (name, text) in [("chain.pem", &pair.chain), ("key.pem", &pair.key)] {
        // As those do who renew certificates: whole, by another name first.
        server.folder().write(&format!("{name}.new"), text);
        let folder = server.folder().path();
        std::fs::rename(folder.join(format!("{name}.new")), folder.join(name)).expect("renamed");
    }
}

async fn connect(server: &Server, connector: &TlsConnector) -> TlsStream<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", server.port())).await.expect("it listens");
    connector.connect(ServerName::try_from("localhost").expect("a name"), socket).await.expect("a handshake")
}

/// The certificate that a new connection is shown.
async fn shown(server: &Server, authority: &Authority) -> Vec<u8> {
    let stream = connect(server, &authority.connector(&[b"http/1.1"])).await;
    stream.get_ref().1.peer_certificates().expect("certificates")[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    CertificateDer::from_pem_slice(pair.chain.as_bytes()).expect("our own").to_vec()
}

async fn start(authority: &Authority, pair: &Pair, name: &str) -> (Server, String) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut server = Server::prepare("[server.tls]\ncert_file = \"chain.pem\"\nkey_file = \"key.pem\"\n");
    server.folder().write("ca.pem", &authority.pem);
    write(&server, pair);
    server.spawn();
    let url = format!("https://{name}:{}", server.port());
    let client = authority.client(name, server.port());
    eventually("the server to be ready", Duration::from_secs(60), async || {
        when(client.get(format!("{url}/readyz")).send().await.is_ok_and(|answer| answer.status().is_success()))
    })
    .await;
    (server, url)
}

async fn http2(server: &Server, authority: &Authority) -> SendRequest<Empty<Bytes>> {
    let stream = connect(server, &authority.connector(&[b"h2", b"http/1.1"])).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut SendRequest<Empty<Bytes>>, url: &str) -> u16 {
    let request = http::Request::get(format!("{url}/healthz")).body(Empty::new()).expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let status = answer.status().as_u16();
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "ok");
    status
}

/// What a load of requests came to.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    fine: AtomicU64,
    lost: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_changed_under_load_and_no_request_is_lost() {
    let authority = Authority::new();
    let first = authority.sign("localhost", 90);
    let (mut server, url) = start(&authority, &first, "localhost").await;
    assert_eq!(shown(&server, &authority).await, der(&first));
    let mut old = http2(&server, &authority).await;
    assert_eq!(ask(&mut old, &url).await, 200);

    let load = Arc::new(Load::default());
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (load, client, url) = (load.clone(), authority.client("localhost", server.port()), format!("{url}/healthz"));
        tasks.push(tokio::spawn(async move {
            while !load.stop.load(Ordering::SeqCst) {
                // A connection for each: nothing is tried twice.
                let fine = client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
                if fine { &load.fine } else { &load.lost }.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }));
    }
    let mut pair = first;
    for round in 0..4 {
        pair = authority.sign("localhost", 90);
        write(&server, &pair);
        if round % 2 == 0 {
            server.signal("HUP");
        }
        let wanted = der(&pair);
        eventually("the new certificate", SOON, async || when(shown(&server, &authority).await == wanted)).await;
        assert_eq!(ask(&mut old, &url).await, 200, "a connection from before the change stays");
    }

    // A key of another certificate: the old pair stays, and it is said.
    let other = authority.sign("localhost", 90);
    write(&server, &Pair { chain: other.chain, key: pair.key.clone() });
    server.signal("HUP");
    let admin = authority.client("localhost", server.port());
    let alarms = async || {
        let answer = admin.get(format!("{url}/api/v1/alarms")).bearer_auth(server.token()).send().await.expect("an answer");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        body["items"].as_array().cloned().unwrap_or_default()
    };
    let alarm = eventually("the alarm", SOON, async || alarms().await.into_iter().find(|alarm| alarm["code"] == "tls_certificate")).await;
    assert!(alarm["detail"].as_str().is_some_and(|detail| detail.contains("the key does not belong to the certificate")), "{alarm}");
    assert_eq!(shown(&server, &authority).await, der(&pair), "the old one stays");
    let last = authority.sign("localhost", 90);
    write(&server, &last);
    let wanted = der(&last);
    eventually("a right pair is taken without a word", SOON, async || when(shown(&server, &authority).await == wanted)).await;
    eventually("the alarm to end", SOON, async || {
        when(alarms().await.iter().any(|alarm| alarm["code"] == "tls_certificate" && !alarm["clearedAt"].is_null()))
    })
    .await;

    load.stop.store(true, Ordering::SeqCst);
    for task in tasks {
        task.await.expect("it ended");
    }
    let (fine, lost) = (load.fine.load(Ordering::SeqCst), load.lost.load(Ordering::SeqCst));
    assert!(fine > 100 && lost == 0, "{fine} answered, {lost} lost");
    println!("{fine} requests on connections of their own while the certificate was changed five times; none lost");
    let metrics = admin.get(format!("{url}/metrics")).send().await.expect("an answer").text().await.expect("text");
    for line in ["carillon_tls_reloads_total{outcome=\"taken\"} 5", "carillon_tls_reloads_total{outcome=\"refused\"} 1"] {
        assert!(metrics.contains(line), "{line} is not in the metrics");
    }
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_and_doctor_know_the_certificate() {
    let authority = Authority::new();
    let (server, url) = start(&authority, &authority.sign("carillon.example.org", 10), "carillon.example.org").await;
    let address = std::fs::read_to_string(server.data().join("address")).expect("an address");
    assert_eq!(address, format!("https://carillon.example.org:{0}\n127.0.0.1:{0}\n", server.port()), "{url}");
    let data = server.data().display().to_string();
    let ca = server.folder().path().join("ca.pem").display().to_string();
    let cli = |ca: Option<&str>, args: &[&str]| {
        let mut command = server.cli_command("", args);
        command.env_remove("CARILLON_URL").env_remove("CARILLON_TOKEN");
        if let Some(ca) = ca {
            command.env("CARILLON_CA_FILE", ca);
        }
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let (code, said) = cli(Some(&ca), &["user", "list", "--data", &data]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = cli(None, &["user", "list", "--data", &data]);
    assert!(code != Some(0) && said.contains("certificate"), "{said}");
    let config = server.folder().path().join("carillon.toml").display().to_string();
    let (_, said) = cli(Some(&ca), &["doctor", "--config", &config, "--data", &data]);
    assert!(said.contains("certificate and key belong together") && said.contains("the certificate ends in "), "{said}");
    server.folder().write("key.pem", &authority.sign("localhost", 90).key);
    let (code, said) = cli(Some(&ca), &["doctor", "--config", &config, "--data", &data]);
    assert!(code == Some(2) && said.contains("the key does not belong to the certificate"), "{said}");
}
