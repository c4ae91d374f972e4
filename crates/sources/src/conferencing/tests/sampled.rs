//! The samples: one file for each row of the table of SPEC §6 with the switch on and off, and for what rows do together. Which
//! mail is due (`mail`) is written by hand; the whole ruling beside it (`expected`) is compared as it was looked at last.

use super::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    /// Why this act is interesting.
    story: String,
    /// A row of the table, with what becomes of it: `E1`, `E1 stopped`, `E3 to nobody`, `none`.
    mail: String,
    act: String,
    before: String,
    given: Map<String, Value>,
    settings: Map<String, Value>,
    email: Option<String>,
    expected: Option<Expected>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    kept: Option<Value>,
    keys: Vec<String>,
    happenings: Vec<Value>,
    errand: Option<Value>,
    others: Vec<String>,
    revealed: Map<String, Value>,
    audited: Map<String, Value>,
    remarks: Vec<String>,
}

fn case(sample: &Sample) -> Case {
    let before = match sample.before.as_str() {
        "none" => None,
        "on_paris" => Some(on_paris()),
        "elsewhere" => Some(elsewhere()),
        other => panic!("no sample begins with {other}"),
    };
    let acts = user::USERS.acts.iter();
    let act = acts.map(|act| act.name).find(|name| *name == sample.act).expect("a declared act");
    let mut case = Case::new(act, before, sample.given.clone().into());
    case.person.email.clone_from(&sample.email);
    let set: Vec<(&str, Value)> = sample.settings.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    case.with(&set)
}

fn summed_up(ruling: &Ruling) -> Expected {
    let happening = |h: &model::source::Happening| json!({"kind": h.kind, "data": h.data, "secret": h.secret, "mailTo": h.mail_to});
    Expected {
        kept: ruling.keeping.as_ref().map(|kept| kept.document.clone()),
        keys: ruling.keeping.as_ref().map(|kept| kept.keys.clone()).unwrap_or_default(),
        happenings: ruling.happenings.iter().map(happening).collect(),
        errand: ruling.errand.as_ref().map(|errand| json!({"at": errand.at, "data": errand.data, "secret": errand.secret})),
        others: ruling.others.iter().map(|other| format!("{} {}", other.kind, other.keeping.name)).collect(),
        revealed: ruling.revealed.clone(),
        audited: ruling.audited.clone(),
        remarks: ruling.remarks.iter().map(|(en, _)| en.clone()).collect(),
    }
}

/// Which row of the table a ruling is, and what becomes of its mail.
fn row(case: &Case, ruling: &Ruling) -> String {
    assert!(ruling.happenings.len() <= 1, "one act sends at most one mail");
    let Some(told) = ruling.happenings.first() else { return "none".to_owned() };
    let rows = [(ENABLED, "E1"), (CHANGED, "E2"), (PIN_RESET, "E3"), (DISABLED, "E4"), (INFO, "E5")];
    let row = rows.iter().find(|(kind, _)| *kind == told.kind).expect("a row").1;
    let stopped = Conferencing.objection(told.kind, &told.data, &case.settings) == Some(Reason::PolicyOff);
    let nobody = told.mail_to.is_none() && case.person.email.is_none();
    let end = if stopped {
        " stopped"
    } else if nobody {
        " to nobody"
    } else {
        ""
    };
    format!("{row}{end}")
}

#[test]
fn every_row_of_the_table_has_samples_with_the_switch_on_and_off_that_come_to_the_expected_ruling() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder()).expect("the samples").map(|f| f.expect("a sample").path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "json"));
    files.sort();
    let mut mails = std::collections::BTreeSet::new();
    for file in files {
        let mut sample: Sample = serde_json::from_str(&std::fs::read_to_string(&file).expect("readable")).expect("a sample");
        let case = case(&sample);
        let ruling = case.run().unwrap_or_else(|refusal| panic!("{}: {refusal}", file.display()));
        assert_eq!(row(&case, &ruling), sample.mail, "{}", file.display());
        mails.insert(sample.mail.clone());
        sample.expected = Some(summed_up(&ruling));
        hold(&file, &(serde_json::to_string_pretty(&sample).expect("JSON") + "\n"));
    }
    let rows = ["E1", "E1 stopped", "E2", "E2 stopped", "E3", "E3 stopped", "E3 to nobody", "E4", "E4 stopped", "E5", "none"];
    assert_eq!(mails.iter().map(String::as_str).collect::<Vec<_>>(), rows, "every row with the switch on and off; nothing stops E5");
}
