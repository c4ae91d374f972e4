//! Reading the audit: entries in order, and the signed head that says where the chain ends. Whoever keeps a head elsewhere
//! can later prove that nothing before it was changed, removed or cut off.

use super::{names, pages};
use crate::Engine;
use crate::notifications::Page;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::audit::signed_form;
use model::directory::MemberKind;
use model::roles::{Actor, Permission};
use model::{PersonKey, Refusal};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Entry, StoreError};

/// Which entries to list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct AuditQuery {
    /// The first; 1 is the oldest.
    pub from: Option<i64>,
    /// Only those that name this person: an id, external id or UPN.
    pub user: Option<String>,
    pub limit: Option<u32>,
    pub cursor: Option<String>,
}

const LIST: &str = "audit";
/// The sink of the live syslog.
pub const SYSLOG: &str = "syslog";

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("audit", error)
}

impl Engine {
    /// Entries of the audit, oldest first.
    ///
    /// # Errors
    /// `forbidden`; `out_of_scope`; wrong values of the query.
    pub async fn audit(&self, actor: &Actor, query: AuditQuery) -> crate::Result<Page<Map<String, Value>>> {
        self.allow_everywhere(actor, Permission::AuditRead)?;
        let limit = pages::limit(query.limit)?;
        let place = pages::place(LIST, query.cursor.as_deref(), |s| s.parse::<i64>().ok())?;
        let from = match (place, query.from) {
            (Some(last), _) => last.saturating_add(1),
            (None, Some(from)) if from < 1 => return Err(Refusal::field("from", "counts from 1, the oldest entry")),
            (None, from) => from.unwrap_or(1),
        };
        let rows = match &query.user {
            None => self.inner.store.entries(self.tenant_key(), from, limit + 1).await.map_err(wrong)?,
            Some(name) => {
                let person = self.person_of_audit(name).await?;
                self.inner.store.entries_about(self.tenant_key(), person, from, limit + 1).await.map_err(wrong)?
            }
        };
        Ok(pages::page(LIST, limit, rows, |entry| entry.sequence.to_string(), |entry| entry.body))
    }

    async fn person_of_audit(&self, name: &str) -> crate::Result<PersonKey> {
        let named = self.person_named(&super::scope::Sight::Everything, name).await?;
        named.map(|named| named.key).map_err(|unresolved: names::Unresolved| unresolved.refusal(MemberKind::User, name))
    }

    /// Where the chain ends now, signed with the organization's key.
    ///
    /// # Errors
    /// `forbidden`; `out_of_scope`; `unavailable` where the server was given no key.
    pub async fn audit_head(&self, actor: &Actor) -> crate::Result<Map<String, Value>> {
        self.allow_everywhere(actor, Permission::AuditRead)?;
        let head = self.inner.store.head(self.tenant_key()).await.map_err(wrong)?;
        let keys = &self.inner.keys;
        let none = || Refusal::unavailable("this server has no key to sign heads of the audit with");
        let public = keys.public_key().ok_or_else(none)?;
        let mut view = Map::new();
        view.insert("tenant".into(), json!(head.tenant));
        view.insert("sequence".into(), json!(head.sequence));
        view.insert("hash".into(), json!(head.hash));
        view.insert("at".into(), json!(self.now()));
        view.insert("key".into(), json!(URL_SAFE_NO_PAD.encode(public)));
        let signature = keys.sign(signed_form(&view).as_bytes()).ok_or_else(none)?;
        view.insert("signature".into(), json!(URL_SAFE_NO_PAD.encode(signature)));
        Ok(view)
    }

    /// The next entries that a sink has not got yet, in order.
    ///
    /// # Errors
    /// What the store says.
    pub async fn unsunk(&self, sink: &str, limit: u32) -> crate::Result<Vec<Entry>> {
        let last = self.inner.store.sunk(self.tenant_key(), sink).await.map_err(wrong)?;
        self.inner.store.entries(self.tenant_key(), last + 1, limit).await.map_err(wrong)
    }

    /// Notes that a sink has everything up to an entry.
    ///
    /// # Errors
    /// What the store says.
    pub async fn sunk(&self, sink: &str, sequence: i64) -> crate::Result<()> {
        self.inner.store.sink_to(self.tenant_key(), sink, sequence).await.map_err(wrong)
    }

    /// Whether this process feeds a sink now: one process of those that share a store does.
    ///
    /// # Errors
    /// What the store says.
    pub async fn feeds(&self, sink: &str, span: std::time::Duration) -> crate::Result<bool> {
        let inner = &self.inner;
        if !inner.store.is_shared() {
            return Ok(true);
        }
        inner.store.hold_role(&format!("audit-{sink}"), inner.node, self.now().plus(span)).await.map_err(wrong)
    }
}

/// A head that was signed: whether its signature is of the key that it names.
///
/// # Errors
/// A sentence with what is wrong with it.
pub fn check_head(head: &Map<String, Value>) -> Result<(i64, String), String> {
    let text = |name: &str| head.get(name).and_then(Value::as_str).ok_or_else(|| format!("the head has no {name}"));
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).map_err(|_| format!("the head's {name} is not base64url"));
    let sequence = head.get("sequence").and_then(Value::as_i64).ok_or("the head has no sequence")?;
    if !crate::keys::is_signed(&bytes("key")?, signed_form(head).as_bytes(), &bytes("signature")?) {
        return Err("the head was changed: its signature does not fit".into());
    }
    Ok((sequence, text("hash")?.to_owned()))
}
