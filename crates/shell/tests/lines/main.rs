//! Lines and what becomes of them: a golden file for what people write, and random texts for what must hold of all.

mod declared;
mod made_up;

use made_up::{MadeUp, Screen};
use model::Locale;
use proptest::prelude::*;
use shell::{Answer, Catalogue, Manner, Session, Went, grammar, read_by_strangers};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(declared::catalogue()));

/// What a line is run with: words before `>`.
fn manner(words: &str) -> (Manner, Vec<Answer>) {
    let has = |word: &str| words.split(' ').any(|known| known == word);
    let answers = words.split(' ').filter_map(|word| match word {
        "yes" => Some(Answer::Yes),
        "all" => Some(Answer::YesToAll),
        "no" => Some(Answer::No),
        "none" => Some(Answer::NoToAll),
        _ => None,
    });
    let locale = if has("fr") { Locale::Fr } else { Locale::En };
    (Manner { locale, width: 100, json: has("json") }, answers.collect())
}

async fn told(words: &str, line: &str) -> Vec<String> {
    let told = made_up::Told::default();
    let (manner, answers) = manner(words);
    let mut session = Session::new(CATALOGUE.clone(), Arc::new(MadeUp { told: told.clone() }), manner);
    let files = BTreeMap::from([
        (
            "new-hires.csv".to_owned(),
            "\u{feff}UPN,Ext,Given name\nada@example.org,01001,Ada\n\"lin@example.org\",1002,\"Lin, Li\"\n".into(),
        ),
        ("semicolons.csv".to_owned(), b"UPN;Ext\nada@example.org;1001\n".to_vec()),
        ("broken.csv".to_owned(), b"UPN,Ext\nada@example.org,1001\nlin@example.org\n".to_vec()),
        ("latin.csv".to_owned(), b"UPN\nZo\xe9\n".to_vec()),
        ("holes.csv".to_owned(), b"UPN,Ext\n,1001\nada@example.org,12a\nlin@example.org,1002\n".to_vec()),
    ]);
    let mut screen = Screen { told: told.clone(), answers, files };
    session.run(line, &mut screen).await;
    let code = session.finish(&mut screen);
    let mut told = std::mem::take(&mut *told.lock().expect("what was told"));
    told.push(format!("exit: {code}"));
    told
}

/// `words> line`, further lines of it behind `.. `, then what is told. `UPDATE_GOLDEN=1` writes it anew.
#[tokio::test(flavor = "current_thread")]
async fn every_line_of_the_golden_file_does_what_stands_there() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");
    let text = std::fs::read_to_string(path).expect("the golden file");
    let mut fresh = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((words, first)) = line.split_once("> ").filter(|(words, _)| words.chars().all(|c| c.is_ascii_lowercase() || c == ' '))
        else {
            if line.is_empty() || line.starts_with('#') {
                fresh.push_str(&format!("{line}\n"));
            }
            continue;
        };
        let mut command = first.to_owned();
        fresh.push_str(&format!("{line}\n"));
        while let Some(next) = lines.next_if(|next| next.starts_with("..")) {
            fresh.push_str(&format!("{next}\n"));
            command.push_str(&format!("\n{}", next.trim_start_matches("..").trim_start_matches(' ')));
        }
        told(words, &command).await.iter().for_each(|line| fresh.push_str(&format!("    {line}\n")));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &fresh).expect("the golden file");
    }
    for (place, (one, other)) in text.lines().zip(fresh.lines()).enumerate() {
        assert_eq!(other, one, "line {}; UPDATE_GOLDEN=1 writes the file anew", place + 1);
    }
    assert_eq!(fresh.len(), text.len(), "UPDATE_GOLDEN=1 writes the file anew");
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_wrong_is_said_in_french_too_with_typographic_apostrophes() {
    let text = include_str!("../golden.txt");
    let mut said = 0;
    for line in text.lines().filter_map(|line| line.strip_prefix("> ")) {
        let (english, french) = (told("", line).await, told("fr", line).await);
        let complaint = |told: &[String]| told.iter().find(|line| line.starts_with("error: ")).cloned();
        if let (Some(english), Some(french)) = (complaint(&english), complaint(&french)) {
            said += usize::from(english != french);
            let letters: Vec<char> = french.chars().collect();
            let straight = letters.windows(3).any(|three| three[1] == '\'' && three[0].is_alphabetic() && three[2].is_alphabetic());
            assert!(!straight, "{french}");
        }
    }
    assert!(said > 50, "{said}");
}

#[test]
fn declarations_without_faults_have_none_and_every_fault_is_named() {
    assert_eq!(CATALOGUE.faults(), [] as [String; 0]);
    let faults = declared::faulty().faults().join("\n");
    for fault in [
        "Set-Role: no source declares role",
        "Paint-UMDialPlan: dial plan has no act \"paint\"",
        "Get-Help: dial plan has no field colour",
        "Get-UMDialPlan: the name sort is taken already",
        "has no parameter -Colour",
    ] {
        assert!(faults.contains(fault), "{fault} in {faults}");
    }
}

fn offered(line: &str) -> Vec<String> {
    let (manner, _) = manner("");
    let session = Session::new(CATALOGUE.clone(), Arc::new(MadeUp { told: made_up::Told::default() }), manner);
    session
        .complete(line, line.len())
        .into_iter()
        .map(|candidate| format!("{}{}", &line[..candidate.replaces.start], candidate.text))
        .collect()
}

#[test]
fn names_parameters_and_choices_are_offered_where_they_can_stand() {
    assert_eq!(offered("get-ummailboxp"), ["Get-UMMailboxPolicy"]);
    assert_eq!(offered("Get-UMDialPlan | remove-umd"), ["Get-UMDialPlan | Remove-UMDialPlan"]);
    assert_eq!(offered("Set-UMMailboxPolicy X -allow"), ["Set-UMMailboxPolicy X -AllowMissedCallNotifications"]);
    assert_eq!(
        offered("Set-UMMailboxPolicy X -AllowMissedCallNotifications $f"),
        ["Set-UMMailboxPolicy X -AllowMissedCallNotifications $false"]
    );
    assert_eq!(offered("Remove-UMDialPlan X -Confirm:"), ["Remove-UMDialPlan X -Confirm:$true", "Remove-UMDialPlan X -Confirm:$false"]);
    assert_eq!(offered("New-UMDialPlan -URIType s"), ["New-UMDialPlan -URIType SipName"]);
    assert_eq!(offered("Get-UMMailbox | % { Set-UMMailbox -ex"), ["Get-UMMailbox | % { Set-UMMailbox -Extensions"]);
    assert_eq!(offered("Get-UMMailboxPolicy -Identity A -id"), [] as [String; 0]);
    assert_eq!(offered("Get-Help Set-UMMailboxPo"), ["Get-Help Set-UMMailboxPolicy"]);
    assert_eq!(offered("Write-Output \"Get-"), [] as [String; 0]);
    assert_eq!(offered("Nothing-Here -"), [] as [String; 0]);
    assert!(offered("").len() > 20);
}

#[tokio::test(flavor = "current_thread")]
async fn exit_leaves_with_its_number_and_nothing_behind_it_is_done() {
    let told = made_up::Told::default();
    let (manner, _) = manner("");
    let mut session = Session::new(CATALOGUE.clone(), Arc::new(MadeUp { told: told.clone() }), manner);
    let mut screen = Screen { told: told.clone(), answers: Vec::new(), files: BTreeMap::new() };
    assert_eq!(session.run("exit 3; Get-UMDialPlan", &mut screen).await, Went::Left(3));
    assert_eq!(session.finish(&mut screen), 3);
    assert!(told.lock().expect("what was told").is_empty());
    assert!(session.unfinished("Get-UMDialPlan | % {") && session.unfinished("Get-UMDialPlan |") && session.unfinished("echo 'a"));
    assert!(!session.unfinished("Get-UMDialPlan") && !session.unfinished("}"));
}

#[test]
fn nothing_that_is_nested_or_long_is_too_much() {
    let deep = |open: &str| format!("Write-Output {}", open.repeat(50_000));
    for text in [
        deep("("),
        deep("{"),
        deep("@{a="),
        format!("({}", "-not ".repeat(50_000)),
        format!("({}", "! ".repeat(50_000)),
        format!("{} 1", "1 -eq ".repeat(50_000)),
        format!("{}a", "a|".repeat(100_000)),
    ] {
        assert!(grammar::parse(&text).is_err());
        read_by_strangers(&text[..text.len().min(4_000)], &CATALOGUE);
    }
    assert!(grammar::parse(&"x".repeat(grammar::TEXT_MOST + 1)).is_err());
    assert!(grammar::parse(&"Get-A;".repeat(10_000)).is_ok_and(|script| script.pipelines.len() == 10_000));
}

/// Pieces of which lines are made, so that random ones get far.
const PIECES: &[&str] = &[
    "Get-UMMailboxPolicy",
    "Set-UMMailboxPolicy",
    "Where-Object",
    "ForEach-Object",
    "?",
    "%",
    "foreach",
    "Import-Csv",
    "Write-Output",
    " ",
    " ",
    " ",
    "\n",
    ";",
    "|",
    "{",
    "}",
    "(",
    ")",
    ",",
    "@{",
    "=",
    "Add",
    "Remove",
    "-Identity",
    "-Confirm",
    ":",
    "$true",
    "$false",
    "$null",
    "$_",
    ".Name",
    "$_.Name",
    "$x",
    "$(",
    "'",
    "\"",
    "“",
    "”",
    "’",
    "`",
    "`\n",
    "#",
    "<#",
    "#>",
    "-eq",
    "-like",
    "-and",
    "-not",
    "!",
    "-",
    "–",
    "-5",
    "12",
    "0.5",
    "Paris",
    "a@b.c",
    "*",
    "&",
    ">",
    "[",
    "]",
    "été",
    "\u{a0}",
    "\r\n",
    "\\",
    "/",
    "+",
    "''",
    "\"\"",
    "$_.'First name'",
    "\"x $_ y\"",
    "\"$($_.Name)\"",
];

fn lines() -> impl Strategy<Value = String> {
    let piece =
        prop_oneof![8 => prop::sample::select(PIECES).prop_map(str::to_owned), 1 => "\\PC{0,4}", 1 => any::<char>().prop_map(String::from)];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Values that are well-formed, so that most lines of them are read to the end.
fn values() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-zA-Z0-9*][a-zA-Z0-9*_@.:/]{0,7}",
        "'([ a-z$`\"é]|''){0,8}'",
        "\"([ a-zé]|`[`\"$n]|\"\"|\\$_ |\\$\\(\\$_\\.Name\\)){0,6}\"",
        Just("$_.A.'b c'".to_owned()),
        Just("$true".to_owned()),
        Just("-12".to_owned()),
        "([a-z]`[ |;,(){}\"'&<>$`#-]){1,3}",
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let operator = prop::sample::select(vec!["-eq", "-LIKE", "-and", "-or", "-notin", "-gt"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|all| all.join(", ")),
            (inner.clone(), operator, inner.clone()).prop_map(|(a, o, b)| format!("({a} {o} {b})")),
            inner.clone().prop_map(|a| format!("(-not {a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("@{{Add={a}; 'r x' = {b}}}")),
            inner.prop_map(|a| format!("{{ Set-X -A {a} | ? {{ $_.B -ne 'x' }}; $_ }}")),
        ]
    })
}

#[test]
fn what_begins_like_a_number_is_printed_as_what_it_is() {
    for line in ["-.5", "-.Name", "-.Name!%12Add", "Set-X -.5", "-12", "–.5"] {
        read_by_strangers(line, &CATALOGUE);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_written_is_a_script_or_a_complaint_and_is_printed_as_what_it_is(line in lines()) {
        read_by_strangers(&line, &CATALOGUE);
    }

    #[test]
    fn a_well_formed_line_is_read_and_printed_as_what_it_is(value in values(), attached in values()) {
        let line = format!("Set-X {value} -Name:{attached} -Flag");
        let script = grammar::parse(&line).map_err(|complaint| TestCaseError::fail(format!("{line}\n{}", complaint.show(&line, Locale::En))))?;
        prop_assert_eq!(grammar::parse(&script.to_string()).ok(), Some(script));
        read_by_strangers(&line, &CATALOGUE);
    }
}
