//! How many descriptors the process may have, and how many of them connections may take: a server without any can open neither
//! its store nor a connection to a provider.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use web::Limits;

/// Descriptors that stay free for the store, for senders, for imports, and for telling strangers that there is no place.
const RESERVE: u64 = 512;

/// The limits with as many connections as there are descriptors for. Takes all descriptors that the system allows this process.
pub(crate) fn fitting(limits: Limits) -> Limits {
    let allowed = raised();
    let connections = room(allowed, limits.connections);
    if connections < limits.connections {
        tracing::info!(
            descriptors = allowed,
            connections,
            wanted = limits.connections,
            "fewer connections than [server] connections says; raise the limit on open files (LimitNOFILE=) for more"
        );
    }
    Limits { connections, ..limits }
}

/// The limit on descriptors, after it was raised as far as may be.
fn raised() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    let all = Rlimit { current: before.maximum, maximum: before.maximum };
    // Where this may not be raised, what there was stays.
    if setrlimit(Resource::Nofile, all).is_ok() { before.maximum } else { before.current }
}

fn room(allowed: Option<u64>, wanted: usize) -> usize {
    let Some(allowed) = allowed else { return wanted };
    let room = allowed - RESERVE.min(allowed / 2);
    usize::try_from(room).unwrap_or(usize::MAX).min(wanted).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_rest() {
        assert_eq!(room(None, 60_000), 60_000);
        assert_eq!(room(Some(1_000_000), 60_000), 60_000);
        assert_eq!(room(Some(20_000), 60_000), 19_488);
        assert_eq!(room(Some(256), 60_000), 128);
        assert_eq!(room(Some(256), 20), 20);
        assert_eq!(room(Some(1), 20), 1);
    }
}
