//! The sink: a process of its own that answers like Apple's push service, like Google's, and like a mail relay, on one
//! thread, with 1,000 concurrent streams a connection, and checks and counts every request. Beside it a control page in plain HTTP for the benchmark program.
//!
//! It ends when its standard input does, so it cannot outlive who started it.

pub mod account;
pub mod browser;
pub mod google;
pub mod key;
pub mod mail;

use account::{Account, Expected};
use anyhow::{Context, Result};
use browser::Browsers;
use bytes::{Bytes, BytesMut};
use google::Google;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use key::Key;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use std::convert::Infallible;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Streams that a connection may have open at once, as in the limit program's runs.
pub const STREAMS: u32 = 1000;
/// Apple's limit for a payload, in bytes.
const MOST_PAYLOAD_BYTES: usize = 4096;

type Shared = Arc<Mutex<Account>>;

/// Runs the sink until its standard input ends. Certificate and signing key are written into `folder`; the addresses and
/// a provider token for the limit program are printed as one line of JSON.
///
/// # Errors
/// When it cannot listen or write there.
pub fn run(folder: &Path) -> Result<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(folder))
}

async fn serve(folder: &Path) -> Result<()> {
    let key = Key::generate()?;
    let token = key.sign(crate::clock::unix_micros() / 1_000_000)?;
    std::fs::write(folder.join("key.p8"), &key.pem)?;
    let acceptor = TlsAcceptor::from(Arc::new(tls(&folder.join("ca.pem"))?));
    let (pushes, control, mails) = (listen().await?, listen().await?, listen().await?);
    let (google, service_account) = Google::new(control.local_addr()?.port())?;
    std::fs::write(folder.join("service-account.json"), service_account)?;
    let announced = json!({
        "port": pushes.local_addr()?.port(),
        "control": control.local_addr()?.port(),
        "mail": mails.local_addr()?.port(),
        "token": token,
        "googleToken": google.token,
    });
    let account: Shared = Arc::new(Mutex::new(Account::new(key, google, Browsers::new(pushes.local_addr()?.port()))));
    println!("{announced}");
    tokio::spawn(accept(mails, account.clone(), mail::serve));
    tokio::spawn(accept(control, account.clone(), |account, stream| async move {
        let service = service_fn(move |request| control_page(account.clone(), request));
        // A caller that goes away in the middle is its own affair.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }));
    accept(pushes, account, move |account, stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| push(account.clone(), request));
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder
                .max_concurrent_streams(STREAMS)
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(16 << 20)
                .auto_date_header(false);
            // Ends with the client's connection, whole or cut.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await;
    Ok(())
}

async fn listen() -> Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.context("the sink cannot listen")
}

async fn accept<F: Future<Output = ()> + Send + 'static>(listener: TcpListener, account: Shared, serve: impl Fn(Shared, TcpStream) -> F) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve(account.clone(), stream));
        }
    }
}

/// TLS with a certificate that is made now and is its own authority.
fn tls(ca_file: &Path) -> Result<ServerConfig> {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()])?;
    std::fs::write(ca_file, made.cert.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn locked(account: &Shared) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One push, as Apple answers it: 200 without a body, or a status with a reason; `apns-id` comes back.
async fn push(account: Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mut head, body) = request.into_parts();
    let payload = read(body).await;
    let (taken, latency) = {
        let mut account = locked(&account);
        let taken = payload.ok_or((400, "PayloadUnreadable"));
        (taken.and_then(|payload| account.take(&head, &payload, crate::clock::unix_micros())), account.latency())
    };
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let mut response = Response::new(Full::default());
    let name = HeaderName::from_static("apns-id");
    if let Some(mut id) = head.headers.remove(&name) {
        id.set_sensitive(true);
        response.headers_mut().insert(name, id);
    }
    if head.uri.path() == google::PATH && taken.is_ok() {
        *response.body_mut() = Full::from("{\n  \"name\": \"projects/bench/messages/0:1700000000000000%31bd1c9631bd1c96\"\n}\n");
        response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
    }
    if head.uri.path().starts_with(browser::PATH) && taken.is_ok() {
        *response.status_mut() = StatusCode::CREATED;
        response.headers_mut().insert(http::header::LOCATION, HeaderValue::from_static("https://127.0.0.1/m/bench"));
        response.headers_mut().extend(head.headers.remove("ttl").map(|ttl| (HeaderName::from_static("ttl"), ttl)));
    }
    if let Err((status, reason)) = taken {
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.body_mut() = Full::from(json!({ "reason": reason }).to_string());
    }
    Ok(response)
}

/// The whole payload, or nothing when the stream broke or brought too much. One frame, the usual case, is not copied.
async fn read(mut body: Incoming) -> Option<Bytes> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if whole.is_empty() && body.is_end_stream() {
            return Some(data);
        }
        whole.extend_from_slice(&data);
        if whole.len() > MOST_PAYLOAD_BYTES {
            return None;
        }
    }
    Some(whole.freeze())
}

async fn control_page(account: Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match (&head.method, head.uri.path()) {
        (&Method::GET, "/stats") => Ok(json!(locked(&account).stats())),
        (&Method::GET, "/arrivals") => Ok(json!(locked(&account).arrivals())),
        (&Method::POST, "/mark") => {
            locked(&account).mark();
            Ok(json!({}))
        }
        (&Method::POST, "/token") => {
            let form = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            locked(&account).give_token(&form).ok_or_else(|| "invalid_grant".to_owned())
        }
        (&Method::POST, "/reset") => match body.collect().await.map(http_body_util::Collected::to_bytes) {
            Ok(bytes) => serde_json::from_slice::<Expected>(&bytes).map_err(|e| e.to_string()).map(|expected| {
                locked(&account).reset(expected);
                json!({})
            }),
            Err(error) => Err(error.to_string()),
        },
        _ => Err("there is GET /stats, GET /arrivals, POST /mark, POST /reset and POST /token".to_owned()),
    };
    let (status, value) = match answer {
        Ok(value) => (StatusCode::OK, value),
        Err(problem) => (StatusCode::BAD_REQUEST, json!({ "error": problem })),
    };
    let mut response = Response::new(Full::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
