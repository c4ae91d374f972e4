//! The hosts of the Windows push service. A device's channel URL names one of them; each has connections of its own, and
//! no URL leads anywhere else: it comes from a device, and must not turn Carillon against other machines.

use crate::http1::{Connections, Site};
use model::outcome::Cause;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// Most hosts with connections at once. Microsoft has a few dozen; the one longest unused gives way.
const MOST_HOSTS: usize = 64;
/// Domains of the service.
const DOMAINS: [&str; 2] = ["notify.windows.com", "wns.windows.com"];

/// A channel URL, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelUrl<'a> {
    /// `db5p.notify.windows.com`
    pub(super) host: &'a str,
    /// Path and query; the query holds the channel's token.
    pub(super) path: &'a str,
}

impl<'a> ChannelUrl<'a> {
    /// Reads a channel URL: https, the usual port, a host of the service, and nothing that could mean another host.
    pub(super) fn read(url: &'a str) -> Option<ChannelUrl<'a>> {
        let rest = url.strip_prefix("https://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let host = host.strip_suffix(":443").unwrap_or(host);
        let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        let lower = host.to_ascii_lowercase();
        let of_service = |domain: &str| lower.strip_suffix(domain).is_some_and(|before| before.len() > 1 && before.ends_with('.'));
        let sound = plain && DOMAINS.iter().any(|domain| of_service(domain)) && !host.contains("..") && !host.starts_with(['.', '-']);
        let path_sound = path.bytes().all(|b| b.is_ascii_graphic()) && !path.contains('#');
        (sound && path_sound && path.starts_with(['/', '?'])).then_some(ChannelUrl { host, path })
    }
}

type Make = dyn Fn(&str) -> Result<Site, Cause> + Send + Sync;

/// Connections by host.
pub(super) struct Hosts {
    make: Box<Make>,
    open: Box<dyn Fn(Site) -> Arc<Connections> + Send + Sync>,
    known: Mutex<HashMap<String, (Arc<Connections>, Instant)>>,
}

impl Hosts {
    pub(super) fn new(
        make: impl Fn(&str) -> Result<Site, Cause> + Send + Sync + 'static,
        open: impl Fn(Site) -> Arc<Connections> + Send + Sync + 'static,
    ) -> Hosts {
        Hosts { make: Box::new(make), open: Box::new(open), known: Mutex::default() }
    }

    /// The connections of a host; made when it is met for the first time.
    pub(super) fn of(&self, host: &str) -> Result<Arc<Connections>, Cause> {
        let host = host.to_ascii_lowercase();
        let mut known = self.known.lock();
        if let Some((connections, used)) = known.get_mut(&host) {
            *used = Instant::now();
            return Ok(connections.clone());
        }
        let site = (self.make)(&host)?;
        if known.len() >= MOST_HOSTS
            && let Some(oldest) = known.iter().min_by_key(|(_, (_, used))| *used).map(|(host, _)| host.clone())
        {
            // Whoever still uses its connections keeps them until its letter has its answer.
            known.remove(&oldest);
        }
        let connections = (self.open)(site);
        known.insert(host, (connections.clone(), Instant::now()));
        Ok(connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Names;
    use std::time::Duration;

    #[test]
    fn only_hosts_of_the_service_over_https_are_channels() {
        let fine = ChannelUrl::read("https://db5p.notify.windows.com/?token=AwYAAAB").expect("a channel");
        assert_eq!((fine.host, fine.path), ("db5p.notify.windows.com", "/?token=AwYAAAB"));
        for url in [
            "https://wns2-par02p.notify.windows.com/w/?token=x",
            "https://HK2.Notify.Windows.com:443/?token=x",
            "https://a.wns.windows.com/x",
        ] {
            assert!(ChannelUrl::read(url).is_some(), "{url}");
        }
        for url in [
            "http://db5p.notify.windows.com/?token=x",
            "https://notify.windows.com/?token=x",
            "https://.notify.windows.com/?token=x",
            "https://evilnotify.windows.com/?token=x",
            "https://notify.windows.com.evil.example/?token=x",
            "https://db5p.notify.windows.com:8443/?token=x",
            "https://db5p.notify.windows.com@evil.example/?token=x",
            "https://evil.example/#.notify.windows.com",
            "https://evil.example\\.notify.windows.com/",
            "https://127.0.0.1/?token=x",
            "https://db5p.notify.windows.com/?token=x y",
            "https://db5p.notify.windows.com/?token=x\r\nX: y",
            "https://db5p.notify.windows.com",
            "",
        ] {
            assert_eq!(ChannelUrl::read(url), None, "{url}");
        }
    }

    #[test]
    fn hosts_have_connections_of_their_own_and_their_number_has_an_end() {
        let names = Names { host: "h", ca: "c" };
        let make = move |_: &str| Site::parse("http://127.0.0.1:9/", None, &names).map(|(site, _)| site).map_err(|_| Cause::of("x", 0));
        let hosts = Hosts::new(make, |site| Connections::new(site, 1, Duration::from_secs(1)));
        let first = hosts.of("A.notify.windows.com").expect("connections");
        assert!(Arc::ptr_eq(&first, &hosts.of("a.notify.windows.com").expect("connections")));
        for n in 0..MOST_HOSTS * 3 {
            let other = hosts.of(&format!("h{n}.notify.windows.com")).expect("connections");
            assert!(!Arc::ptr_eq(&first, &other));
        }
        assert_eq!(hosts.known.lock().len(), MOST_HOSTS);
    }
}
