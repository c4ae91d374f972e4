//! The one way to read and change everything that is not an event on its way.
//!
//! Every operation takes the actor first, checks permission and scope, validates all fields at once, and only then calls
//! the store; so the API, the command line and every integration share one set of rules. What a change touches beside the
//! store (the resident roster, cached tokens, open streams, waiting deliveries) is told here, and nowhere else.
//!
//! - `auth`: from a bearer secret to an actor; `scope`: what an actor may see; `names`: from what people write to objects.
//! - `users`, `groups`, `devices`, `registrations`, `enrolment`, `settings`, `roles`, `assignments`, `tokens`, `alarms`,
//!   `transfer`: the objects.
//! - `holders`: who or what is in the way, where a refusal is about another object.
//! - `acts`: what is written into the audit with each change; `audit`: reading it; `personal`: everything about one person.
//! - `mails`: how each mail looks, and sending one as a test.
//! - `own`: what an app on a device may do for itself.
//! - `fields`, `pages`, `repeat`: what they share: drafts, lists, repeated requests.

pub mod acting;
pub(crate) mod acts;
pub mod alarms;
pub mod assignments;
pub mod audit;
pub mod auth;
pub mod bulk_acts;
pub mod devices;
pub mod enrolment;
pub mod fields;
pub mod groups;
mod holders;
pub(crate) mod leaving;
pub mod mails;
pub mod names;
pub mod objects;
pub mod own;
pub mod pages;
pub mod personal;
pub mod registrations;
pub mod repeat;
pub mod roles;
pub mod scope;
pub mod settings;
pub mod tokens;
pub mod transfer;
pub mod users;
