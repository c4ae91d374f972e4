//! A look at Microsoft: the token endpoint and whether the Entra application is taken there. The service itself has one host
//! for each device's channel, so that only an override can be reached without sending to somebody.

use super::{Inner, Way};
use crate::bearer::Probing;
use crate::probing::Steps;
use model::channel::{Finding, Probe};
use model::time::Clock;

const CA: &str = "channels.wns.ca_file";
const TOKENS: Probing<'_> = Probing {
    steps: Steps { connection: "token endpoint", tls: "token endpoint TLS", ca: CA },
    step: "application",
    mend: "compare channels.wns.token_endpoint and client_id with the app registration in Entra, and make a new client secret: they run out",
};
const SERVICE: Steps = Steps { connection: "connection", tls: "TLS", ca: CA };

pub(super) async fn probe(inner: &Inner, clock: &dyn Clock) -> Probe {
    let mut probe = Probe::default();
    let (_, ahead) = inner.bearer.probe(&TOKENS, clock, &mut probe.findings).await;
    probe.clock_ahead_ms = ahead;
    match &inner.way {
        Way::Override(connections) => {
            connections.site().reach(SERVICE, &mut probe.findings).await;
        }
        Way::Hosts { .. } => {
            let found = "each device names its own host, so none is tried without sending to somebody";
            probe.findings.push(Finding::fine("connection", found));
        }
    }
    probe
}
