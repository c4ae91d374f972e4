//! A look at the relay: connection, TLS, sign-in, and whether it takes our sender. The dialogue ends before a recipient is
//! named, so that nobody gets anything.

use super::dkim::Signer;
use super::session::{Relay, Session, own_name};
use crate::dial::dial;
use crate::probing::{self, Steps};
use model::channel::Finding;
use model::outcome::{Cause, Outcome};

const STEPS: Steps = Steps { connection: "connection", tls: "TLS", ca: "channels.email.ca_file" };

/// What DNS has to hold for our signatures. Nothing is asked: what DNS says here need not be what receivers hear.
pub(super) fn signing(signer: &Signer, sender_domain: &str) -> Finding {
    let found = format!("mail is signed with {}; DNS has to hold: {}", signer.key(), signer.record());
    if signer.stands_for(sender_domain) {
        return Finding::fine("DKIM", found);
    }
    let found = format!("the sender of channels.email.from is not of the domain that signs, so DMARC takes no account of it; {found}");
    Finding::doubtful("DKIM", found, "write the sender's domain in channels.email.dkim_domain, or a sender of that domain")
}

/// Every step, up to the first that is wrong.
pub(super) async fn findings(relay: &Relay, sender: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(wrong) = steps(relay, sender, &mut findings).await {
        findings.push(wrong);
    }
    findings
}

async fn steps(relay: &Relay, sender: &str, findings: &mut Vec<Finding>) -> Result<(), Finding> {
    let (host, port) = (relay.host.as_str(), relay.port);
    let dialing = tokio::time::timeout(relay.deadlines.connect, dial(host, port)).await;
    let tcp = dialing.unwrap_or_else(|_| Err(Cause::of_channel("timed_out", 0)));
    let tcp = tcp.map_err(|cause| probing::unreached(STEPS.connection, host, port, &cause))?;
    let name = own_name(&tcp);
    let mut session = Session::over(tcp, relay.deadlines);
    if relay.implicit {
        session = secured(relay, session, findings).await?;
    }
    let no_smtp = |outcome: Outcome| not_greeted(host, port, &outcome);
    session.greeted().await.map_err(no_smtp)?;
    session.hello(&name).await.map_err(no_smtp)?;
    findings.push(Finding::fine(STEPS.connection, format!("{host}:{port} greets us as a mail relay")));
    if relay.tls.is_some() && !relay.implicit {
        session.starttls().await.map_err(|_| {
            let mend = "turn STARTTLS on at the relay, or write the kind of TLS that it speaks in channels.email.tls";
            Finding::wrong(STEPS.tls, format!("{host} does not offer STARTTLS"), mend)
        })?;
        session = secured(relay, session, findings).await?;
        session.hello(&name).await.map_err(no_smtp)?;
    }
    if let Some((user, password)) = &relay.login {
        session.authenticate(user, password).await.map_err(|outcome| {
            let found = format!("{host} does not let us sign in ({})", code(&outcome));
            Finding::wrong("sign-in", found, "check channels.email.username and the first line of password_file")
        })?;
        findings.push(Finding::fine("sign-in", format!("{host} takes user name and password")));
    }
    session.takes_sender(sender).await.map_err(|outcome| {
        let found = format!("{host} refuses the sender of channels.email.from ({})", code(&outcome));
        Finding::wrong("sender", found, "allow this sender at the relay, or write one that it allows")
    })?;
    findings.push(Finding::fine("sender", format!("{host} takes mail from our sender")));
    session.quit().await;
    Ok(())
}

async fn secured(relay: &Relay, session: Session, findings: &mut Vec<Finding>) -> Result<Session, Finding> {
    let session = relay.handshake(session).await.map_err(|error| probing::untrusted(STEPS, &relay.host, &error))?;
    findings.push(Finding::fine(STEPS.tls, format!("the certificate of {} is valid and trusted", relay.host)));
    Ok(session)
}

fn not_greeted(host: &str, port: u16, outcome: &Outcome) -> Finding {
    let found = format!("{host}:{port} does not greet us as a mail relay does ({})", code(outcome));
    Finding::wrong(STEPS.connection, found, "check the port and channels.email.tls: 587 with starttls, 465 with implicit, 25 with none")
}

fn code(outcome: &Outcome) -> String {
    outcome.cause().map_or_else(String::new, |cause| match cause.status {
        0 => cause.code.to_string(),
        status => format!("{status} {}", cause.code),
    })
}
