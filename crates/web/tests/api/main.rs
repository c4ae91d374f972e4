//! The HTTP API over a real engine and a real store. Every answer is also compared with the API's own description: its
//! status, its shape, and the code of its refusal must stand there.

mod allowed;
mod app;
mod audited;
mod described;
mod edited;
mod imported;
mod mails;
mod mistaken;
mod objects;
mod refused;
mod repeated;
mod rights;
mod schema;
mod served;
mod streamed;
mod table;
mod world;
