//! Managed objects of the sources: their routes are made from the declarations, so a source that declares a kind of object has
//! its API with it.

use crate::App;
use crate::answer::{self, Made, Reply, etag, json, ok, versioned};
use crate::ask::{Asker, Creation, IfMatch, MayJson, Query, Word};
use crate::openapi::shape::{self, Needed, Shape};
use crate::routes::{Access, Doc, Route, delete, get, patch, post};
use axum::extract::State;
use axum::routing;
use engine::admin::acting::{ActView, Asked};
use engine::admin::objects::ObjectQuery;
use http::{StatusCode, header};
use model::objects::{ActDeclaration, FieldDeclaration, FieldType, Naming, Need, ObjectDeclaration, ObjectKind, Onto};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Texts that are made of declarations live as long as the program: there are as many as declared kinds and acts.
fn kept(text: String) -> &'static str {
    text.leak()
}

/// A kind's names in the document, such as `DialPlan`.
fn type_name(kind: ObjectKind) -> String {
    let capital = |word: &str| word.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(word.chars().skip(1)).collect::<String>();
    kind.word().split(' ').map(capital).collect()
}

/// Whether it is only asked what would be.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ActQuery {
    preview: bool,
}

/// The routes of every declared kind.
pub fn routes(declared: &[&'static ObjectDeclaration]) -> Vec<Route> {
    declared.iter().flat_map(|one| of_kind(one)).collect()
}

fn doc(one: &'static ObjectDeclaration, id: String, summary: String, access: Access) -> Doc {
    Doc::new(one.tag, kept(id), kept(summary), access)
}

fn of_kind(one: &'static ObjectDeclaration) -> Vec<Route> {
    let (kind, name) = (one.kind, type_name(one.kind));
    let all = kept(format!("/api/v1/{}", one.path));
    let single = kept(format!("/api/v1/{}/{{name}}", one.path));
    let reading = Access::Admin(one.reading);
    let showing = doc(one, format!("get{name}"), format!("Show a {}", kind.word()), reading)
        .word("name", naming(one), shape::text())
        .gives(200, "The object.", kept(name.clone()))
        .etag();
    let showing = if one.naming == Naming::Person { showing.refuses(409, "ambiguous_name") } else { showing };
    let mut routes = vec![
        get(
            all,
            routing::get(move |State(app): State<App>, asker: Asker, Query(query): Query<ObjectQuery>| async move {
                ok(&app.engine.objects(&asker.actor, kind, query).await?) as Reply
            }),
            doc(one, format!("list{}", capital(&camel(one.path))), format!("List {}", one.path.replace('-', " ")), reading)
                .detail(one.help_en)
                .paged()
                .gives(200, "A page of them.", kept(format!("{name}Page"))),
        ),
        get(
            single,
            routing::get(move |State(app): State<App>, asker: Asker, Word(name): Word| async move {
                let object = app.engine.object(&asker.actor, kind, &name).await?;
                versioned(&object, object.version) as Reply
            }),
            showing,
        ),
    ];
    routes.extend(one.acts.iter().map(|act| of_act(one, act, all, single)));
    routes
}

fn naming(one: &ObjectDeclaration) -> &'static str {
    match one.naming {
        Naming::Own { .. } => "Its id or its name.",
        Naming::Person => "Its id, or whatever names the person: an id, an external id or a user principal name.",
    }
}

/// An act is asked for where its name says: `create` in the collection, `change` and `delete` at the object, every other below
/// it. Acts that are posted may be repeated with a key.
fn of_act(one: &'static ObjectDeclaration, act: &'static ActDeclaration, all: &'static str, single: &'static str) -> Route {
    let called = move |asker: &Asker, name: Option<String>, query: ActQuery, expected| Asked {
        kind: one.kind,
        act: act.name.to_owned(),
        name,
        given: Map::new(),
        expected,
        preview: query.preview,
        locale: asker.locale,
    };
    match (act.onto, act.name) {
        (Onto::New, _) => {
            let handler = move |State(app): State<App>, asker: Asker, Query(query): Query<ActQuery>, creation: Creation| async move {
                let asked = called(&asker, None, query, None);
                act_with_key(&app, &asker, asked, act.onto, creation).await
            };
            post(all, routing::post(handler), act_doc(one, act).creates())
        }
        (_, "change") => {
            let handler = move |State(app): State<App>,
                                asker: Asker,
                                Word(name): Word,
                                Query(query): Query<ActQuery>,
                                IfMatch(expected): IfMatch,
                                MayJson(given): MayJson<Map<String, Value>>| async move {
                let asked = Asked { given: given.unwrap_or_default(), ..called(&asker, Some(name), query, expected) };
                act_once(&app, &asker, asked).await
            };
            patch(single, routing::patch(handler), act_doc(one, act))
        }
        // A request that deletes has no body.
        (_, "delete") => {
            let handler = move |State(app): State<App>,
                                asker: Asker,
                                Word(name): Word,
                                Query(query): Query<ActQuery>,
                                IfMatch(expected): IfMatch| async move {
                let asked = called(&asker, Some(name), query, expected);
                act_once(&app, &asker, asked).await
            };
            delete(single, routing::delete(handler), act_doc(one, act))
        }
        (_, other) => {
            let handler = move |State(app): State<App>,
                                asker: Asker,
                                Word(name): Word,
                                Query(query): Query<ActQuery>,
                                IfMatch(expected): IfMatch,
                                creation: Creation| async move {
                let asked = called(&asker, Some(name), query, expected);
                act_with_key(&app, &asker, asked, act.onto, creation).await
            };
            post(kept(format!("{single}/{other}")), routing::post(handler), act_doc(one, act).creates())
        }
    }
}

fn act_doc(one: &'static ObjectDeclaration, act: &'static ActDeclaration) -> Doc {
    // An act of two words, such as send-info, says what it does to what of the object.
    let link = if act.name.contains('-') { "of a" } else { "a" };
    let summary = format!("{} {link} {}", capital(&act.name.replace('-', " ")), one.kind.word());
    let id = format!("{}{}", camel(act.name), type_name(one.kind));
    let mut detail = if act.parameters.is_empty() { act.help_en.to_owned() } else { format!("{} {RULES}", act.help_en) };
    if let Some((less, other)) = act.amounts_to.and_then(|less| Some((less, one.act(less.act)?))) {
        let with = less.with.join(" and ");
        detail.push_str(&format!(" With nothing but {with} it is {}, and needs the permission {} instead.", other.name, other.permission));
    }
    let mut doc = doc(one, id, summary, Access::Admin(act.permission)).detail(kept(detail)).query(
        "preview",
        "True: nothing is done, and it is said what would be.",
        shape::flag(),
    );
    if !act.parameters.is_empty() {
        let needed = act.parameters.iter().any(|field| field.need == Need::Must);
        let arguments = kept(arguments(one.kind, act));
        doc = if needed { doc.sends(arguments) } else { doc.may_send(arguments) };
    }
    if act.onto == Onto::New {
        doc = doc.gives(201, "What it came to.", "Act").etag().location().gives(200, "What it would come to.", "Act");
    } else {
        doc = doc.word("name", naming(one), shape::text()).conditional().gives(200, "What it came to.", "Act");
        doc = if act.onto == Onto::Gone { doc } else { doc.etag() };
    }
    if one.naming == Naming::Person {
        doc = doc.refuses(409, "ambiguous_name");
    }
    ["taken", "in_use"].iter().chain(one.conflicts).fold(doc, |doc, code| doc.refuses(409, code))
}

const RULES: &str = "All values that break their rule are named at once with 422, those of another type among them.";

/// `send-info` as `sendInfo`.
fn camel(act: &str) -> String {
    let mut parts = act.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| name + &capital(part))
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// The component that an act's parameters are, such as `ConferencingUserEnable`.
fn arguments(kind: ObjectKind, act: &ActDeclaration) -> String {
    format!("{}{}", type_name(kind), capital(&camel(act.name)))
}

/// The version of the object, where something was done to it.
fn version(view: &ActView) -> Option<i64> {
    view.object.as_ref().filter(|_| view.done).map(|object| object.version)
}

/// An act that, asked again with the same key, is done once.
async fn act_with_key(app: &App, asker: &Asker, asked: Asked, onto: Onto, creation: Creation) -> Reply {
    let work = |given: Map<String, Value>, repeat| app.engine.act_on(&asker.actor, Asked { given, ..asked }, repeat);
    let made = |view: &ActView| {
        let fresh = onto == Onto::New && view.done;
        Made {
            id: view.object.as_ref().filter(|_| fresh).map(|object| object.id),
            version: version(view),
            status: (!fresh).then_some(StatusCode::OK),
        }
    };
    answer::create(app, asker, creation, None, work, made).await
}

async fn act_once(app: &App, asker: &Asker, asked: Asked) -> Reply {
    let view = app.engine.act_on(&asker.actor, asked, None).await?;
    let mut response = json(StatusCode::OK, &view);
    if let Some(version) = version(&view) {
        response.headers_mut().insert(header::ETAG, etag(version));
    }
    Ok(response)
}

/// The components of every declared kind.
pub fn components(declared: &[&'static ObjectDeclaration]) -> Vec<(&'static str, Shape)> {
    let mut all = vec![("Act", act_shape()), ("ActEvent", event_shape())];
    for one in declared {
        let name = type_name(one.kind);
        let mut fields = vec![("id", shape::id(), Needed::Yes), ("version", shape::count(), Needed::Yes)];
        fields.push(match one.naming {
            Naming::Own { most } => ("name", shape::text_of(1, most), Needed::Yes),
            Naming::Person => ("user", user_shape(), Needed::Yes),
        });
        fields.extend(one.fields.iter().map(|field| (field.name, field_shape(field).or_null(), Needed::No)));
        all.push((kept(name.clone()), shape::given(fields).about(one.help_en)));
        all.push((kept(format!("{name}Page")), crate::openapi::components::page(kept(name))));
        for act in one.acts.iter().filter(|act| !act.parameters.is_empty()) {
            let parameters = act.parameters.iter().map(|field| {
                let needed = if field.need == Need::Must { Needed::Yes } else { Needed::No };
                let shape = field_shape(field);
                (field.name, if field.need == Need::May { shape.or_null() } else { shape }, needed)
            });
            all.push((kept(arguments(one.kind, act)), shape::sent(parameters.collect())));
        }
    }
    all
}

fn user_shape() -> Shape {
    shape::given(vec![("id", shape::id(), Needed::Yes), ("upn", shape::text(), Needed::Yes), ("displayName", shape::text(), Needed::Yes)])
}

fn event_shape() -> Shape {
    shape::given(vec![
        ("id", shape::id().about("None in a preview, and while an outside system has to confirm."), Needed::No),
        ("type", shape::text(), Needed::Yes),
        ("userId", shape::id(), Needed::Yes),
        ("mail", shape::text().about("goes, or the reason for which no mail goes; none where the type has no mail."), Needed::Yes),
    ])
}

fn act_shape() -> Shape {
    shape::given(vec![
        (
            "object",
            shape::map(shape::anything())
                .or_null()
                .about("The object as it is now; null when it ended, and where something was only asked."),
            Needed::Yes,
        ),
        ("events", shape::list(shape::named("ActEvent")), Needed::Yes),
        ("revealed", shape::map(shape::anything()).about("Shown this once."), Needed::No),
        ("remarks", shape::list(shape::text()), Needed::Yes),
        ("done", shape::flag().about("False for a preview and for what is only asked."), Needed::Yes),
        ("waits", shape::flag().about("Whether an outside system has to confirm first, before the events come."), Needed::Yes),
    ])
}

fn field_shape(field: &FieldDeclaration) -> Shape {
    let effect = if field.works { "" } else { " It is kept and shown, and nothing follows from it." };
    type_shape(&field.kind).about(format!("{}{effect}", field.help_en))
}

fn type_shape(kind: &FieldType) -> Shape {
    match *kind {
        FieldType::Text { most } => shape::text_of(0, most),
        FieldType::Flag => shape::flag(),
        FieldType::Whole { least, most } => shape::number_of(least, most),
        FieldType::WholeOrUnlimited { .. } | FieldType::Phone | FieldType::Mail | FieldType::Language | FieldType::Object(_) => {
            shape::anything()
        }
        FieldType::Choice(words) => shape::words(words.to_vec()),
        FieldType::Digits { least, most } => shape::text_like(kept(format!("^[0-9]{{{least},{most}}}$"))),
        FieldType::List { of, most } => shape::list_of(type_shape(of), most),
        FieldType::Records { fields, most } => {
            let of = fields.iter().map(|field| (field.name, field_shape(field), Needed::No)).collect();
            shape::list_of(shape::sent(of), most)
        }
    }
}
