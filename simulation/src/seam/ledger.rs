//! Tenants, settings, tokens, idempotency, alarms, imports: passed on, and what changes settings is noted.

use super::Seam;
use crate::planted::Plant;
use async_trait::async_trait;
use model::objects::ObjectKind;
use model::{GroupKey, PersonKey, TenantKey, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use store::watch::Watched;
use store::{
    Accepted, Act, Alarm, Answer, Audit, Change, Entry, Erased, Head, Import, ImportReport, ImportSource, Ledger, NewObject, NewToken,
    Object, Objects, Once, Result, Shared, Tenant, Token, Watch,
};
use uuid::Uuid;

#[async_trait]
impl Ledger for Seam {
    async fn found(&self, name: &str, id: Uuid) -> Result<(Vec<Tenant>, bool)> {
        self.pass("found", self.store.found(name, id)).await
    }

    async fn rename_tenant(&self, tenant: TenantKey, from: &str, to: &str) -> Result<()> {
        self.pass("rename_tenant", self.store.rename_tenant(tenant, from, to)).await
    }

    async fn ensure_tenant(&self, name: &str, id: Uuid) -> Result<(Tenant, bool)> {
        self.pass("ensure_tenant", self.store.ensure_tenant(name, id)).await
    }

    async fn settings(&self, tenant: TenantKey) -> Result<(i64, BTreeMap<String, Value>)> {
        let (version, mut set) = self.pass("settings", self.store.settings(tenant)).await?;
        if self.world().has(Plant::SwitchNotAskedAtCarry) {
            set.retain(|key, _| !key.starts_with("push."));
        }
        Ok((version, set))
    }

    async fn put_settings(&self, tenant: TenantKey, changes: Vec<(String, Option<Value>)>, expected: Option<i64>) -> Result<i64> {
        let kept = changes.clone();
        self.call("put_setting", self.store.put_settings(tenant, changes, expected), |done| {
            let Ok(version) = done else { return };
            let now = self.world().now_ms();
            let state = &mut *self.world().state();
            for (key, kept) in &kept {
                state.truth.policy(now, key, kept.as_ref());
                state.trace.note(now, None, &format!("p{} sets {key} to {kept:?} (policy {version})", self.process.number));
            }
        })
        .await
    }

    async fn settings_at(&self, tenant: TenantKey, version: i64) -> Result<Option<BTreeMap<String, Value>>> {
        self.pass("settings_at", self.store.settings_at(tenant, version)).await
    }

    async fn create_token(&self, tenant: TenantKey, token: NewToken, once: Option<Once>) -> Result<Token> {
        self.pass("create_token", self.store.create_token(tenant, token, once)).await
    }

    async fn find_token(&self, hash: [u8; 32]) -> Result<Option<Token>> {
        self.pass("find_token", self.store.find_token(hash)).await
    }

    async fn tokens(&self, tenant: TenantKey, after: Option<Uuid>, limit: u32) -> Result<Vec<Token>> {
        self.pass("tokens", self.store.tokens(tenant, after, limit)).await
    }

    async fn revoke_token(&self, tenant: TenantKey, id: Uuid) -> Result<()> {
        self.pass("revoke_token", self.store.revoke_token(tenant, id)).await
    }

    async fn answered(&self, tenant: TenantKey, token: Uuid, key: &str) -> Result<Option<Answer>> {
        self.pass("answered", self.store.answered(tenant, token, key)).await
    }

    async fn raise_alarm(&self, tenant: TenantKey, code: &str, detail: &str) -> Result<bool> {
        self.pass("raise_alarm", self.store.raise_alarm(tenant, code, detail)).await
    }

    async fn clear_alarm(&self, tenant: TenantKey, code: &str) -> Result<bool> {
        self.pass("clear_alarm", self.store.clear_alarm(tenant, code)).await
    }

    async fn alarms(&self, tenant: TenantKey, limit: u32) -> Result<Vec<Alarm>> {
        self.pass("alarms", self.store.alarms(tenant, limit)).await
    }

    async fn size(&self) -> Result<u64> {
        Ok(0)
    }

    async fn backup(&self, to: PathBuf) -> Result<()> {
        self.pass("backup", self.store.backup(to)).await
    }
}

#[async_trait]
impl Objects for Seam {
    async fn objects(&self, tenant: TenantKey, kind: ObjectKind, after: Option<Uuid>, limit: u32) -> Result<Vec<Object>> {
        self.pass("objects", self.store.objects(tenant, kind, after, limit)).await
    }

    async fn object(&self, tenant: TenantKey, kind: ObjectKind, id: Uuid) -> Result<Option<Object>> {
        self.pass("object", self.store.object(tenant, kind, id)).await
    }

    async fn object_named(&self, tenant: TenantKey, kind: ObjectKind, name: &str) -> Result<Option<Object>> {
        self.pass("object_named", self.store.object_named(tenant, kind, name)).await
    }

    async fn create_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, once: Option<Once>) -> Result<Object> {
        self.pass("create_object", self.store.create_object(tenant, kind, object, once)).await
    }

    async fn change_object(&self, tenant: TenantKey, kind: ObjectKind, object: NewObject, expected: Option<i64>) -> Result<Object> {
        self.pass("change_object", self.store.change_object(tenant, kind, object, expected)).await
    }

    async fn delete_object(&self, tenant: TenantKey, kind: ObjectKind, id: Uuid, expected: Option<i64>) -> Result<()> {
        self.pass("delete_object", self.store.delete_object(tenant, kind, id, expected)).await
    }

    async fn objects_linked(&self, tenant: TenantKey, kind: ObjectKind, target: Uuid, limit: u32) -> Result<Vec<Object>> {
        self.pass("objects_linked", self.store.objects_linked(tenant, kind, target, limit)).await
    }

    async fn object_keyed(&self, tenant: TenantKey, kind: ObjectKind, key: &str) -> Result<Option<Object>> {
        self.pass("object_keyed", self.store.object_keyed(tenant, kind, key)).await
    }

    async fn objects_left(&self, tenant: TenantKey, kind: ObjectKind, after: &str, most: u32) -> Result<(Vec<Object>, Option<String>)> {
        self.pass("objects_left", self.store.objects_left(tenant, kind, after, most)).await
    }

    async fn objects_due(&self, tenant: TenantKey, kind: ObjectKind, until: Timestamp, limit: u32) -> Result<Vec<Object>> {
        self.pass("objects_due", self.store.objects_due(tenant, kind, until, limit)).await
    }

    async fn next_due(&self, tenant: TenantKey, kind: ObjectKind) -> Result<Option<Timestamp>> {
        self.pass("next_due", self.store.next_due(tenant, kind)).await
    }

    async fn file(&self, tenant: TenantKey, id: Uuid) -> Result<Option<Vec<u8>>> {
        self.pass("file", self.store.file(tenant, id)).await
    }

    async fn change(&self, tenant: TenantKey, change: Change) -> Result<Vec<Accepted>> {
        self.change_and_accept(tenant, change).await
    }
}

#[async_trait]
impl Audit for Seam {
    fn told(&self, tenant: TenantKey, act: Act) -> Shared {
        Arc::new(Seam { process: self.process.clone(), store: self.store.told(tenant, act) })
    }

    async fn note(&self, tenant: TenantKey, act: Act) -> Result<()> {
        self.pass("note", self.store.note(tenant, act)).await
    }

    async fn entries(&self, tenant: TenantKey, from: i64, limit: u32) -> Result<Vec<Entry>> {
        self.pass("entries", self.store.entries(tenant, from, limit)).await
    }

    async fn entries_about(&self, tenant: TenantKey, person: PersonKey, from: i64, limit: u32) -> Result<Vec<Entry>> {
        self.pass("entries_about", self.store.entries_about(tenant, person, from, limit)).await
    }

    async fn head(&self, tenant: TenantKey) -> Result<Head> {
        self.pass("head", self.store.head(tenant)).await
    }

    async fn alias(&self, tenant: TenantKey, person: PersonKey) -> Result<Option<String>> {
        self.pass("alias", self.store.alias(tenant, person)).await
    }

    async fn groups_of(&self, tenant: TenantKey, person: PersonKey) -> Result<Vec<GroupKey>> {
        self.pass("groups_of", self.store.groups_of(tenant, person)).await
    }

    async fn erase_person(&self, tenant: TenantKey, person: PersonKey) -> Result<Erased> {
        self.pass("erase_person", self.store.erase_person(tenant, person)).await
    }

    async fn sunk(&self, tenant: TenantKey, sink: &str) -> Result<i64> {
        self.pass("sunk", self.store.sunk(tenant, sink)).await
    }

    async fn sink_to(&self, tenant: TenantKey, sink: &str, sequence: i64) -> Result<()> {
        self.pass("sink_to", self.store.sink_to(tenant, sink, sequence)).await
    }
}

#[async_trait]
impl Watch for Seam {
    async fn watch(&self, tenant: TenantKey) -> Result<Watched> {
        self.pass("watch", self.store.watch(tenant)).await
    }
}

#[async_trait]
impl ImportSource for Seam {
    async fn import(&self, tenant: TenantKey, import: Import) -> Result<ImportReport> {
        self.pass("import", self.store.import(tenant, import)).await
    }

    async fn export(&self, tenant: TenantKey, folder: PathBuf) -> Result<Vec<PathBuf>> {
        self.pass("export", self.store.export(tenant, folder)).await
    }
}
