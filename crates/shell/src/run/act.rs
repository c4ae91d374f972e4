//! Cmdlets that reach the backend: objects are shown, acts are done, settings are read and changed.

use super::{Active, Running, Stop, fields, identity_of, missing};
use crate::backend::{Answer, Doing, Done};
use crate::catalogue::{Does, For};
use crate::compare::worth;
use crate::grammar::Form;
use crate::item::{Item, Object, same, text};
use crate::plan::{Given, Planned};
use crate::wrong::{Mishap, Wrong};
use model::Locale;
use model::cmdlets::SettingParameter;
use model::objects::{ActDeclaration, ObjectDeclaration, Onto};
use serde_json::Value;
use std::collections::BTreeMap;

/// The object to work on.
struct Target {
    /// What the backend is told.
    identity: String,
    /// What people are told.
    label: String,
}

impl Target {
    fn of(item: &Item, call: &Planned<'_>) -> Result<Target, Wrong> {
        let identity = identity_of(item, call.cmdlet)?;
        let label = match item {
            Item::Object(object) => Some(object.label()).filter(|label| !label.is_empty()),
            Item::Plain(_) => None,
        };
        Ok(Target { label: label.unwrap_or_else(|| identity.clone()), identity })
    }
}

/// The next object to work on: the one from the pipeline, or the one that is named. Nothing ends the stage.
async fn next_target(
    running: &mut Running<'_>,
    call: &Planned<'_>,
    stage: &mut Active<'_>,
    before: &mut [Active<'_>],
) -> Result<Option<Result<Target, Wrong>>, Stop> {
    if call.piped {
        let item = running.next(before).await?;
        stage.ended = item.is_none();
        return Ok(item.map(|item| Target::of(&item, call)));
    }
    stage.ended = true;
    let named = call.cmdlet.position(For::Identity).and_then(|at| call.given.iter().find(|(other, _)| *other == at));
    let Some((_, given)) = named else { return Ok(None) };
    let found = match (given, stage.here) {
        (Given::Ready(value), _) => Target::of(&Item::Plain(value.clone()), call),
        (Given::Later(expr), Some(item)) => match &expr.form {
            Form::Item(path) if path.is_empty() => Target::of(item, call),
            _ => match missing(expr, Some(item)).map_or_else(|| worth(expr, Some(item)).map_err(Wrong::from), |wrong| Err(wrong.into())) {
                Ok(value) => Target::of(&Item::Plain(value), call),
                Err(wrong) => Err(wrong),
            },
        },
        _ => Err(Mishap::EmptyIdentity.into()),
    };
    Ok(Some(found))
}

/// Objects of a kind: the one that is named, those that come through the pipeline, or all, a page at a time.
pub(super) async fn show(
    running: &mut Running<'_>,
    call: &Planned<'_>,
    object: &'static ObjectDeclaration,
    stage: &mut Active<'_>,
    before: &mut [Active<'_>],
) -> Result<(), Stop> {
    let identity = call.cmdlet.position(For::Identity);
    let named = call.piped || call.given.iter().any(|(at, _)| Some(*at) == identity);
    if !named {
        return list(running, call, object, stage).await;
    }
    match next_target(running, call, stage, before).await? {
        Some(Ok(target)) => match running.backend.find(object.kind, &target.identity).await {
            Ok(found) => stage.ready.push_back(Item::Object(Object::of(object, found))),
            Err(refused) => running.refused(call.cmdlet, &target.label, &refused),
        },
        Some(Err(wrong)) => running.report(call.cmdlet.name, "", wrong),
        None => {}
    }
    Ok(())
}

async fn list(
    running: &mut Running<'_>,
    call: &Planned<'_>,
    object: &'static ObjectDeclaration,
    stage: &mut Active<'_>,
) -> Result<(), Stop> {
    let by = match fields(call, stage.here) {
        Ok(by) => by,
        Err(wrong) => {
            running.report(call.cmdlet.name, "", wrong);
            return Err(Stop);
        }
    };
    let most =
        call.cmdlet.position(For::ResultSize).and_then(|at| call.value(at, stage.here)).and_then(Result::ok).and_then(|n| n.as_u64());
    if most.is_some_and(|most| stage.count >= most) {
        stage.ended = true;
        return Ok(());
    }
    match running.backend.list(object.kind, &by, stage.after.as_deref()).await {
        Ok(page) => {
            let room = most.map_or(usize::MAX, |most| usize::try_from(most - stage.count).unwrap_or(usize::MAX));
            let objects = page.objects.into_iter().take(room).map(|fields| Item::Object(Object::of(object, fields)));
            stage.ready.extend(objects);
            stage.count += stage.ready.len() as u64;
            stage.ended = page.next.is_none();
            stage.after = page.next;
            Ok(())
        }
        Err(refused) => {
            running.refused(call.cmdlet, "", &refused);
            Err(Stop)
        }
    }
}

/// Acts on the next object.
pub(super) async fn act(
    running: &mut Running<'_>,
    call: &Planned<'_>,
    (object, declared): (&'static ObjectDeclaration, &'static ActDeclaration),
    stage: &mut Active<'_>,
    before: &mut [Active<'_>],
) -> Result<(), Stop> {
    let target = if call.cmdlet.position(For::Identity).is_some() {
        match next_target(running, call, stage, before).await? {
            None => return Ok(()),
            Some(Ok(target)) => Some(target),
            Some(Err(wrong)) => {
                running.report(call.cmdlet.name, "", wrong);
                return Ok(());
            }
        }
    } else {
        stage.ended = true;
        None
    };
    let given = match fields(call, stage.here) {
        Ok(given) => given,
        Err(wrong) => {
            running.report(call.cmdlet.name, target.as_ref().map_or("", |target| &target.label), wrong);
            return Ok(());
        }
    };
    let about = target.as_ref().map(|target| target.label.clone()).or_else(|| given.get("name").map(text)).unwrap_or_default();
    let identity = target.map(|target| target.identity);
    let doing = Doing { kind: object.kind, act: declared.name, identity, given, version: None };
    let Some(doing) = with_lists(running, call, doing, &about).await else { return Ok(()) };
    if flag(call, For::WhatIf, stage.here).unwrap_or(false) {
        return what_if(running, call, &doing, &about).await;
    }
    if !agreed(running, call, stage.here, &about)? {
        return Ok(());
    }
    match running.backend.act(&doing).await {
        Ok(done) => {
            no_effect(running.locale, call, &doing, &done).into_iter().for_each(|remark| running.once(remark));
            done.remarks.iter().for_each(|remark| running.remark(call.cmdlet, remark));
            stage.ready.extend(given_back(call, (object, declared), done, &about));
        }
        Err(refused) => running.refused(call.cmdlet, &about, &refused),
    }
    Ok(())
}

/// What was given and has no effect here, unless the backend says so itself.
fn no_effect(locale: Locale, call: &Planned<'_>, doing: &Doing, done: &Done) -> Vec<String> {
    let said = |name: &str| done.remarks.iter().any(|remark| remark.to_lowercase().contains(&name.to_lowercase()));
    let idle = call.cmdlet.parameters.iter().filter(|parameter| match parameter.target {
        For::Field(name) => !parameter.works && doing.given.contains_key(name) && !said(name),
        For::Identity | For::Confirm | For::WhatIf | For::Force | For::ResultSize | For::Setting(_) | For::Own(_) => false,
    });
    let say = |parameter: &crate::catalogue::Parameter| match locale {
        Locale::En => format!("-{} has no effect here", parameter.name),
        Locale::Fr => format!("-{} n’a pas d’effet ici", parameter.name),
    };
    idle.map(say).collect()
}

fn kept_without_effect(locale: Locale, parameter: &crate::catalogue::Parameter) -> String {
    match locale {
        Locale::En => format!("-{} is kept and has no effect here", parameter.name),
        Locale::Fr => format!("-{} est conservé et n’a pas d’effet ici", parameter.name),
    }
}

/// What was given to a cmdlet for settings and has no effect here.
fn idle_settings(running: &mut Running<'_>, call: &Planned<'_>) {
    for (at, _) in &call.given {
        let parameter = &call.cmdlet.parameters[*at];
        let sentence = match (parameter.works, parameter.target, running.locale) {
            (true, _, _) => continue,
            (false, For::Setting(_), locale) => kept_without_effect(locale, parameter),
            (false, _, Locale::En) => format!("-{} has no effect here", parameter.name),
            (false, _, Locale::Fr) => format!("-{} n’a pas d’effet ici", parameter.name),
        };
        running.once(sentence);
    }
}

/// The object, for those cmdlets that give one, and always what is revealed this once.
fn given_back(
    call: &Planned<'_>,
    (object, declared): (&'static ObjectDeclaration, &'static ActDeclaration),
    done: Done,
    about: &str,
) -> Option<Item> {
    let gives = declared.onto == Onto::New || ["New-", "Enable-"].iter().any(|verb| call.cmdlet.name.starts_with(verb));
    let revealed = done.revealed.into_iter().map(|(name, value)| (crate::item::capital(&name), value));
    match done.object {
        Some(fields) if gives => {
            let mut shown = Object::of(object, fields);
            // What is revealed stands where a mask stands otherwise.
            for (name, value) in revealed {
                match shown.properties.iter_mut().find(|(known, _)| same(known, &name)) {
                    Some((_, masked)) => *masked = value,
                    None => shown.properties.push((name, value)),
                }
            }
            Some(Item::Object(shown))
        }
        _ if revealed.len() > 0 => {
            let identity = ("Identity".to_owned(), about.into());
            Some(Item::Object(Object::from_pairs(std::iter::once(identity).chain(revealed))))
        }
        _ => None,
    }
}

fn flag(call: &Planned<'_>, target: For, here: Option<&Item>) -> Option<bool> {
    call.value(call.cmdlet.position(target)?, here)?.ok()?.as_bool()
}

/// Whether it may be done: nobody has to be asked, or whoever was asked agreed.
fn agreed(running: &mut Running<'_>, call: &Planned<'_>, here: Option<&Item>, about: &str) -> Result<bool, Stop> {
    let forced = flag(call, For::Force, here).unwrap_or(false);
    let asks = flag(call, For::Confirm, here).unwrap_or(call.cmdlet.asks && !forced);
    if !asks {
        return Ok(true);
    }
    if let Some(standing) = running.standing {
        return if standing { Ok(true) } else { Err(Stop) };
    }
    let help = crate::catalogue::said(call.cmdlet.help, running.locale);
    let what = if about.is_empty() { call.cmdlet.name.to_owned() } else { format!("{} {about:?}", call.cmdlet.name) };
    let question = match running.locale {
        Locale::En => format!("{what}: {help} Do it?"),
        Locale::Fr => format!("{what} : {help} Le faire ?"),
    };
    match running.terminal.ask(&question) {
        Answer::Yes => Ok(true),
        Answer::YesToAll => {
            running.standing = Some(true);
            Ok(true)
        }
        Answer::No => Ok(false),
        Answer::NoToAll => {
            running.standing = Some(false);
            Err(Stop)
        }
        // Settings at their defaults are nothing that is lost, and the documents have no -Confirm there.
        Answer::Nobody if matches!(call.cmdlet.does, Does::ResetSettings(_)) && flag(call, For::Confirm, here).is_none() => Ok(true),
        Answer::Nobody => {
            running.standing = Some(false);
            running.report(call.cmdlet.name, "", Mishap::NobodyToAsk);
            Err(Stop)
        }
    }
}

/// The sentence that every `-WhatIf` begins with, and then what the backend says.
async fn what_if(running: &mut Running<'_>, call: &Planned<'_>, doing: &Doing, about: &str) -> Result<(), Stop> {
    match running.backend.preview(doing).await {
        Ok(sentences) => {
            let given: Vec<String> =
                doing.given.iter().map(|(name, value)| format!("{} = {}", crate::item::capital(name), text(value))).collect();
            say_what_if(running, call.cmdlet.name, about, &given);
            for sentence in sentences {
                let sentence = super::spoken::sentence(&sentence, call.cmdlet, running.catalogue);
                say(running, &format!("  {sentence}"));
            }
        }
        Err(refused) => running.refused(call.cmdlet, about, &refused),
    }
    Ok(())
}

fn say_what_if(running: &mut Running<'_>, cmdlet: &str, about: &str, given: &[String]) {
    let about = if about.is_empty() { String::new() } else { format!(" {about:?}") };
    let given = if given.is_empty() { String::new() } else { format!(" ({})", given.join(", ")) };
    let sentence = match running.locale {
        Locale::En => format!("What if: {cmdlet}{about}{given}"),
        Locale::Fr => format!("Si on le faisait : {cmdlet}{about}{given}"),
    };
    say(running, &sentence);
}

/// On the output for people; beside it for programs, who read objects there.
fn say(running: &mut Running<'_>, sentence: &str) {
    if running.json { running.terminal.warn(sentence) } else { running.terminal.out(&format!("{sentence}\n")) }
}

/// Makes lists of `@{Add=…; Remove=…}`, from what the object has now; the act then goes by that version.
async fn with_lists(running: &mut Running<'_>, call: &Planned<'_>, mut doing: Doing, about: &str) -> Option<Doing> {
    let changes: Vec<String> = doing.given.iter().filter(|(_, value)| value.is_object()).map(|(name, _)| name.clone()).collect();
    let Some(identity) = doing.identity.clone().filter(|_| !changes.is_empty()) else { return Some(doing) };
    let before = match running.backend.find(doing.kind, &identity).await {
        Ok(before) => before,
        Err(refused) => {
            running.refused(call.cmdlet, about, &refused);
            return None;
        }
    };
    doing.version = before.get("version").and_then(Value::as_i64);
    for name in changes {
        let mut list = before.get(&name).and_then(Value::as_array).cloned().unwrap_or_default();
        let change = doing.given.remove(&name).unwrap_or_default();
        let part = |key: &str| change.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        for gone in part("Remove") {
            let count = list.len();
            list.retain(|value| !same(&text(value), &text(&gone)));
            if list.len() == count {
                let gone = text(&gone);
                running.once(match running.locale {
                    Locale::En => format!("{about}: {gone:?} was not among {}", crate::item::capital(&name)),
                    Locale::Fr => format!("{about} : {gone:?} n’était pas dans {}", crate::item::capital(&name)),
                });
            }
        }
        for new in part("Add") {
            if !list.iter().any(|value| same(&text(value), &text(&new))) {
                list.push(new);
            }
        }
        doing.given.insert(name, list.into());
    }
    Some(doing)
}

/// Reads settings, changes them or returns them to their defaults.
pub(super) async fn settings(running: &mut Running<'_>, call: &Planned<'_>, stage: &mut Active<'_>) -> Result<(), Stop> {
    let cmdlet = call.cmdlet;
    let named = cmdlet.position(For::Identity).and_then(|at| call.value(at, stage.here));
    if let Some(identity) = named.and_then(Result::ok).map(|value| text(&value)).filter(|name| !same(name, "Global")) {
        running.report(cmdlet.name, "", Mishap::OnlyGlobal(identity));
        return Ok(());
    }
    idle_settings(running, call);
    let (list, mut changes) = match cmdlet.does {
        Does::ShowSettings(list) => (list, None),
        Does::ChangeSettings(list) => (list, Some(BTreeMap::new())),
        Does::ResetSettings(list) => (list, Some(list.iter().map(|one| (one.key, None)).collect())),
        Does::Show(_) | Does::Act(..) | Does::BuiltIn(_) => return Ok(()),
    };
    let keys: Vec<&'static str> = list.iter().map(|one| one.key).collect();
    let Some(changes) = changes.as_mut() else {
        match running.backend.settings(&keys).await {
            Ok(values) => {
                let value = |key: &str| values.get(key).cloned().unwrap_or_default();
                let properties = list.iter().map(|one| (one.name.to_owned(), value(one.key)));
                let identity = ("Identity".to_owned(), "Global".into());
                stage.ready.push_back(Item::Object(Object::from_pairs(std::iter::once(identity).chain(properties))));
            }
            Err(refused) => running.refused(cmdlet, "", &refused),
        }
        return Ok(());
    };
    for (at, parameter) in cmdlet.parameters.iter().enumerate() {
        match (parameter.target, call.value(at, stage.here)) {
            (For::Setting(key), Some(Ok(value))) => {
                changes.insert(key, Some(value));
            }
            (For::Setting(_), Some(Err(wrong))) => {
                running.report(cmdlet.name, "", wrong);
                return Ok(());
            }
            _ => {}
        }
    }
    change(running, call, (list, changes), stage.here).await
}

async fn change(
    running: &mut Running<'_>,
    call: &Planned<'_>,
    (list, changes): (&'static [SettingParameter], &BTreeMap<&'static str, Option<Value>>),
    here: Option<&Item>,
) -> Result<(), Stop> {
    if flag(call, For::WhatIf, here).unwrap_or(false) {
        let reset = if running.locale == Locale::Fr { "sa valeur par défaut" } else { "its default" };
        let change = |one: &SettingParameter| {
            let value = changes.get(one.key)?;
            Some(format!("{} = {}", one.name, value.as_ref().map_or_else(|| reset.to_owned(), text)))
        };
        let given: Vec<String> = list.iter().filter_map(change).collect();
        say_what_if(running, call.cmdlet.name, "", &given);
        return Ok(());
    }
    if !agreed(running, call, here, "")? {
        return Ok(());
    }
    match running.backend.set(changes).await {
        Ok(remarks) => remarks.iter().for_each(|remark| running.remark(call.cmdlet, remark)),
        Err(refused) => running.refused(call.cmdlet, "", &refused),
    }
    Ok(())
}
