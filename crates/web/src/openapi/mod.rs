//! The OpenAPI 3.1 document, made from the list of routes and the components.

mod audit;
mod bulk_acts;
pub(crate) mod components;
mod mails;
mod reports;
mod rights;
pub mod shape;

use crate::problem;
use crate::routes::{Access, Answer, Doc, Place, Route};
use http::Method;
use model::objects::ObjectDeclaration;
use shape::Shape;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn, PathItemBuilder, PathsBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::{Tag, TagBuilder};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, Header, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, Required, ServerBuilder,
};

/// What every reader of the document should know first.
const ABOUT: &str = "Carillon tells the people of an organization what happened, on every device they own, and can say of each \
notification why somebody got it or not.\n\nAll times are RFC 3339 in UTC. Fields are in camelCase, and unknown ones are refused. Lists come in \
pages: take `nextCursor` as `cursor` of the next request until it is null. Objects that can be edited carry an `ETag`; send it back as \
`If-Match` to change only what you have read.\n\nA POST that creates takes an `Idempotency-Key`: the same key and body within a day give the \
first answer again, without secrets and with `Idempotent-Replay: true`. Every refusal is a problem document (RFC 9457) with a stable `code`, \
a sentence that says how to mend it, and every field at fault.\n\nBounds of the server itself: 1 MiB for a JSON body, 128 levels in it, 16 KiB and \
100 fields for the head of a request (431), some seconds to send both (408), and as many requests a second with one token as the server's \
configuration says (429).";

/// The groups of operations, in the order in which people need them.
pub const TAGS: [(&str, &str); 14] = [
    ("Notifications", "Send, look ahead, follow, stop, repeat."),
    ("Explanation", "Why somebody got an event, or did not."),
    ("Users", "People and their enrolment codes."),
    ("Groups", "Groups of people, groups and devices."),
    ("Devices", "Devices and how push services reach them."),
    ("Directory", "Names, import and export."),
    ("Settings", "What the organization wants: switches, quiet hours, limits, retention."),
    ("Bulk acts", "One act for many people, in the background."),
    ("Mails", "How each mail looks, and sending one as a test."),
    ("Rights", "Roles, and who holds them where and how long."),
    ("Access", "Tokens, alarms, and who is asking."),
    ("Audit", "Who did what, and everything about one person."),
    ("App", "What an app on a device does, with the device's own token."),
    ("Service", "Health, metrics and this description."),
];

/// The document for this list of routes, some of which are made of these declarations.
pub fn document(routes: &[Route], declared: &[&'static ObjectDeclaration], version: &str, public_url: &str) -> OpenApi {
    let info = InfoBuilder::new()
        .title("Carillon")
        .version(version)
        .description(Some(ABOUT))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()));
    let mut paths = PathsBuilder::new();
    for route in routes {
        let item = PathItemBuilder::new().operation(http_method(&route.method), operation(route)).build();
        paths = paths.path(route.path, item);
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token that an owner made, or the token that a device got when it enrolled."))
        .build();
    let mut components = ComponentsBuilder::new().security_scheme("bearer", SecurityScheme::Http(bearer));
    for (name, shape) in components::all(declared) {
        components = components.schema(name, shape.schema());
    }
    let tag = |name: &str, about: &str| TagBuilder::new().name(name).description(Some(about)).build();
    let mut tags: Vec<Tag> = TAGS.iter().map(|(name, about)| tag(name, about)).collect();
    for kinds in declared.chunk_by(|one, next| one.tag == next.tag) {
        let words: Vec<String> = kinds.iter().map(|one| format!("{}s", one.kind)).collect();
        tags.push(tag(kinds[0].tag, &format!("What administrators keep for it: {}.", words.join(", "))));
    }
    let server = if public_url.is_empty() { "/" } else { public_url };
    OpenApiBuilder::new()
        .info(info.build())
        .servers(Some([ServerBuilder::new().url(server).build()]))
        .paths(paths)
        .components(Some(components.build()))
        .tags(Some(tags))
        .build()
}

fn http_method(method: &Method) -> HttpMethod {
    match *method {
        Method::POST => HttpMethod::Post,
        Method::PUT => HttpMethod::Put,
        Method::PATCH => HttpMethod::Patch,
        Method::DELETE => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

fn operation(route: &Route) -> OperationBuilder {
    let doc = &route.doc;
    let mut operation =
        OperationBuilder::new().tag(doc.tag).operation_id(Some(doc.id)).summary(Some(doc.summary)).description(Some(description(doc)));
    for param in doc.all_params() {
        let place = match param.place {
            Place::Path => ParameterIn::Path,
            Place::Query => ParameterIn::Query,
            Place::Header => ParameterIn::Header,
        };
        let required = if param.needed { Required::True } else { Required::False };
        let made = ParameterBuilder::new().name(param.name).parameter_in(place).required(required);
        operation = operation.parameter(made.description(Some(param.about.clone())).schema(Some(param.shape.schema())));
    }
    if let Some(body) = &doc.body {
        let required = if body.required { Required::True } else { Required::False };
        let mut made = RequestBodyBuilder::new().required(Some(required));
        for (media, shape) in &body.kinds {
            made = made.content(*media, content(shape));
        }
        operation = operation.request_body(Some(made.build()));
    }
    if doc.access != Access::Anyone {
        operation = operation.security(SecurityRequirement::new("bearer", [] as [&str; 0]));
    }
    for answer in &doc.answers {
        operation = operation.response(answer.status.to_string(), response(doc, answer));
    }
    for (status, codes) in doc.refusals() {
        operation = operation.response(status.to_string(), refusal(status, &codes));
    }
    operation
}

fn description(doc: &Doc) -> String {
    let access = match doc.access {
        Access::Anyone => "No token is needed.".to_owned(),
        Access::Anybody => "Any token will do.".to_owned(),
        Access::Device => "Needs the token of a device.".to_owned(),
        Access::Admin(permission) => format!("Needs the permission {permission}."),
        Access::Sender => "Needs Organization/Update or Notifications/SendToGroups where groups or people are addressed, and \
                           RemoteTasks/SendCustomNotification where devices are."
            .to_owned(),
        Access::ActOwner => "Needs the permission of the act.".to_owned(),
        Access::SettingOwner => "Needs the permission that the setting names.".to_owned(),
        Access::MailOwner => {
            "Needs the permission that the list of mails names: the one that manages the settings of the mail's source.".to_owned()
        }
    };
    if doc.detail.is_empty() { access } else { format!("{} {access}", doc.detail) }
}

fn content(shape: &Shape) -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(shape.schema())).build()
}

fn response(doc: &Doc, answer: &Answer) -> ResponseBuilder {
    let mut made = ResponseBuilder::new().description(answer.about);
    if let Some((media, shape)) = &answer.body {
        made = made.content(*media, content(shape));
    }
    for media in &answer.also {
        made = made.content(*media, content(&shape::text()));
    }
    let text = |about: &str| {
        let mut header = Header::new(shape::text().schema());
        header.description = Some(about.to_owned());
        header
    };
    if answer.etag {
        made = made.header("ETag", text("The object's version, to be sent back as If-Match."));
    }
    if answer.location {
        made = made.header("Location", text("Where the new object is."));
    }
    if doc.creates {
        made = made.header("Idempotent-Replay", text("`true` when this is the first answer again."));
    }
    made
}

fn refusal(status: u16, codes: &[&str]) -> ResponseBuilder {
    let about = if codes.is_empty() { sentence(status).to_owned() } else { format!("{} Codes: {}.", sentence(status), codes.join(", ")) };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(about).content(problem::MEDIA_TYPE, content)
}

fn sentence(status: u16) -> &'static str {
    match status {
        400 => "The request is malformed.",
        401 => "There is no token, or it is not known, revoked or expired.",
        403 => "The token lacks the permission, or the object lies outside its scope.",
        404 => "There is no such object.",
        408 => "The body did not come in time.",
        409 => "It contradicts the present state.",
        412 => "The object was changed since it was read.",
        413 => "The body is too large.",
        415 => "The body is of another media type.",
        422 => "Some values are not acceptable; errors names each field with the rule and the mend.",
        429 => "A limit is reached; limit names it, Retry-After and RateLimit headers say when to try again.",
        _ => "Carillon cannot do it now; Retry-After says when to try again.",
    }
}
