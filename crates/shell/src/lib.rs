//! The admin shell: the cmdlets that administrators know from documents, over whatever backend it is handed.
//!
//! In: text, from a person, a `-c` option or a script, and the declarations of the sources. Out: calls of a [`Backend`], which
//! has the caller's rights and no others, and what it answered, as tables, lists or JSON. `grammar` reads the text, `catalogue`
//! derives the cmdlets from the declarations, `plan` holds the one against the other before anything is done, `run` does it.
//!
//! It is not a general PowerShell, and says so where somebody expects one. It knows no network, no store and no clock; files
//! are read and written by the [`Terminal`].

mod backend;
mod catalogue;
mod compare;
mod complete;
pub mod grammar;
mod help;
mod item;
mod pattern;
mod plan;
mod reference;
mod run;
mod session;
mod view;
mod wrong;

pub use backend::{Answer, Backend, Doing, Done, Fields, Page, Refused, Terminal};
pub use catalogue::{Catalogue, Cmdlet, Parameter, Takes};
pub use complete::Candidate;
pub use session::{Manner, Session, Went};
pub use wrong::{Both, Complaint, Foreign, Misfit, Mishap, Opened, Unreadable, Wrong};

/// Reads whatever a stranger writes, and checks what must hold of it: it is a script or a complaint in words in both languages,
/// and what is printed of a script is the same script. The body of a fuzz target.
///
/// # Panics
/// When it does not hold.
pub fn read_by_strangers(text: &str, catalogue: &Catalogue) {
    for locale in model::Locale::ALL {
        if let Err(complaint) = plan::plan(text, catalogue) {
            assert!(!complaint.show(text, locale).is_empty());
        }
    }
    for cursor in [0, text.len() / 2, text.len()] {
        let _ = complete::complete(catalogue, text, cursor, model::Locale::En);
    }
    if let Ok(script) = grammar::parse(text) {
        let printed = script.to_string();
        match grammar::parse(&printed) {
            Ok(again) => assert_eq!(again, script, "{printed}"),
            // The plain spelling of a text can be longer than the text, and so than the bound.
            Err(complaint) => assert!(matches!(complaint.wrong, Wrong::Unreadable(Unreadable::TooLong { .. })), "{printed}\n{complaint:?}"),
        }
    }
}
