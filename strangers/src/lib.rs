//! What strangers write, byte for byte, and what must hold whatever they write: nothing panics, hangs or grows without bound, and
//! every answer is in order. Each target takes any bytes. `fuzz/` runs them guided by coverage (`cargo xtask fuzz`), the tests
//! of this crate over the same seeds, changed at random.

mod api;
mod calls;
mod words;

pub use api::{ask, import};
pub use calls::{events, smtp};
pub use words::{addresses, head, provider, relay, sealed, shell, words};

/// A target: its name, which is that of its folder of seeds, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("addresses", addresses),
    ("ask", ask),
    ("events", events),
    ("head", head),
    ("import", import),
    ("provider", provider),
    ("relay", relay),
    ("sealed", sealed),
    ("smtp", smtp),
    ("shell", shell),
    ("words", words),
];
