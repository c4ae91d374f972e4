//! Call records (CDR) as Asterisk's `cdr_csv` writes them: what is known of calls that nobody heard, because the connection was away.
//!
//! A record alone is wrong twice: to it voice mail is an answer, and a ring group writes that nobody answered a call that was
//! taken. So the records of a call are read together, as the events that they stand for, and [`Calls`] says what comes of
//! them. Whether a voice message was left stands in no record: the spool folder says it, and where there is none, what became of
//! a call that came to voice mail stays unknown.
//!
//! Times are read from the ids of channels, which count in seconds since 1970; the columns with dates may be local time.

use super::calls::{Calls, Ended};
use super::heard::epoch;
use super::login::APPLICATIONS;
use super::spool;
use super::wire::Block;
use model::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Columns that every record has. After them come, each where `cdr.conf` says so: `uniqueid`, `userfield`, and the three
/// `peeraccount`, `linkedid`, `sequence`.
const COLUMNS: usize = 16;
/// How long before a while a call may have ended and still be read with it: it may have been heard, and not handed on.
const MARGIN: Duration = Duration::from_secs(60);

/// One record, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Its call: the id of the caller's channel.
    pub call_id: String,
    /// When the caller's channel began.
    pub began: Timestamp,
    /// When the record ends; later than that by up to a second for each part of the call.
    pub ended: Timestamp,
    caller: String,
    dialled: String,
    telephone: String,
    application: String,
    arguments: String,
    talked: Duration,
    disposition: String,
}

/// What a line comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A record.
    Record(Box<Record>),
    /// A record without an id: `loguniqueid` is off.
    Nameless,
    /// Something else.
    Strange,
}

/// Reads a line of columns.
pub(super) fn line(columns: &[&str]) -> Line {
    let Some((columns, more)) = columns.split_at_checked(COLUMNS) else { return Line::Strange };
    let [_, source, dialled, _, caller, _, telephone, application, arguments, _, _, _, duration, talked, disposition, _] = columns else {
        return Line::Strange;
    };
    let Some((duration, talked)) = seconds(duration).zip(seconds(talked)) else { return Line::Strange };
    let Some((unique, began)) = more.first().and_then(|unique| Some((*unique, epoch(unique)?))) else { return Line::Nameless };
    let linked = more.len().checked_sub(2).and_then(|at| more.get(at)).filter(|linked| more.len() >= 4 && epoch(linked).is_some());
    Line::Record(Box::new(Record {
        call_id: (*linked.unwrap_or(&unique)).to_owned(),
        began,
        // A call's second record begins where the first ends, with the same id: what is said here is the least.
        ended: began.plus(duration),
        caller: if caller.is_empty() { (*source).to_owned() } else { (*caller).to_owned() },
        dialled: (*dialled).to_owned(),
        telephone: (*telephone).to_owned(),
        application: (*application).to_owned(),
        arguments: (*arguments).to_owned(),
        talked,
        disposition: (*disposition).to_owned(),
    }))
}

fn seconds(text: &str) -> Option<Duration> {
    text.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

impl Record {
    /// The mailboxes to which the caller was led, as `mailbox@context`.
    fn mailboxes(&self) -> impl Iterator<Item = (&str, &str)> {
        let voice_mail = APPLICATIONS.iter().any(|application| application.eq_ignore_ascii_case(&self.application));
        let boxes = self.arguments.split([',', '|']).next().filter(|_| voice_mail).unwrap_or_default();
        boxes.split('&').filter(|mailbox| !mailbox.is_empty()).map(|mailbox| mailbox.split_once('@').unwrap_or((mailbox, "default")))
    }

    /// The events that it stands for, without those of the beginning and the end of its call.
    fn events(&self, message: Option<&str>) -> Vec<Block> {
        let (call, unique) = (("Linkedid", self.call_id.as_str()), ("Uniqueid", self.call_id.as_str()));
        if self.mailboxes().next().is_some() {
            let led = Block::of(&[("Event", "Newexten"), unique, call, ("Application", "VoiceMail"), ("AppData", &self.arguments)]);
            let left = message.map(|file| {
                let variable = |name, value| Block::of(&[("Event", "VarSet"), unique, call, ("Variable", name), ("Value", value)]);
                [variable("VMSTATUS", "SUCCESS"), variable("VM_MESSAGEFILE", file)]
            });
            return [led].into_iter().chain(left.into_iter().flatten()).collect();
        }
        if self.telephone.is_empty() {
            return Vec::new();
        }
        let status = match self.disposition.to_ascii_uppercase().as_str() {
            "ANSWERED" => "ANSWER",
            "BUSY" => "BUSY",
            "FAILED" => "CHANUNAVAIL",
            "CONGESTION" => "CONGESTION",
            _ => "NOANSWER",
        };
        let telephone = [("DestUniqueid", self.telephone.as_str()), ("DestChannel", self.telephone.as_str())];
        vec![Block::of(&[("Event", "DialEnd"), unique, call, telephone[0], telephone[1], ("DialStatus", status)])]
    }
}

/// What was found of the calls of a while.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The calls of which it is known what became of them.
    pub calls: Vec<Ended>,
    /// Calls of which it is not: they came to voice mail, and no spool folder says whether a message was left.
    pub unknown: usize,
}

/// Reads records as calls: those that began or went on within the while. `message` looks for a voice message, and answers where
/// its audio is; it is `None` where nobody can look.
pub(super) fn calls(
    of: &Of<'_>,
    (from, until): While,
    records: Vec<Record>,
    message: Option<&dyn Fn(&Sought<'_>) -> Option<String>>,
) -> Found {
    let mut by_call: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    for record in records {
        by_call.entry(record.call_id.clone()).or_default().push(record);
    }
    let mut found = Found::default();
    for (call_id, records) in by_call {
        let Some(first) = records.first() else { continue };
        let whole: Duration = records.iter().map(|record| record.ended.since(record.began)).sum();
        let over = first.began.plus(whole);
        if first.began > until || over.plus(MARGIN) < from {
            continue;
        }
        // Nobody can have left anything before the greeting had begun.
        let unclear = |record: &&Record| record.mailboxes().next().is_some() && !record.talked.is_zero();
        if message.is_none() && records.iter().any(|record| unclear(&record)) {
            found.unknown += 1;
            continue;
        }
        let mut calls = Calls::new(of.pbx, of.dial_plan);
        let mut hear = |block: &Block| calls.hear(block, over);
        let caller = spool::caller(&first.caller);
        let own = [("Uniqueid", call_id.as_str()), ("Linkedid", call_id.as_str())];
        let (number, name) = (caller.number.unwrap_or_default(), caller.name.unwrap_or_default());
        let of_caller = [("CallerIDNum", number.as_str()), ("CallerIDName", name.as_str())];
        hear(&Block::of(&[("Event", "Newchannel"), own[0], own[1], of_caller[0], of_caller[1], ("Exten", &first.dialled)]));
        for record in &records {
            let left = message.and_then(|look| {
                record.mailboxes().find_map(|(mailbox, context)| look(&Sought { mailbox, context, from: first.began, until: over }))
            });
            for block in record.events(left.as_deref()) {
                hear(&block);
            }
        }
        if let Some(call_id) = hear(&Block::of(&[("Event", "Hangup"), own[0], own[1]])) {
            found.calls.extend(calls.ended(&call_id));
        }
    }
    found
}

/// Whose records.
#[derive(Clone, Copy, Debug)]
pub(super) struct Of<'a> {
    /// The integration.
    pub pbx: &'a str,
    /// Dial plan of its extensions.
    pub dial_plan: &'a str,
}

/// From when until when.
pub(super) type While = (Timestamp, Timestamp);

/// A voice message that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought<'a> {
    /// Whose mailbox.
    pub mailbox: &'a str,
    /// The context of voice mail in which it is.
    pub context: &'a str,
    /// It was begun between this instant
    pub from: Timestamp,
    /// and this.
    pub until: Timestamp,
}
