//! Wrong values for what the sources declare, made from the declarations: of each parameter of each act, values of another
//! type, values beyond the bounds, and values that break the act's own rule, each with the beginning of what is said.

use super::world::World;
use model::objects::{FieldDeclaration, FieldType, Need, ObjectKind};
use serde_json::{Value, json};

/// A field left out where it is needed.
pub const LEFT_OUT: &str = "\u{0}";

/// A text that is too long.
pub fn long(count: usize) -> Value {
    Value::from("x".repeat(count))
}

/// Every parameter of every declared act that takes a body, with a body that would be taken.
pub async fn declared(world: &World) -> Vec<((&'static str, String), Value, FieldDeclaration)> {
    let ben = world.user("ben@example.org").await;
    let (bridge, plan) = (json!({"name": "Paris"}), json!({"name": "Lyon", "numberOfDigitsInExtension": 4}));
    let number = json!([{"number": "+33155501234", "tollFree": true}]);
    world.post("/api/v1/conferencing-bridges", bridge).await.expect(201);
    world.post("/api/v1/dial-plans", plan).await.expect(201);
    let cid = world.user("cid@example.org").await;
    let mailbox = json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": ["1001"]});
    world.post(&format!("/api/v1/mailboxes/{cid}/enable"), mailbox.clone()).await.expect(200);
    world.post(&format!("/api/v1/conferencing-users/{cid}/enable"), json!({"bridgeName": "Paris"})).await.expect(200);
    let mut all = Vec::new();
    for one in world.engine.object_declarations() {
        for act in one.acts.iter().filter(|act| !act.parameters.is_empty()) {
            let name = match (one.kind, act.name) {
                (ObjectKind::ConferencingBridge, _) => "Paris",
                (ObjectKind::DialPlan, _) => "Lyon",
                (ObjectKind::MailboxPolicy, _) => "Lyon%20Default%20Policy",
                (_, "enable") => ben.as_str(),
                _ => cid.as_str(),
            };
            let base = match (one.kind, act.name) {
                (ObjectKind::ConferencingBridge, "create") => json!({"name": "New", "serviceNumbers": number}),
                (ObjectKind::ConferencingBridge, "verify") => json!({"conferenceId": "123456789"}),
                (ObjectKind::DialPlan, "create") => json!({"name": "New", "numberOfDigitsInExtension": 4}),
                (ObjectKind::MailboxPolicy, "create") => json!({"name": "New", "umDialPlan": "Lyon"}),
                (ObjectKind::Mailbox, "enable") => json!({"umMailboxPolicy": "Lyon Default Policy", "extensions": ["1002"]}),
                _ => json!({}),
            };
            let collection = format!("/api/v1/{}", one.path);
            let operation = match act.name {
                "create" => ("POST", collection),
                "change" => ("PATCH", format!("{collection}/{name}")),
                other => ("POST", format!("{collection}/{name}/{other}")),
            };
            all.extend(act.parameters.iter().map(|field| (operation.clone(), base.clone(), *field)));
        }
    }
    all
}

/// Wrong values for a declared field, each with the beginning of what is said.
pub fn wrong_values(field: &FieldDeclaration) -> Vec<(Value, String)> {
    let mut wrong = of_type(&field.kind);
    if field.need == Need::Must {
        wrong.push((json!(LEFT_OUT), "is missing; give it a value".to_owned()));
        wrong.push((Value::Null, "must have a value, not null".to_owned()));
    }
    let of_rule: &[(Value, &str)] = match field.name {
        "name" => &[(json!(" "), "is "), (json!("a\u{7}b"), "takes one line of text of at most ")],
        "adapterUrl" => &[(json!("http://bridge.example.net"), "takes https://…, or http:// with 127.0.0.1")],
        "defaultServiceNumber" => &[(json!("+33155509999"), "+33155509999 is not among the bridge's serviceNumbers; add it there")],
        "e164Prefix" => &[
            (json!("0155"), "takes a number that begins with +"),
            (json!("+331555012345"), "with it and an extension a number has 16 digits"),
        ],
        "serviceNumber" | "tollFreeServiceNumber" => &[(json!("+33155509999"), "+33155509999 is not a number of the person's bridge")],
        "sendEmailToAddress" | "sendEmailFromAddress" => &[(json!("team@example.org"), "needs sendEmail; add it, or leave this out")],
        "sendEmailFromDisplayName" => &[(json!("Team"), "needs sendEmail; add it, or leave this out")],
        "extensions" => {
            &[(json!([]), "is empty; give at least one"), (json!(["12345"]), "holds \"12345\", which has 5 digits; extensions of")]
        }
        "logonFailuresBeforePinReset" => &[(json!(15), "is 15; it has to be below maxLogonAttempts")],
        _ => &[],
    };
    wrong.extend(of_rule.iter().map(|(value, rule)| (value.clone(), (*rule).to_owned())));
    wrong
}

/// A value of another type, and values beyond the bounds.
fn of_type(kind: &FieldType) -> Vec<(Value, String)> {
    // Of a long value only the beginning is said back.
    let brief = |value: &Value| value.to_string().chars().take(60).collect::<String>();
    let told = |rule: String, values: Vec<Value>| {
        values.into_iter().map(|value| (value.clone(), format!("{rule}, not {}", brief(&value)))).collect()
    };
    match *kind {
        FieldType::Text { most } => {
            told(format!("takes one line of text of at most {most} characters"), vec![json!(7), json!("a\nb"), long(most + 1)])
        }
        FieldType::Flag => told("takes true or false".into(), vec![json!("yes"), json!(1)]),
        FieldType::Whole { least, most } => {
            told(format!("takes a whole number from {least} to {most}"), vec![json!("many"), json!(least - 1), json!(most + 1), json!(1.5)])
        }
        FieldType::WholeOrUnlimited { least, most } => told(
            format!("takes a whole number from {least} to {most}, or Unlimited"),
            vec![json!("many"), json!(least - 1), json!(most + 1)],
        ),
        FieldType::Choice(words) => told(format!("takes one of {}", words.join(", ")), vec![json!("perhaps"), json!(true)]),
        FieldType::Digits { least, most } => {
            let count = if least == most { least.to_string() } else { format!("{least} to {most}") };
            told(format!("takes {count} digits"), vec![json!("12ab"), json!("1".repeat(most + 1)), json!(1234)])
        }
        FieldType::Phone => {
            told("takes a telephone number such as +33155501234".into(), vec![json!("12ab"), json!("1".repeat(16)), json!(33)])
        }
        FieldType::Mail => told("takes a mail address such as team@example.org".into(), vec![json!("team@"), json!(["team@example.org"])]),
        FieldType::Language => told("takes a language tag such as fr-FR".into(), vec![json!("français"), json!(5)]),
        FieldType::Object(kind) => {
            let mut wrong: Vec<_> = told(format!("takes the id or the name of a {kind}"), vec![json!(""), json!(7)]);
            wrong.push((json!("No such"), format!("there is no {kind} \"No such\"; give the id or the name of one")));
            wrong
        }
        FieldType::List { of, most } => {
            let mut wrong: Vec<_> = told("takes a list".into(), vec![json!("1001")]);
            wrong.extend(of_type(of).into_iter().take(1).map(|(value, rule)| (json!([value]), rule)));
            wrong.push((json!(vec!["1001"; most + 1]), format!("takes at most {most} values, not {}", most + 1)));
            wrong.push((json!(["1001", "1001"]), "names \"1001\" twice".to_owned()));
            wrong
        }
        FieldType::Records { fields, most } => {
            let mut wrong: Vec<_> = told("takes a list of records".into(), vec![json!("+33155501234")]);
            wrong.push((json!([7]), "takes records, not 7".to_owned()));
            wrong.push((json!([{"colour": 1}]), "has a field \"colour\" that is not known here; there are ".to_owned()));
            wrong.push((json!([{}]), format!("{} is missing", fields[0].name)));
            wrong.push((json!(vec![json!({"number": "1"}); most + 1]), format!("takes at most {most} records, not {}", most + 1)));
            for field in fields {
                let of = of_type(&field.kind).into_iter().take(1);
                wrong.extend(of.map(|(value, rule)| (json!([{"number": "1", field.name: value}]), format!("{}: {rule}", field.name))));
            }
            wrong
        }
    }
}
