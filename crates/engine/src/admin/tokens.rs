//! Tokens of administrators and programs. The secret is shown once, when it is made; only its SHA-256 is kept.

use super::acts::Deed;
use super::fields::{Faults, Field};
use super::groups::PageQuery;
use super::users::conflict;
use super::{pages, repeat};
use crate::addressing::span;
use crate::keys::{secret, sha256};
use crate::notifications::{NameView, Page};
use crate::{Engine, Repeat};
use model::directory::{MemberKind, check_name};
use model::roles::{Actor, Grant, Permission, Permissions, Role, RoleId, Scope};
use model::{GroupKey, PersonKey, Refusal, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use store::{By, NewToken, StoreError, Token, TokenUse, Whom};
use uuid::Uuid;

/// What a token is to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[allow(missing_docs)]
pub struct TokenDraft {
    pub name: Field<String>,
    /// A built-in role's word, or the id or name of one's own; left out of a person's token.
    pub role: Field<String>,
    /// The person to whom the token belongs (id, external id or UPN): it may what the person's role assignments say.
    pub user: Field<String>,
    /// Left out: the whole organization.
    pub scope: Field<ScopeDraft>,
    /// A span such as `90d`; left out: it does not end by itself.
    pub expires_in: Field<String>,
}

/// Where a token may act.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScopeDraft {
    /// Ids, external ids or unique names.
    pub groups: Vec<String>,
}

/// Where a token may act; without it, everywhere.
#[derive(Clone, Debug, Serialize)]
pub struct ScopeView {
    /// The groups; what is nested in them is included.
    pub groups: Vec<NameView>,
}

/// A token that was just made.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct NewTokenView {
    pub id: Uuid,
    pub name: String,
    /// A built-in role's word or the name of one's own; null for a person's token.
    pub role: Option<String>,
    pub scope: Option<ScopeView>,
    /// For a person's token: the person.
    pub user: Option<NameView>,
    /// The secret, shown this once; left out of a repeated answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    pub expires_at: Option<Timestamp>,
}

/// A token, without its secret.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct TokenView {
    pub id: Uuid,
    pub name: String,
    /// A built-in role's word or the name of one's own; null for a person's token.
    pub role: Option<String>,
    pub scope: Option<ScopeView>,
    /// For a person's token: the person.
    pub user: Option<NameView>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Permissions, and where they hold.
#[derive(Clone, Debug, Serialize)]
#[allow(missing_docs)]
pub struct GrantView {
    pub permissions: Vec<&'static str>,
    /// `null`: the whole organization.
    pub scope: Option<ScopeView>,
}

/// Who the caller is.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MeView {
    pub name: String,
    /// The built-in role, when it is exactly one; `null` for a device.
    pub role: Option<Role>,
    /// Everything that the caller may do, somewhere.
    pub permissions: Vec<&'static str>,
    /// Where, when it is one place.
    pub scope: Option<ScopeView>,
    /// What may be done where; each permission holds in the scopes of the grants that name it.
    pub grants: Vec<GrantView>,
    /// For a device's token: the device.
    pub device_id: Option<Uuid>,
    /// For a device's or a person's token: the person.
    pub user_id: Option<Uuid>,
}

const LIST: &str = "tokens";
/// Longest life that may be asked for; left out, a token does not end by itself.
const LIFE_MOST: Duration = Duration::from_secs(3_650 * 24 * 3_600);
/// Most groups in a scope.
const SCOPE_MOST: usize = 100;

fn wrong(error: StoreError) -> Refusal {
    crate::refusal("token", error)
}

impl Engine {
    /// Makes the owner's first token and answers its secret. For the first start, which nobody can authorize.
    ///
    /// # Errors
    /// What the store says.
    pub async fn create_owner_token(&self, name: &str) -> crate::Result<String> {
        let secret = secret();
        let token = NewToken {
            id: Uuid::now_v7(),
            hash: sha256(secret.as_bytes()),
            name: name.to_owned(),
            opens: TokenUse::Admin { role: RoleId::BuiltIn(Role::Owner), scope: Scope::Everything },
            expires_at: None,
        };
        let deed = Deed::to("token.create", "token", token.id).with("role", Role::Owner).with("name", name);
        self.told_by(By::Server, deed).create_token(self.tenant_key(), token, None).await.map_err(wrong)?;
        Ok(secret)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// `forbidden`; every wrong field.
    pub async fn create_token(&self, actor: &Actor, draft: TokenDraft, repeat: Option<Repeat>) -> crate::Result<NewTokenView> {
        self.allow_everywhere(actor, Permission::TokensManage)?;
        let mut faults = Faults::default();
        let mut name = String::new();
        faults.text("name", draft.name, &mut name, check_name);
        let expires_at = self.token_end(draft.expires_in, &mut faults);
        let opens = match draft.user.given() {
            Some(user) => self.for_person(&user, &draft.role, &draft.scope, &mut faults).await?,
            None => self.for_role(draft.role, draft.scope, &mut faults).await?,
        };
        faults.done()?;
        self.may_give(actor, self.permissions_behind(&opens).await?)?;
        let (secret, id) = (secret(), Uuid::now_v7());
        let (role, scope, user) = self.use_view(&opens).await?;
        let view = NewTokenView { id, name: name.clone(), role, scope, user, token: None, expires_at };
        let once = repeat::created(actor, repeat.as_ref(), &view, &id.to_string());
        // The name of a person's token may be theirs, and is not told.
        let (shown, whom): (&[&str], _) = match &opens {
            TokenUse::Person(key) => (&["expiresAt"], Some(Whom::Person(*key))),
            _ => (&["name", "role", "scope", "expiresAt"], None),
        };
        let deed = Deed::to("token.create", "token", id).about(whom).changing(None::<&NewTokenView>, Some(&view), shown);
        let token = NewToken { id, hash: sha256(secret.as_bytes()), name, opens, expires_at };
        self.told(actor, deed).await?.create_token(self.tenant_key(), token, once).await.map_err(wrong)?;
        Ok(NewTokenView { token: Some(secret), ..view })
    }

    async fn for_role(&self, role: Field<String>, scope: Field<ScopeDraft>, faults: &mut Faults) -> crate::Result<TokenUse> {
        let mut held = RoleId::BuiltIn(Role::Reader);
        match role {
            Field::Given(name) => match self.role_named(&name).await? {
                Some(role) => held = role,
                None => faults.add("role", super::roles::no_such_role(&name)),
            },
            Field::Absent | Field::Null => {
                let words: Vec<&str> = Role::ALL.iter().map(|role| role.word()).collect();
                faults.add("role", format!("is missing; give one of {}, a role of your own, or a user", words.join(", ")));
            }
        }
        Ok(TokenUse::Admin { role: held, scope: self.scope_named(scope, faults).await? })
    }

    async fn for_person(
        &self,
        user: &str,
        role: &Field<String>,
        scope: &Field<ScopeDraft>,
        faults: &mut Faults,
    ) -> crate::Result<TokenUse> {
        if matches!(role, Field::Given(_)) || matches!(scope, Field::Given(_)) {
            faults.add("user", "does not go with role or scope: the person's role assignments say what their token may do, and where");
        }
        match self.person_named(&super::scope::Sight::Everything, user).await? {
            Ok(found) => Ok(TokenUse::Person(found.key)),
            Err(unresolved) => {
                unresolved.fault(faults, "user", MemberKind::User, user);
                Ok(TokenUse::Person(PersonKey::default()))
            }
        }
    }

    /// What a token may do now.
    async fn permissions_behind(&self, opens: &TokenUse) -> crate::Result<Permissions> {
        match opens {
            TokenUse::Admin { role, .. } => self.permissions_of(*role).await,
            TokenUse::Person(person) => {
                let (grants, _) = self.grants_of(*person, self.now()).await?;
                Ok(grants.iter().fold(Permissions::default(), |all, grant| all.and(grant.permissions)))
            }
            TokenUse::Device(_) => Ok(Permissions::default()),
        }
    }

    /// The role, scope and person of a token, as they are shown.
    async fn use_view(&self, opens: &TokenUse) -> crate::Result<(Option<String>, Option<ScopeView>, Option<NameView>)> {
        match opens {
            TokenUse::Admin { role, scope } => Ok((Some(self.role_label(*role).await?), self.scope_view(scope).await?, None)),
            TokenUse::Person(key) => {
                let person = self.inner.store.person(self.tenant_key(), *key).await.map_err(wrong)?;
                let gone = || NameView { id: None, name: "(deleted person)".to_owned() };
                Ok((None, None, Some(person.map_or_else(gone, |p| NameView { id: Some(p.id), name: p.fields.upn }))))
            }
            TokenUse::Device(_) => Ok((None, None, None)),
        }
    }

    pub(super) fn token_end(&self, field: Field<String>, faults: &mut Faults) -> Option<Timestamp> {
        let text = field.given()?;
        match span(&text) {
            Some(life) if !life.is_zero() && life <= LIFE_MOST => Some(self.now().plus(life)),
            Some(_) => {
                faults.add("expiresIn", "takes from 1s to 3650d; leave it out for what does not end by itself");
                None
            }
            None => {
                faults.add("expiresIn", format!("{text:?} is not a span of time such as 12h or 90d"));
                None
            }
        }
    }

    pub(super) async fn scope_named(&self, field: Field<ScopeDraft>, faults: &mut Faults) -> crate::Result<Scope> {
        let Some(draft) = field.given() else { return Ok(Scope::Everything) };
        if draft.groups.is_empty() || draft.groups.len() > SCOPE_MOST {
            faults.add("scope.groups", format!("takes 1 to {SCOPE_MOST} groups; leave scope out for the whole organization"));
            return Ok(Scope::Everything);
        }
        let mut groups: Vec<GroupKey> = Vec::new();
        for (place, name) in draft.groups.iter().enumerate() {
            match self.group_named(&super::scope::Sight::Everything, name).await? {
                Ok(named) if groups.contains(&named.key) => {}
                Ok(named) => groups.push(named.key),
                Err(wrong) => wrong.fault(faults, format!("scope.groups[{place}]"), MemberKind::Group, name),
            }
        }
        Ok(Scope::Groups(groups))
    }

    pub(super) async fn scope_view(&self, scope: &Scope) -> crate::Result<Option<ScopeView>> {
        let Scope::Groups(keys) = scope else { return Ok(None) };
        let mut groups = Vec::with_capacity(keys.len());
        for key in keys {
            // A group that was deleted since leaves its place in the scope empty.
            let group = self.inner.store.group(self.tenant_key(), *key).await.map_err(wrong)?;
            groups.extend(group.map(|group| NameView { id: Some(group.id), name: group.fields.name }));
        }
        Ok(Some(ScopeView { groups }))
    }

    /// Tokens of administrators, newest first, revoked and expired ones too.
    ///
    /// # Errors
    /// `forbidden`; a wrong cursor or limit.
    pub async fn tokens(&self, actor: &Actor, query: PageQuery) -> crate::Result<Page<TokenView>> {
        self.allow_everywhere(actor, Permission::TokensManage)?;
        let limit = pages::limit(query.limit)?;
        let after = pages::place(LIST, query.cursor.as_deref(), |s| s.parse().ok())?;
        let rows = self.inner.store.tokens(self.tenant_key(), after, limit + 1).await.map_err(wrong)?;
        let page = pages::page(LIST, limit, rows, |t| t.id.to_string(), |t| t);
        let mut items = Vec::with_capacity(page.items.len());
        for Token { id, name, opens, created_at, expires_at, revoked_at, .. } in page.items {
            let (role, scope, user) = self.use_view(&opens).await?;
            items.push(TokenView { id, name, role, scope, user, created_at, expires_at, revoked_at });
        }
        Ok(Page { items, next_cursor: page.next_cursor })
    }

    /// Ends a token now. The last one that may manage tokens everywhere stays: nobody could make another.
    ///
    /// # Errors
    /// `forbidden`, `not_found`, `last_owner`.
    pub async fn revoke_token(&self, actor: &Actor, id: Uuid) -> crate::Result<()> {
        self.allow_everywhere(actor, Permission::TokensManage)?;
        if self.is_last_owner(id).await? {
            return Err(conflict("last_owner", "this is the last token of an owner; make another one before you revoke it"));
        }
        let store = self.told(actor, Deed::to("token.revoke", "token", id)).await?;
        store.revoke_token(self.tenant_key(), id).await.map_err(wrong)?;
        self.inner.doorkeeper.forget_token(id);
        Ok(())
    }

    async fn is_last_owner(&self, id: Uuid) -> crate::Result<bool> {
        let now = self.now();
        // A token that ends within a day does not keep anybody in.
        let lasting = |t: &Token| t.revoked_at.is_none() && t.expires_at.is_none_or(|end| end > now.plus(Duration::from_secs(86_400)));
        let owner = |t: &Token| matches!(&t.opens, TokenUse::Admin { role: RoleId::BuiltIn(Role::Owner), scope: Scope::Everything });
        let (mut is_owner, mut after) = (false, None);
        loop {
            let rows = self.inner.store.tokens(self.tenant_key(), after, Engine::PAGE_MOST).await.map_err(wrong)?;
            for token in rows.iter().filter(|t| owner(t) && lasting(t)) {
                if token.id != id {
                    return Ok(false);
                }
                is_owner = true;
            }
            match rows.last() {
                Some(last) if rows.len() == Engine::PAGE_MOST as usize => after = Some(last.id),
                _ => return Ok(is_owner),
            }
        }
    }

    /// Who the caller is.
    ///
    /// # Errors
    /// What the store says.
    pub async fn me(&self, actor: &Actor) -> crate::Result<MeView> {
        match actor {
            Actor::Admin { name, person, grants, .. } => {
                let mut shown = Vec::with_capacity(grants.len());
                for Grant { permissions, scope } in grants {
                    shown.push(GrantView { permissions: permissions.names(), scope: self.scope_view(scope).await? });
                }
                let single = grants.first().filter(|_| grants.len() == 1);
                Ok(MeView {
                    name: name.clone(),
                    role: single.and_then(|one| Role::ALL.iter().copied().find(|role| role.permissions() == one.permissions)),
                    permissions: actor.permissions().names(),
                    scope: shown.first().filter(|_| single.is_some()).and_then(|one| one.scope.clone()),
                    grants: shown,
                    device_id: None,
                    user_id: person.map(|(_, id)| id),
                })
            }
            Actor::Device { device, .. } => {
                let device = self.device_row(*device).await?;
                Ok(MeView {
                    name: device.fields.name,
                    role: None,
                    permissions: Vec::new(),
                    scope: None,
                    grants: Vec::new(),
                    device_id: Some(device.id),
                    user_id: device.owner.map(|(id, _)| id),
                })
            }
        }
    }
}
