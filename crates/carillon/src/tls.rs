//! The certificate of the listener: read from its files, looked at, and read again when they change or a SIGHUP comes. A pair
//! that is wrong is not taken: the old one stays, and an alarm says so.

use crate::config::ServerTls;
use engine::Engine;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How often the files are looked at: two questions to the file system.
const LOOK: Duration = Duration::from_secs(5);
/// How long files have to rest before they are read: certificate and key are written one after the other.
const REST: Duration = Duration::from_secs(1);
/// How often that is waited for at most, where they do not come to rest.
const RESTS: u32 = 10;
/// Raised while the files hold a pair that cannot be used.
const ALARM: &str = "tls_certificate";

/// What the files hold.
pub struct Pair {
    chain: Vec<u8>,
    key: Vec<u8>,
    /// Unix time after which clients refuse the certificate.
    pub not_after: i64,
    /// Host names in the certificate.
    names: Vec<String>,
    /// Addresses in it.
    addresses: Vec<IpAddr>,
}

/// Reads both files.
///
/// # Errors
/// A sentence with the file and what is wrong with it.
pub fn read(files: &ServerTls) -> Result<Pair, String> {
    let open = |path: &Path| std::fs::read(path).map_err(|e| format!("{} cannot be read ({e})", path.display()));
    let (chain, key) = (open(&files.cert_file)?, open(&files.key_file)?);
    let wrong = |what: &str| format!("{}: {what}", files.cert_file.display());
    let first =
        CertificateDer::pem_slice_iter(&chain).next().and_then(Result::ok).ok_or_else(|| wrong("it holds no certificate in PEM"))?;
    let (_, leaf) = X509Certificate::from_der(&first).map_err(|e| wrong(&format!("its first certificate cannot be read ({e})")))?;
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    if let Ok(Some(alternatives)) = leaf.subject_alternative_name() {
        for name in &alternatives.value.general_names {
            match name {
                GeneralName::DNSName(name) => names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => {
                    let four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
                    addresses.extend(four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)));
                }
                _ => {}
            }
        }
    }
    let not_after = leaf.validity().not_after.timestamp();
    Ok(Pair { not_after, names, addresses, chain, key })
}

impl Pair {
    /// Makes the listener's TLS of it.
    ///
    /// # Errors
    /// When the two do not belong together.
    pub fn start(&self) -> Result<web::Tls, String> {
        web::Tls::new(&self.chain, &self.key)
    }

    /// A host by which clients on this machine can check the certificate: an address they connect to, `localhost`, or the
    /// first name.
    pub fn host(&self, listens: IpAddr) -> String {
        let here = if listens.is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { listens };
        if self.addresses.contains(&here) {
            return if here.is_ipv6() { format!("[{here}]") } else { here.to_string() };
        }
        let plain = |name: &&String| !name.starts_with('*');
        let local = self.names.iter().find(|name| *name == "localhost").or_else(|| self.names.iter().find(plain));
        local.cloned().unwrap_or_else(|| "localhost".to_owned())
    }
}

/// What the files look like from outside; symbolic links are followed.
fn stamp(files: &ServerTls) -> Option<[(u64, i64, i64, u64); 2]> {
    let of = |path: &Path| std::fs::metadata(path).ok().map(|m| (m.ino(), m.mtime(), m.mtime_nsec(), m.len()));
    Some([of(&files.cert_file)?, of(&files.key_file)?])
}

/// Takes what the files hold whenever they changed, and when it is told to.
pub async fn keep(tls: Arc<web::Tls>, files: ServerTls, engine: Engine, mut told: mpsc::Receiver<()>, stop: CancellationToken) {
    // An alarm of an earlier process: this one has started with a pair that is right.
    engine.clear_alarm(ALARM).await;
    let mut taken = stamp(&files);
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return,
            // Where signals cannot be taken, nobody tells, and this arm is left out.
            Some(()) = told.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        };
        let mut seen = stamp(&files);
        if !asked && (seen == taken || seen.is_none()) {
            continue;
        }
        // Whoever says that it is time has written both. Others are waited for, but not for ever.
        let mut rests = if asked { 0 } else { RESTS };
        while rests > 0 {
            tokio::time::sleep(REST).await;
            let again = stamp(&files);
            rests = if again == seen { 0 } else { rests - 1 };
            seen = again;
        }
        taken = seen;
        match read(&files).and_then(|pair| tls.replace(&pair.chain, &pair.key).map(|()| pair)) {
            Ok(pair) => {
                expires(&pair);
                metrics::counter!("carillon_tls_reloads_total", "outcome" => "taken").increment(1);
                tracing::info!("the certificate was read again; new connections are shown it");
                engine.clear_alarm(ALARM).await;
            }
            Err(why) => {
                metrics::counter!("carillon_tls_reloads_total", "outcome" => "refused").increment(1);
                let detail = format!("the new certificate is not taken, the old one stays: {why}; mend the files of [server.tls]");
                engine.raise_alarm(ALARM, &detail).await;
            }
        }
    }
}

/// Says in the metrics until when the certificate holds.
pub fn expires(pair: &Pair) {
    metrics::gauge!("carillon_tls_certificate_expiry_timestamp_seconds").set(pair.not_after as f64);
}
