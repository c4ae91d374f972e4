//! Mails: which there are, how each looks, and sending one as a test.

use crate::App;
use crate::answer::{self, Made, Reply, json, ok};
use crate::ask::{Asker, Creation, Query, Word};
use crate::openapi::shape;
use crate::report::Format;
use crate::routes::{Access, Doc, Route, get, post};
use axum::extract::State;
use axum::routing;
use engine::admin::mails::{MailTestDraft, MailTestView};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use model::Locale;
use model::roles::Permission;
use serde::Deserialize;
use serde_json::json as object;

const ALL: &str = "/api/v1/mails";
const PREVIEW: &str = "/api/v1/mails/{kind}/preview";
const TEST: &str = "/api/v1/mails/{kind}/test";
/// Where the event of a test is found.
const EVENTS: &str = "/api/v1/notifications";

/// What a mail that is shown in a browser may do: have its own styles, and load the organization's logo. No script, no form,
/// no frame, and, being in a sandbox, no access to anything of this server.
const POLICY: &str = "default-src 'none'; img-src https:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; sandbox";

fn doc(id: &'static str, summary: &'static str, access: Access) -> Doc {
    Doc::new("Mails", id, summary, access)
}

/// The routes of this file.
pub fn routes() -> Vec<Route> {
    let read = Access::Admin(Permission::DirectoryRead);
    let kind = "The event type, such as conferencing.enabled.";
    vec![
        get(
            ALL,
            routing::get(list),
            doc("listMails", "List mails", read)
                .detail("Every kind of mail that can be looked at, by source.")
                .gives(200, "All of them.", "MailKinds"),
        ),
        get(
            PREVIEW,
            routing::get(preview),
            doc("previewMail", "See how a mail looks", read)
                .detail(
                    "With made-up content, in the organization's name and colours. As JSON, or as the mail's own page: by format, else by the \
                     Accept header.",
                )
                .word("kind", kind, shape::text())
                .query("locale", "The language; else the Accept-Language header says it.", locales())
                .query("format", "The form; wins over the Accept header.", shape::words(vec![Format::Json.word(), Format::Html.word()]))
                .gives(200, "The mail.", "MailPreview")
                .also(Format::Html.media()),
        ),
        post(
            TEST,
            routing::post(test),
            doc("testMail", "Send a mail as a test", Access::MailOwner)
                .detail(
                    "To one person, with made-up content and [Test] before the subject. It is an event like any other, which only its source's \
                     own switch does not stop: not sent to people without an address or who are inactive.",
                )
                .word("kind", kind, shape::text())
                .sends("NewMailTest")
                .creates()
                .gives(201, "The event.", "MailTest")
                .location(),
        ),
    ]
}

fn locales() -> shape::Shape {
    shape::words(Locale::ALL.iter().map(|locale| locale.tag()).collect())
}

async fn list(State(app): State<App>, asker: Asker) -> Reply {
    ok(&object!({ "items": app.engine.mails(&asker.actor)? }))
}

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Json,
    Html,
}

/// In which language and form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PreviewQuery {
    locale: Option<Locale>,
    format: Option<Form>,
}

async fn preview(State(app): State<App>, asker: Asker, headers: HeaderMap, Word(kind): Word, Query(query): Query<PreviewQuery>) -> Reply {
    let mail = app.engine.preview_mail(&asker.actor, &kind, query.locale.unwrap_or(asker.locale))?;
    let accepted = if Format::accepted(&headers) == Format::Html { Form::Html } else { Form::Json };
    let language = HeaderValue::from_static(mail.locale.tag());
    let mut response = match query.format.unwrap_or(accepted) {
        Form::Json => json(StatusCode::OK, &mail),
        Form::Html => {
            let mut response = answer::text("text/html; charset=utf-8", mail.html);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            response
        }
    };
    response.headers_mut().insert(header::CONTENT_LANGUAGE, language);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept, accept-language"));
    Ok(response)
}

async fn test(State(app): State<App>, asker: Asker, Word(kind): Word, creation: Creation) -> Reply {
    let work = |draft: MailTestDraft, repeat| app.engine.test_mail(&asker.actor, &kind, draft, repeat);
    let made = |test: &MailTestView| Made { id: Some(test.id), ..Made::default() };
    answer::create(&app, &asker, creation, Some(EVENTS), work, made).await
}
