//! A script, with its cmdlets and parameters found: everything that can be wrong before an object is there is said here,
//! so that a text with a mistake changes nothing at all.

use crate::catalogue::{BuiltIn, Catalogue, Cmdlet, Does, For, Takes};
use crate::compare::worth;
use crate::grammar::{Argument, Call, Expr, Form, Operator, Pipeline, Script, Span, Stage, parse};
use crate::item::{Item, text};
use crate::wrong::{Both, Complaint, Misfit};
use model::Locale;
use model::objects::FieldType;
use serde_json::Value;

/// A script that fits the cmdlets.
#[derive(Debug)]
pub(crate) struct Plan<'c> {
    pub(crate) pipelines: Vec<Vec<Step<'c>>>,
}

/// One stage.
#[derive(Debug)]
pub(crate) enum Step<'c> {
    /// Values.
    Values(Expr),
    /// A cmdlet.
    Call(Planned<'c>),
}

/// A cmdlet with its parameters.
#[derive(Debug)]
pub(crate) struct Planned<'c> {
    pub(crate) cmdlet: &'c Cmdlet,
    pub(crate) given: Vec<(usize, Given<'c>)>,
    /// Whether objects come to it.
    pub(crate) piped: bool,
}

/// The value of a parameter.
#[derive(Debug)]
pub(crate) enum Given<'c> {
    /// Checked already.
    Ready(Value),
    /// Depends on the object.
    Later(Expr),
    /// What `ForEach-Object` runs.
    Block(Plan<'c>),
    /// What `Where-Object` asks.
    Condition(Expr),
}

/// Reads a text and finds its cmdlets.
///
/// # Errors
/// The first thing that is wrong, and where.
pub(crate) fn plan<'c>(text: &str, catalogue: &'c Catalogue) -> Result<Plan<'c>, Complaint> {
    script(parse(text)?, catalogue, false)
}

fn script(script: Script, catalogue: &Catalogue, inside: bool) -> Result<Plan<'_>, Complaint> {
    let pipelines = script.pipelines.into_iter().map(|pipeline| self::pipeline(pipeline, catalogue, inside));
    Ok(Plan { pipelines: pipelines.collect::<Result<_, _>>()? })
}

fn pipeline(pipeline: Pipeline, catalogue: &Catalogue, inside: bool) -> Result<Vec<Step<'_>>, Complaint> {
    let mut steps = Vec::with_capacity(pipeline.stages.len());
    for (place, stage) in pipeline.stages.into_iter().enumerate() {
        steps.push(match stage {
            Stage::Value(value) => {
                known(&value, inside)?;
                Step::Values(value)
            }
            Stage::Call(call) => Step::Call(Binding::new(&call, catalogue, place > 0, inside)?.bind(call)?),
        });
    }
    Ok(steps)
}

/// Whether everything that a value speaks of is there: `$_` only inside blocks, and only patterns that are some.
fn known(value: &Expr, inside: bool) -> Result<(), Complaint> {
    match value.speaks_of_item() {
        Some(span) if !inside => return Err(Complaint::new(Misfit::ItemOutside, span)),
        _ => {}
    }
    worth(value, None).map(|_| ()).map_err(|wrong| Complaint::new(wrong, value.span))
}

/// A call on its way to be planned.
struct Binding<'c> {
    cmdlet: &'c Cmdlet,
    catalogue: &'c Catalogue,
    span: Span,
    piped: bool,
    inside: bool,
    given: Vec<(usize, Given<'c>)>,
    loose: Vec<Expr>,
}

impl<'c> Binding<'c> {
    fn new(call: &Call, catalogue: &'c Catalogue, piped: bool, inside: bool) -> Result<Binding<'c>, Complaint> {
        let cmdlet = catalogue.resolve(&call.name).map_err(|wrong| Complaint::new(wrong, call.span))?;
        let name = || cmdlet.name.to_owned();
        let misplaced = match cmdlet.does {
            Does::BuiltIn(own) if own.begins() && piped => Some(Misfit::NotAfterPipe { cmdlet: name() }),
            Does::BuiltIn(own) if own.needs_input() && !piped => Some(Misfit::NoInput { cmdlet: name() }),
            Does::ShowSettings(_) | Does::ChangeSettings(_) | Does::ResetSettings(_) if piped => {
                Some(Misfit::NotAfterPipe { cmdlet: name() })
            }
            Does::BuiltIn(_) | Does::Show(_) | Does::Act(..) | Does::ShowSettings(_) | Does::ChangeSettings(_) | Does::ResetSettings(_) => {
                None
            }
        };
        match misplaced {
            Some(wrong) => Err(Complaint::new(wrong, call.span)),
            None => Ok(Binding { cmdlet, catalogue, span: call.span, piped, inside, given: Vec::new(), loose: Vec::new() }),
        }
    }

    fn bind(mut self, call: Call) -> Result<Planned<'c>, Complaint> {
        let simple = matches!(self.cmdlet.does, Does::BuiltIn(BuiltIn::Where));
        match if simple { simple_condition(&call.arguments) } else { None } {
            Some(condition) => {
                known(&condition, true)?;
                self.given.push((0, Given::Condition(condition)));
            }
            None => self.arguments(call.arguments)?,
        }
        self.place_loose()?;
        self.complete()?;
        Ok(Planned { cmdlet: self.cmdlet, given: self.given, piped: self.piped })
    }

    fn fail<T>(&self, wrong: Misfit, span: Span) -> Result<T, Complaint> {
        Err(Complaint::new(wrong, span))
    }

    fn arguments(&mut self, arguments: Vec<Argument>) -> Result<(), Complaint> {
        let mut arguments = arguments.into_iter().peekable();
        while let Some(argument) = arguments.next() {
            let (span, name, attached) = match argument {
                Argument::Value(value) => {
                    self.loose.push(value);
                    continue;
                }
                Argument::Parameter { span, name, value } => (span, name, value),
            };
            let at = self.cmdlet.parameter(&name).or_else(|wrong| self.fail(wrong, span))?;
            let parameter = &self.cmdlet.parameters[at];
            let next = match arguments.peek() {
                Some(Argument::Value(value)) if attached.is_none() => Some(value),
                _ => None,
            };
            let value = match (attached, next) {
                (Some(value), _) => value,
                (None, Some(value)) if !parameter.is_flag() || fits_flag(value) => take_value(arguments.next()),
                (None, Some(value)) if self.says_nothing(value) => {
                    let shown = said(value);
                    return self.fail(Misfit::ValueBehindSwitch { parameter: parameter.name.clone(), value: shown }, value.span);
                }
                _ if parameter.is_flag() => Expr { span, form: Form::Flag(true) },
                _ => {
                    let takes = |locale| crate::help::takes(parameter, locale);
                    let takes = Both { en: takes(Locale::En), fr: takes(Locale::Fr) };
                    return self.fail(Misfit::ValueNeeded { parameter: parameter.name.clone(), takes }, span);
                }
            };
            self.give(at, value, span)?;
        }
        Ok(())
    }

    /// Whether a value behind a switch cannot be meant for anything else: a number, or a value when the identity is there.
    fn says_nothing(&self, value: &Expr) -> bool {
        let number = matches!(&value.form, Form::Bare(word) if word.parse::<f64>().is_ok());
        number
            || self.piped
            || self.cmdlet.first.is_none_or(|first| self.given.iter().any(|(at, _)| *at == first))
            || !self.loose.is_empty()
    }

    fn give(&mut self, at: usize, value: Expr, span: Span) -> Result<(), Complaint> {
        let parameter = &self.cmdlet.parameters[at];
        if self.given.iter().any(|(other, _)| *other == at) {
            return self.fail(Misfit::ParameterTwice { name: parameter.name.clone() }, span);
        }
        let given = match (parameter.takes, value) {
            (Takes::Block, Expr { form: Form::Block(block), span }) => self.block(block, span)?,
            (Takes::Block, value) => return self.fail(self.block_needed(), value.span),
            (_, value) if parameter.target == For::Identity => self.identity(value)?,
            (_, value) if value.constant() => {
                let converted = worth(&value, None).and_then(|worth| parameter.convert(worth));
                Given::Ready(converted.or_else(|wrong| self.fail(wrong, value.span))?)
            }
            (_, value) => {
                known(&value, self.inside)?;
                if matches!(value.form, Form::Block(_)) {
                    return self.fail(Misfit::SurplusValue { cmdlet: self.cmdlet.name.to_owned(), value: "{…}".to_owned() }, value.span);
                }
                Given::Later(value)
            }
        };
        self.given.push((at, given));
        Ok(())
    }

    fn identity(&self, value: Expr) -> Result<Given<'c>, Complaint> {
        if !value.constant() {
            known(&value, self.inside)?;
            return Ok(Given::Later(value));
        }
        let span = value.span;
        let item = Item::Plain(worth(&value, None).or_else(|wrong| self.fail(wrong, span))?);
        match crate::run::identity_of(&item, self.cmdlet) {
            Ok(identity) => Ok(Given::Ready(identity.into())),
            Err(mishap) => Err(Complaint::new(mishap, span)),
        }
    }

    fn block_needed(&self) -> Misfit {
        match self.cmdlet.does {
            Does::BuiltIn(BuiltIn::Where) => Misfit::ConditionNeeded,
            _ => Misfit::BlockNeeded { cmdlet: self.cmdlet.name.to_owned() },
        }
    }

    fn block(&self, mut block: Script, span: Span) -> Result<Given<'c>, Complaint> {
        if !matches!(self.cmdlet.does, Does::BuiltIn(BuiltIn::Where)) {
            return script(block, self.catalogue, true).map(Given::Block);
        }
        let mut stages = if block.pipelines.len() == 1 { block.pipelines.remove(0).stages } else { Vec::new() };
        match (stages.pop(), stages.is_empty()) {
            (Some(Stage::Value(condition)), true) => {
                known(&condition, true)?;
                Ok(Given::Condition(condition))
            }
            _ => self.fail(Misfit::ConditionNeeded, span),
        }
    }

    /// Values without a name: one is for the first parameter; `Write-Output` and lists of properties take all.
    fn place_loose(&mut self) -> Result<(), Complaint> {
        let mut loose = std::mem::take(&mut self.loose).into_iter();
        let Some(value) = loose.next() else { return Ok(()) };
        let surplus = |value: &Expr| Misfit::SurplusValue { cmdlet: self.cmdlet.name.to_owned(), value: said(value) };
        let free = self.cmdlet.first.filter(|first| self.given.iter().all(|(at, _)| at != first));
        let Some(first) = free else { return self.fail(surplus(&value), value.span) };
        let many = matches!(self.cmdlet.does, Does::BuiltIn(BuiltIn::Write));
        let rest: Vec<Expr> = loose.collect();
        match rest.first() {
            Some(next) if !many => self.fail(surplus(next), next.span),
            Some(_) => {
                let span = value.span;
                let form = Form::List(std::iter::once(value).chain(rest).collect());
                self.give(first, Expr { span, form }, span)
            }
            None => {
                let span = value.span;
                self.give(first, value, span)
            }
        }
    }

    /// What has to be given is, and what excludes each other is not given together.
    fn complete(&self) -> Result<(), Complaint> {
        let cmdlet = || self.cmdlet.name.to_owned();
        let has = |at: usize| self.given.iter().any(|(given, _)| *given == at);
        let targets = |wanted: fn(For) -> bool| self.given.iter().any(|(at, _)| wanted(self.cmdlet.parameters[*at].target));
        let identity = self.cmdlet.position(For::Identity);
        if self.piped && identity.is_some_and(has) {
            return self.fail(Misfit::IdentityTwice { cmdlet: cmdlet() }, self.span);
        }
        let missing: Vec<String> = (0..self.cmdlet.parameters.len())
            .filter(|at| self.cmdlet.parameters[*at].must && !has(*at) && !(self.piped && Some(*at) == identity))
            .map(|at| self.cmdlet.parameters[at].name.clone())
            .collect();
        if !missing.is_empty() {
            return self.fail(Misfit::ParametersMissing { cmdlet: cmdlet(), names: missing }, self.span);
        }
        let fields = targets(|target| matches!(target, For::Field(_) | For::ResultSize));
        let wrong = match self.cmdlet.does {
            Does::Show(_) if fields && (self.piped || identity.is_some_and(has)) => Some(Misfit::IdentityAndFilter { cmdlet: cmdlet() }),
            Does::ChangeSettings(_) if !targets(|target| matches!(target, For::Setting(_))) => {
                Some(Misfit::NothingGiven { cmdlet: cmdlet() })
            }
            Does::Act(_, act) if act.name == "change" && !fields => Some(Misfit::NothingGiven { cmdlet: cmdlet() }),
            Does::BuiltIn(BuiltIn::Where | BuiltIn::ForEach) if !has(0) => Some(self.block_needed()),
            Does::BuiltIn(BuiltIn::ImportCsv | BuiltIn::ExportCsv) if !has(0) => {
                Some(Misfit::ParametersMissing { cmdlet: cmdlet(), names: vec!["Path".to_owned()] })
            }
            Does::Act(_, act) if act.onto == model::objects::Onto::New && identity.is_none() && self.piped => {
                Some(Misfit::NotAfterPipe { cmdlet: cmdlet() })
            }
            _ => self.list_of_new(),
        };
        wrong.map_or(Ok(()), |wrong| self.fail(wrong, self.span))
    }

    /// `@{Add=…}` needs a list that is there.
    fn list_of_new(&self) -> Option<Misfit> {
        let Does::Act(_, act) = self.cmdlet.does else { return None };
        let table = |given: &Given<'_>| {
            matches!(given, Given::Ready(Value::Object(_))) || matches!(given, Given::Later(Expr { form: Form::Table(_), .. }))
        };
        let listed = |at: usize| matches!(self.cmdlet.parameters[at].takes, Takes::Field(FieldType::List { .. }));
        let (at, _) = self.given.iter().find(|(at, given)| listed(*at) && table(given))?;
        (act.onto == model::objects::Onto::New).then(|| Misfit::AddRemoveNew { parameter: self.cmdlet.parameters[*at].name.clone() })
    }
}

/// `Where-Object Name -like "a*"`, as a condition.
fn simple_condition(arguments: &[Argument]) -> Option<Expr> {
    let [
        Argument::Value(Expr { form: Form::Bare(name), span }),
        Argument::Parameter { name: word, value: None, .. },
        Argument::Value(right),
    ] = arguments
    else {
        return None;
    };
    let operator = Operator::by_word(word).filter(|operator| !operator.joins())?;
    let left = Expr { span: *span, form: Form::Item(name.split('.').map(str::to_owned).collect()) };
    Some(Expr { span: *span, form: Form::Compare(Box::new(left), operator, Box::new(right.clone())) })
}

/// Whether a value behind a flag is the flag's.
fn fits_flag(value: &Expr) -> bool {
    match &value.form {
        Form::Flag(_) | Form::Item(_) | Form::Group(_) => true,
        Form::Bare(word) => ["true", "false", "0", "1"].iter().any(|known| known.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

fn take_value(argument: Option<Argument>) -> Expr {
    match argument {
        Some(Argument::Value(value)) => value,
        _ => Expr { span: Span::default(), form: Form::Null },
    }
}

/// A value as a complaint shows it.
fn said(value: &Expr) -> String {
    match &value.form {
        Form::Bare(word) | Form::Text(word) => word.clone(),
        _ => worth(value, None).ok().filter(|_| value.constant()).map_or_else(|| value.to_string(), |worth| text(&worth)),
    }
}
