//! Every route, once: method, path, handler, and what the API's description says about it.

use crate::openapi::shape::{self, Shape};
use crate::{App, api, service};
use axum::routing::MethodRouter;
use http::Method;
use model::objects::ObjectDeclaration;
use model::roles::Permission;

/// One operation.
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path, with `{names}`.
    pub path: &'static str,
    /// What answers.
    pub handler: MethodRouter<App>,
    /// What it is.
    pub doc: Doc,
}

/// Who may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Anyone,
    /// Everybody with a token.
    Anybody,
    /// A device, with its own token.
    Device,
    /// An administrator with this permission.
    Admin(Permission),
    /// An administrator who may send to those whom the request names.
    Sender,
    /// An administrator with the permission of the act that the request names.
    ActOwner,
    /// An administrator with the permission that a setting names.
    SettingOwner,
    /// An administrator with the permission that manages the mail's source.
    MailOwner,
}

/// Where a parameter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the path.
    Path,
    /// Behind the question mark.
    Query,
    /// In the head of the request.
    Header,
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Where it stands.
    pub place: Place,
    /// Whether it must be there.
    pub needed: bool,
    /// What it means.
    pub about: String,
    /// What it looks like.
    pub shape: Shape,
}

/// A body that is sent.
pub struct Body {
    /// Media types and shapes; the first is the usual one.
    pub kinds: Vec<(&'static str, Shape)>,
    /// Whether it must be there.
    pub required: bool,
}

/// What is answered when all is well.
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it means.
    pub about: &'static str,
    /// Media type and shape.
    pub body: Option<(&'static str, Shape)>,
    /// Other media types in which the same is answered.
    pub also: Vec<&'static str>,
    /// Whether it carries the object's version.
    pub etag: bool,
    /// Whether it carries the place of a new object.
    pub location: bool,
}

/// What the description says of a route.
pub struct Doc {
    /// Unique name of the operation.
    pub id: &'static str,
    /// Its group.
    pub tag: &'static str,
    /// In a few words.
    pub summary: &'static str,
    /// In sentences; may be empty.
    pub detail: &'static str,
    /// Who may ask.
    pub access: Access,
    /// Parameters, but those that follow from the rest.
    pub params: Vec<Param>,
    /// What is sent.
    pub body: Option<Body>,
    /// What is answered.
    pub answers: Vec<Answer>,
    /// Whether it takes an `Idempotency-Key`.
    pub creates: bool,
    /// Whether it takes an `If-Match`.
    pub conditional: bool,
    /// Refusals beside those that follow from the rest.
    pub codes: Vec<(u16, &'static str)>,
}

impl Doc {
    /// An operation of a group.
    pub fn new(tag: &'static str, id: &'static str, summary: &'static str, access: Access) -> Doc {
        Doc {
            id,
            tag,
            summary,
            detail: "",
            access,
            params: Vec::new(),
            body: None,
            answers: Vec::new(),
            creates: false,
            conditional: false,
            codes: Vec::new(),
        }
    }

    /// More about it.
    pub fn detail(self, detail: &'static str) -> Doc {
        Doc { detail, ..self }
    }

    fn param(mut self, place: Place, name: &'static str, about: &str, shape: Shape) -> Doc {
        self.params.push(Param { name, place, needed: place == Place::Path, about: about.to_owned(), shape });
        self
    }

    /// An id in the path.
    pub fn id(self, name: &'static str, about: &str) -> Doc {
        self.param(Place::Path, name, about, shape::id())
    }

    /// A word in the path.
    pub fn word(self, name: &'static str, about: &str, shape: Shape) -> Doc {
        self.param(Place::Path, name, about, shape)
    }

    /// A parameter behind the question mark.
    pub fn query(self, name: &'static str, about: &str, shape: Shape) -> Doc {
        self.param(Place::Query, name, about, shape)
    }

    /// A parameter behind the question mark that must be there.
    pub fn needed_query(mut self, name: &'static str, about: &str, shape: Shape) -> Doc {
        self.params.push(Param { name, place: Place::Query, needed: true, about: about.to_owned(), shape });
        self
    }

    /// A header that is read.
    pub fn header(self, name: &'static str, about: &str, shape: Shape) -> Doc {
        self.param(Place::Header, name, about, shape)
    }

    /// A list in pages.
    pub fn paged(self) -> Doc {
        let doc = self.query("limit", "How many at once; 50 unless said.", shape::number_of(1, 500));
        doc.query("cursor", "Where to go on: nextCursor of the page before.", shape::text())
    }

    /// A JSON body.
    pub fn sends(self, component: &'static str) -> Doc {
        Doc { body: Some(Body { kinds: vec![("application/json", shape::named(component))], required: true }), ..self }
    }

    /// A JSON body that may be left out.
    pub fn may_send(self, component: &'static str) -> Doc {
        Doc { body: Some(Body { kinds: vec![("application/json", shape::named(component))], required: false }), ..self }
    }

    /// Another body.
    pub fn sends_files(self, kinds: Vec<(&'static str, Shape)>) -> Doc {
        Doc { body: Some(Body { kinds, required: true }), ..self }
    }

    fn answer(mut self, status: u16, about: &'static str, body: Option<(&'static str, Shape)>) -> Doc {
        self.answers.push(Answer { status, about, body, also: Vec::new(), etag: false, location: false });
        self
    }

    /// JSON is answered.
    pub fn gives(self, status: u16, about: &'static str, component: &'static str) -> Doc {
        self.answer(status, about, Some(("application/json", shape::named(component))))
    }

    /// Something else is answered.
    pub fn gives_text(self, status: u16, about: &'static str, media: &'static str) -> Doc {
        let shape = if media.ends_with("json") { shape::anything() } else { shape::text() };
        self.answer(status, about, Some((media, shape)))
    }

    /// The same is answered as text of another media type too.
    pub fn also(mut self, media: &'static str) -> Doc {
        self.answers.iter_mut().for_each(|answer| answer.also.push(media));
        self
    }

    /// Nothing is answered.
    pub fn gives_nothing(self, about: &'static str) -> Doc {
        self.answer(204, about, None)
    }

    /// The answer carries a version.
    pub fn etag(mut self) -> Doc {
        self.answers.iter_mut().for_each(|answer| answer.etag = true);
        self
    }

    /// The answer carries the place of the new object.
    pub fn location(mut self) -> Doc {
        self.answers.iter_mut().for_each(|answer| answer.location = true);
        self
    }

    /// It may be repeated with a key.
    pub fn creates(self) -> Doc {
        Doc { creates: true, ..self }
    }

    /// It may name the version that it changes.
    pub fn conditional(self) -> Doc {
        Doc { conditional: true, ..self }
    }

    /// It refuses with this code too.
    pub fn refuses(mut self, status: u16, code: &'static str) -> Doc {
        self.codes.push((status, code));
        self
    }

    /// Every parameter, those that follow from the rest included.
    pub fn all_params(&self) -> Vec<Param> {
        let mut params = self.params.clone();
        let mut header =
            |name, about: &str, shape| params.push(Param { name, place: Place::Header, needed: false, about: about.to_owned(), shape });
        if self.creates {
            header(
                "Idempotency-Key",
                "Your name for this request, 1 to 255 visible ASCII characters: repeated, it is done once.",
                shape::text_like("^[!-~]{1,255}$"),
            );
        }
        if self.conditional {
            header(
                "If-Match",
                "The ETag of what you have read; refused with 412 when the object was changed since.",
                shape::text_like("^(\"[0-9]{1,18}\"|\\*)$"),
            );
        }
        params
    }

    /// Every status with which it refuses, and the codes.
    pub fn refusals(&self) -> Vec<(u16, Vec<&'static str>)> {
        let mut all: Vec<(u16, &'static str)> = Vec::new();
        let has = |place: Place| self.params.iter().any(|p| p.place == place);
        if let Some(body) = &self.body {
            if body.kinds[0].0 == "application/json" {
                all.extend([
                    (400, "malformed_json"),
                    (400, "unknown_field"),
                    (400, "missing_field"),
                    (400, "wrong_type"),
                    (408, "body_too_slow"),
                    (415, "unsupported_media_type"),
                ]);
            }
            all.extend([(413, "too_large"), (422, "invalid_field")]);
        }
        if has(Place::Query) {
            all.extend([(400, "malformed_query"), (400, "unknown_parameter"), (422, "invalid_field")]);
        }
        if has(Place::Path) {
            all.push((404, "not_found"));
        }
        if self.creates {
            all.extend([(400, "invalid_idempotency_key"), (409, "idempotency_in_progress"), (422, "idempotency_mismatch")]);
        }
        if self.conditional {
            all.extend([(400, "invalid_if_match"), (412, "stale")]);
        }
        match self.access {
            Access::Anyone => {}
            Access::Anybody => all.push((401, "unauthenticated")),
            Access::Device => all.extend([(401, "unauthenticated"), (403, "forbidden")]),
            Access::Admin(_) | Access::Sender | Access::ActOwner | Access::SettingOwner | Access::MailOwner => {
                all.extend([(401, "unauthenticated"), (403, "forbidden"), (403, "out_of_scope")]);
            }
        }
        if self.tag != "Service" {
            all.push((429, "over_limit"));
            all.extend([(503, "unavailable"), (503, "store_unavailable"), (503, "timeout")]);
        }
        all.extend(&self.codes);
        grouped(all)
    }
}

fn grouped(all: Vec<(u16, &'static str)>) -> Vec<(u16, Vec<&'static str>)> {
    let mut groups: std::collections::BTreeMap<u16, Vec<&'static str>> = std::collections::BTreeMap::new();
    for (status, code) in all {
        let codes = groups.entry(status).or_default();
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    groups.into_iter().collect()
}

/// A route that reads.
pub fn get(path: &'static str, handler: MethodRouter<App>, doc: Doc) -> Route {
    Route { method: Method::GET, path, handler, doc }
}

/// A route that makes or does something.
pub fn post(path: &'static str, handler: MethodRouter<App>, doc: Doc) -> Route {
    Route { method: Method::POST, path, handler, doc }
}

/// A route that replaces.
pub fn put(path: &'static str, handler: MethodRouter<App>, doc: Doc) -> Route {
    Route { method: Method::PUT, path, handler, doc }
}

/// A route that changes fields.
pub fn patch(path: &'static str, handler: MethodRouter<App>, doc: Doc) -> Route {
    Route { method: Method::PATCH, path, handler, doc }
}

/// A route that removes.
pub fn delete(path: &'static str, handler: MethodRouter<App>, doc: Doc) -> Route {
    Route { method: Method::DELETE, path, handler, doc }
}

/// Every route of a server whose sources declare these objects.
pub fn all(declared: &[&'static ObjectDeclaration]) -> Vec<Route> {
    let parts = [
        api::notifications::routes(),
        api::events::routes(),
        api::users::routes(),
        api::groups::routes(),
        api::devices::routes(),
        api::directory::routes(),
        api::settings::routes(),
        api::mails::routes(),
        api::objects::routes(declared),
        api::bulk_acts::routes(),
        api::roles::routes(),
        api::access::routes(),
        api::audit::routes(),
        api::app::routes(),
        service::routes(),
    ];
    parts.into_iter().flatten().collect()
}
