//! Runs pipelines. Objects are pulled from the right, one at a time, so that `Select-Object -First 5` reads no further than it
//! has to, and a bulk change says what went wrong with one person while it goes on to the next.

mod act;
mod files;
mod shape;
mod spoken;

use crate::backend::{Backend, Refused, Terminal};
use crate::catalogue::{BuiltIn, Catalogue, Cmdlet, Does, For};
use crate::compare::{truth, worth};
use crate::grammar::Expr;
use crate::help::{self, Much};
use crate::item::{Item, Object, text};
use crate::plan::{Given, Plan, Planned, Step};
use crate::wrong::{Mishap, Wrong};
use model::Locale;
use model::objects::Naming;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, VecDeque};
use std::pin::Pin;

pub(crate) use shape::narrowed;

/// Most objects that a stage holds at once, when it has to see all of them before it can go on. A million and some fit into
/// the memory of a small machine.
const HELD_MOST: usize = 2_000_000;

/// The pipeline ends here; what there is to say was said.
#[derive(Debug)]
pub(crate) struct Stop;

/// A stage's answer: the next object, or nothing more.
type Pulled<'r> = Pin<Box<dyn Future<Output = Result<Option<Item>, Stop>> + Send + 'r>>;

/// What a text is run with.
pub(crate) struct Running<'a> {
    pub(crate) catalogue: &'a Catalogue,
    pub(crate) backend: &'a dyn Backend,
    pub(crate) terminal: &'a mut dyn Terminal,
    pub(crate) locale: Locale,
    pub(crate) width: usize,
    pub(crate) json: bool,
    /// Whether anything was not done that should have been.
    pub(crate) failed: bool,
    /// With which number to leave, once `exit` was said.
    pub(crate) left: Option<i32>,
    /// What was answered for all objects of this pipeline.
    pub(crate) standing: Option<bool>,
    /// What was said already in this pipeline and need not be said for each object.
    pub(crate) said: BTreeSet<String>,
}

/// A stage while it runs.
pub(crate) struct Active<'p> {
    step: &'p Step<'p>,
    /// The object that `$_` is, inside a block.
    here: Option<&'p Item>,
    /// What is ready to go on.
    ready: VecDeque<Item>,
    /// Whether there is nothing more.
    ended: bool,
    /// The next page.
    after: Option<String>,
    /// How many came, for stages that count.
    count: u64,
}

impl<'p> Active<'p> {
    pub(crate) fn all(steps: &'p [Step<'p>], here: Option<&'p Item>) -> Vec<Active<'p>> {
        let active = |step| Active { step, here, ready: VecDeque::new(), ended: false, after: None, count: 0 };
        steps.iter().map(active).collect()
    }
}

impl Planned<'_> {
    /// The value of a parameter, for an object.
    fn value(&self, at: usize, item: Option<&Item>) -> Option<Result<Value, Wrong>> {
        let (_, given) = self.given.iter().find(|(other, _)| *other == at)?;
        match given {
            Given::Ready(value) => Some(Ok(value.clone())),
            Given::Later(expr) => {
                if let Some(wrong) = missing(expr, item) {
                    return Some(Err(wrong.into()));
                }
                let value = worth(expr, item).and_then(|worth| self.cmdlet.parameters[at].convert(worth));
                Some(value.map_err(Wrong::from))
            }
            Given::Block(_) | Given::Condition(_) => None,
        }
    }

    /// The value of a built-in cmdlet's own parameter; not given and wrong are the same.
    fn own(&self, name: &'static str, item: Option<&Item>) -> Option<Value> {
        self.value(self.cmdlet.position(For::Own(name))?, item)?.ok()
    }

    fn own_text(&self, name: &'static str, item: Option<&Item>) -> Option<String> {
        self.own(name, item).map(|value| text(&value))
    }

    fn own_count(&self, name: &'static str, item: Option<&Item>) -> Option<u64> {
        self.own(name, item)?.as_u64()
    }

    fn own_flag(&self, name: &'static str, item: Option<&Item>) -> bool {
        self.own(name, item).is_some_and(|value| truth(&value))
    }

    fn own_names(&self, name: &'static str, item: Option<&Item>) -> Vec<String> {
        match self.own(name, item) {
            Some(Value::Array(names)) => names.iter().map(text).collect(),
            Some(Value::Null) | None => Vec::new(),
            Some(one) => vec![text(&one)],
        }
    }

    fn condition(&self) -> Option<&Expr> {
        self.given.iter().find_map(|(_, given)| match given {
            Given::Condition(condition) => Some(condition),
            Given::Ready(_) | Given::Later(_) | Given::Block(_) => None,
        })
    }

    fn body(&self) -> Option<&Plan<'_>> {
        self.given.iter().find_map(|(_, given)| match given {
            Given::Block(block) => Some(block),
            Given::Ready(_) | Given::Later(_) | Given::Condition(_) => None,
        })
    }
}

impl Running<'_> {
    /// Runs a plan; what comes out of its pipelines goes to `into`.
    pub(crate) async fn run(&mut self, plan: &Plan<'_>, into: &mut (dyn Sink + Send)) {
        for steps in &plan.pipelines {
            (self.standing, self.said) = (None, BTreeSet::new());
            let mut stages = Active::all(steps, None);
            while let Ok(Some(item)) = self.next(&mut stages).await {
                into.take(self, item);
            }
            into.end(self);
            if self.left.is_some() || self.terminal.stopped() {
                return;
            }
        }
    }

    /// Says what went wrong, with the name of the cmdlet and, where there is one, of the object.
    pub(crate) fn report(&mut self, cmdlet: &str, about: &str, wrong: impl Into<Wrong>) {
        let sentence = wrong.into().say(self.locale);
        self.error(cmdlet, about, &sentence);
    }

    fn error(&mut self, cmdlet: &str, about: &str, sentence: &str) {
        self.failed = true;
        let about = if about.is_empty() { String::new() } else { format!(" {about}:") };
        let colon = if self.locale == Locale::Fr { " :" } else { ":" };
        self.terminal.error(&format!("{cmdlet}{colon}{about} {sentence}"));
    }

    /// Says what the backend said against it, fields by the names of their parameters.
    fn refused(&mut self, cmdlet: &Cmdlet, about: &str, refused: &Refused) {
        let catalogue = self.catalogue;
        let told = |fault: &model::Fault| {
            let (field, message) = (spoken::field(&fault.field, cmdlet, catalogue), spoken::sentence(&fault.message, cmdlet, catalogue));
            // Another parameter begins the rule: then the one at fault stands apart.
            let colon = if message.starts_with('-') { ":" } else { "" };
            format!("{field}{colon} {message}")
        };
        let mut sentence = match refused.faults.as_slice() {
            [] => spoken::sentence(&refused.detail, cmdlet, catalogue),
            faults => faults.iter().map(told).collect::<Vec<_>>().join("; "),
        };
        if !refused.ids.is_empty() {
            let ids: Vec<String> = refused.ids.iter().map(ToString::to_string).collect();
            sentence.push_str(&format!(" ({})", ids.join(", ")));
        }
        let about = if sentence.contains(about) { "" } else { about };
        self.error(cmdlet.name, about, &sentence);
    }

    /// Says what the backend remarked, fields by the names of their parameters.
    fn remark(&mut self, cmdlet: &Cmdlet, remark: &str) {
        self.once(spoken::sentence(remark, cmdlet, self.catalogue));
    }

    /// Says something beside the output, once for each pipeline.
    fn once(&mut self, sentence: String) {
        if self.said.insert(sentence.clone()) {
            self.terminal.warn(&sentence);
        }
    }

    /// The next object that comes out of these stages.
    pub(crate) fn next<'r>(&'r mut self, stages: &'r mut [Active<'_>]) -> Pulled<'r> {
        Box::pin(async move {
            let Some((stage, before)) = stages.split_last_mut() else { return Ok(None) };
            loop {
                if let Some(item) = stage.ready.pop_front() {
                    return Ok(Some(item));
                }
                if stage.ended {
                    return Ok(None);
                }
                if self.terminal.stopped() {
                    self.failed = true;
                    return Err(Stop);
                }
                match stage.step {
                    Step::Values(value) => {
                        stage.ended = true;
                        stage.ready = self.values(value, stage.here)?;
                    }
                    Step::Call(call) => self.advance(call, stage, before).await?,
                }
            }
        })
    }

    fn values(&mut self, value: &Expr, here: Option<&Item>) -> Result<VecDeque<Item>, Stop> {
        if let (crate::grammar::Form::Item(path), Some(item)) = (&value.form, here)
            && path.is_empty()
        {
            return Ok(VecDeque::from([item.clone()]));
        }
        match worth(value, here) {
            Ok(value) => Ok(plain(value)),
            Err(wrong) => {
                self.report("-match", "", wrong);
                Err(Stop)
            }
        }
    }

    /// One step of a stage: something becomes ready, or it ends.
    async fn advance(&mut self, call: &Planned<'_>, stage: &mut Active<'_>, before: &mut [Active<'_>]) -> Result<(), Stop> {
        match call.cmdlet.does {
            Does::Show(object) => act::show(self, call, object, stage, before).await,
            Does::Act(object, declared) => act::act(self, call, (object, declared), stage, before).await,
            Does::ShowSettings(_) | Does::ChangeSettings(_) | Does::ResetSettings(_) => {
                stage.ended = true;
                act::settings(self, call, stage).await
            }
            Does::BuiltIn(BuiltIn::ImportCsv | BuiltIn::ExportCsv) => files::csv(self, call, stage, before).await,
            Does::BuiltIn(own) => self.built_in(own, call, stage, before).await,
        }
    }

    async fn built_in(&mut self, own: BuiltIn, call: &Planned<'_>, stage: &mut Active<'_>, before: &mut [Active<'_>]) -> Result<(), Stop> {
        match own {
            BuiltIn::Where => match self.next(before).await? {
                Some(item) => match call.condition().map(|condition| worth(condition, Some(&item))) {
                    Some(Ok(value)) if truth(&value) => stage.ready.push_back(item),
                    Some(Err(wrong)) => {
                        self.report(call.cmdlet.name, "", wrong);
                        return Err(Stop);
                    }
                    Some(Ok(_)) | None => {}
                },
                None => stage.ended = true,
            },
            BuiltIn::ForEach => match self.next(before).await? {
                Some(item) => self.each(call, &item, stage).await?,
                None => stage.ended = true,
            },
            BuiltIn::Select | BuiltIn::Sort | BuiltIn::Measure | BuiltIn::FormatTable | BuiltIn::FormatList | BuiltIn::ToJson => {
                shape::advance(self, own, call, stage, before).await?;
            }
            BuiltIn::Write => {
                stage.ended = true;
                stage.ready = call.own("InputObject", stage.here).map(plain).unwrap_or_default();
                if call.piped {
                    stage.ready = self.gather(call.cmdlet, before).await?.into();
                }
            }
            BuiltIn::Help | BuiltIn::Command | BuiltIn::Exit => self.beside(own, call, stage)?,
            BuiltIn::ImportCsv | BuiltIn::ExportCsv => stage.ended = true,
        }
        Ok(())
    }

    /// Help, the list of cmdlets, and leaving.
    fn beside(&mut self, own: BuiltIn, call: &Planned<'_>, stage: &mut Active<'_>) -> Result<(), Stop> {
        stage.ended = true;
        let (here, star) = (stage.here, || "*".to_owned());
        match own {
            BuiltIn::Exit => {
                self.left = Some(call.own_count("Code", here).and_then(|code| i32::try_from(code).ok()).unwrap_or(i32::from(self.failed)));
                return Err(Stop);
            }
            BuiltIn::Command => {
                let wanted = |name| call.own_text(name, here).unwrap_or_else(star);
                stage.ready = help::commands(self.catalogue, &wanted("Name"), &wanted("Verb"), &wanted("Noun"), self.locale).into();
            }
            _ => {
                let flag = |name| call.own_flag(name, here);
                let much = match (flag("Full") || flag("Detailed"), flag("Examples")) {
                    (true, _) => Much::Full,
                    (false, true) => Much::Examples,
                    (false, false) => Much::Usual,
                };
                match help::help(self.catalogue, call.own_text("Name", here).as_deref(), much, self.locale) {
                    Ok(page) => stage.ready.push_back(Item::Plain(page.into())),
                    Err(wrong) => {
                        self.report(call.cmdlet.name, "", wrong);
                        return Err(Stop);
                    }
                }
            }
        }
        Ok(())
    }

    /// Runs a block for one object.
    async fn each(&mut self, call: &Planned<'_>, item: &Item, stage: &mut Active<'_>) -> Result<(), Stop> {
        for steps in call.body().iter().flat_map(|body| &body.pipelines) {
            let mut inner = Active::all(steps, Some(item));
            loop {
                match self.next(&mut inner).await {
                    Ok(Some(item)) => stage.ready.push_back(item),
                    Ok(None) => break,
                    // What one object's block could not do is said; unless it is over for all, the next object is tried.
                    Err(Stop) if self.left.is_some() || self.standing == Some(false) || self.terminal.stopped() => return Err(Stop),
                    Err(Stop) => break,
                }
            }
        }
        Ok(())
    }

    /// Everything that comes from the stages before.
    async fn gather(&mut self, cmdlet: &Cmdlet, before: &mut [Active<'_>]) -> Result<Vec<Item>, Stop> {
        let mut all = Vec::new();
        while let Some(item) = self.next(before).await? {
            if all.len() == HELD_MOST {
                self.report(cmdlet.name, "", Mishap::TooMany { most: HELD_MOST });
                return Err(Stop);
            }
            all.push(item);
        }
        Ok(all)
    }
}

/// Where the objects go that come out of a pipeline.
pub(crate) trait Sink {
    /// Takes one.
    fn take(&mut self, running: &mut Running<'_>, item: Item);
    /// The pipeline is at its end.
    fn end(&mut self, running: &mut Running<'_>);
}

/// The values of a list one by one; nothing for `$null`.
fn plain(value: Value) -> VecDeque<Item> {
    match value {
        Value::Array(items) => items.into_iter().map(Item::Plain).collect(),
        Value::Null => VecDeque::new(),
        Value::Object(fields) => VecDeque::from([Item::Object(Object::from_pairs(fields))]),
        single => VecDeque::from([Item::Plain(single)]),
    }
}

/// What names the object that a cmdlet works on: a text, or the id of an object of its kind. An object of another kind names
/// only a person, and only to a cmdlet that works on people.
pub(crate) fn identity_of(item: &Item, cmdlet: &Cmdlet) -> Result<String, Mishap> {
    let value = match item {
        Item::Plain(Value::Array(_)) => return Err(Mishap::SeveralIdentities),
        Item::Plain(Value::Object(fields)) => return identity_of(&Item::Object(Object::from_pairs(fields.clone())), cmdlet),
        Item::Plain(value) => value.clone(),
        Item::Object(object) => {
            let wanted = match cmdlet.does {
                Does::Show(wanted) | Does::Act(wanted, _) => Some(wanted),
                Does::ShowSettings(_) | Does::ChangeSettings(_) | Does::ResetSettings(_) | Does::BuiltIn(_) => None,
            };
            let names: &[&str] = match (object.kind, wanted) {
                (Some(is), Some(wanted)) if is == wanted.kind => &["Id", "Identity"],
                (Some(_), Some(wanted)) if wanted.naming == Naming::Person => &["UserPrincipalName", "UPN"],
                (Some(is), Some(wanted)) => {
                    return Err(Mishap::OtherKind { is, wants: wanted.kind });
                }
                _ => &["Identity", "UserPrincipalName", "UPN", "Id"],
            };
            let found = names.iter().find_map(|name| object.get(name));
            found.cloned().ok_or_else(|| Mishap::NoIdentity { there: object.names() })?
        }
    };
    let identity = text(&value).trim().to_owned();
    match () {
        () if identity.is_empty() => Err(Mishap::EmptyIdentity),
        () if identity.contains('*') => Err(Mishap::WildcardIdentity(identity)),
        () => Ok(identity),
    }
}

/// A property that the object does not have, where it is the whole value of a parameter: a column that is misspelt must not
/// empty a text or a list.
fn missing(expr: &Expr, item: Option<&Item>) -> Option<Mishap> {
    match (&expr.form, item) {
        (crate::grammar::Form::Item(path), Some(Item::Object(object))) => {
            let name = path.first().filter(|name| object.get(name).is_none())?;
            Some(Mishap::NoProperty { name: name.clone(), there: object.names() })
        }
        _ => None,
    }
}

/// The fields of an act, or of a list, for an object.
fn fields(call: &Planned<'_>, item: Option<&Item>) -> Result<Map<String, Value>, Wrong> {
    let mut fields = Map::new();
    for (at, parameter) in call.cmdlet.parameters.iter().enumerate() {
        if let (For::Field(name), Some(value)) = (parameter.target, call.value(at, item)) {
            fields.insert(name.to_owned(), value?);
        }
    }
    Ok(fields)
}
