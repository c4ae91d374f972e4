//! The audit: who did what, as a chain of entries. Here stand the one way in which an entry is written as bytes, and the
//! walk that tells whether a chain is whole. Hashing is handed in (SHA-256), so that the same walk serves the server, the
//! command line and a test.
//!
//! An entry is a JSON object. Its canonical form has the keys of every object sorted and no blanks (as RFC 8785 for the
//! values that occur: texts, whole numbers, switches, lists and objects), so that `jq -cS 'del(.hash)'` writes it too. Its
//! hash is SHA-256 over that form without the member `hash`; the member `previous` holds the hash of the entry before.

use serde_json::{Map, Value};
use std::fmt;

/// What the first entry names as the one before it.
pub const BEGINNING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The canonical form of a JSON value.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

fn write(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(out, &Value::String(name.clone()));
                out.push(':');
                write(out, value);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write(out, item);
            }
            out.push(']');
        }
        simple => out.push_str(&simple.to_string()),
    }
}

/// The canonical form of an entry without its hash: what is hashed.
pub fn hashed_form(entry: &Map<String, Value>) -> String {
    let mut bare = entry.clone();
    bare.remove("hash");
    canonical(&Value::Object(bare))
}

/// The canonical form of a head without its signature: what is signed.
pub fn signed_form(head: &Map<String, Value>) -> String {
    let mut bare = head.clone();
    bare.remove("signature");
    canonical(&Value::Object(bare))
}

/// What is wrong with a chain, and at which entry first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The first bad entry, from 1.
    pub sequence: i64,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What can be wrong with an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is not there; another one, or none, stands in its place.
    Missing,
    /// Its content is not what its hash was made of.
    Changed,
    /// It does not follow the entry before it.
    Unlinked,
    /// It belongs to another organization.
    Foreign,
    /// It is whole, but not the entry that a signed head names.
    Rewritten,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.sequence;
        match self.wrong {
            Wrong::Missing => write!(f, "entry {n} is missing or out of its place"),
            Wrong::Changed => write!(f, "entry {n} was changed: its content does not give its hash"),
            Wrong::Unlinked => write!(f, "entry {n} does not follow the entry before it: one of the two was replaced"),
            Wrong::Foreign => write!(f, "entry {n} belongs to another organization"),
            Wrong::Rewritten => write!(f, "entry {n} is not the one that the signed head names: the chain was written anew"),
        }
    }
}

/// A walk along a chain, entry by entry from the first.
#[derive(Clone, Debug)]
pub struct Walk {
    next: i64,
    previous: String,
    tenant: Option<String>,
}

impl Default for Walk {
    fn default() -> Walk {
        Walk { next: 1, previous: BEGINNING.to_owned(), tenant: None }
    }
}

impl Walk {
    /// Looks at the next entry. `sha256` answers in lower-case hexadecimal.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn step(&mut self, entry: &Map<String, Value>, sha256: impl Fn(&[u8]) -> String) -> Result<(), Break> {
        let wrong = |wrong| Err(Break { sequence: self.next, wrong });
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("");
        if entry.get("sequence").and_then(Value::as_i64) != Some(self.next) {
            return wrong(Wrong::Missing);
        }
        let hash = sha256(hashed_form(entry).as_bytes());
        if text("hash") != hash {
            return wrong(Wrong::Changed);
        }
        if text("previous") != self.previous {
            return wrong(Wrong::Unlinked);
        }
        if self.tenant.as_deref().is_some_and(|tenant| tenant != text("tenant")) {
            return wrong(Wrong::Foreign);
        }
        self.tenant = Some(text("tenant").to_owned());
        self.previous = hash;
        self.next += 1;
        Ok(())
    }

    /// The last entry that was whole; 0 before the first.
    pub fn reached(&self) -> i64 {
        self.next - 1
    }

    /// The hash of that entry.
    pub fn hash(&self) -> &str {
        &self.previous
    }

    /// Whether the walk, which stands at a head's entry or ended before it, meets the head.
    ///
    /// # Errors
    /// `Missing` when the chain ends before the head, `Rewritten` when another entry stands there.
    pub fn meets(&self, sequence: i64, hash: &str) -> Result<(), Break> {
        if self.reached() < sequence {
            return Err(Break { sequence: self.next, wrong: Wrong::Missing });
        }
        if self.reached() == sequence && self.previous != hash {
            return Err(Break { sequence, wrong: Wrong::Rewritten });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Not SHA-256, and good enough to tell texts apart.
    fn hash(bytes: &[u8]) -> String {
        let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, b| (sum ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3));
        format!("{sum:064x}")
    }

    fn chain(length: i64) -> Vec<Map<String, Value>> {
        let mut previous = BEGINNING.to_owned();
        let entry = |sequence| {
            let Value::Object(mut entry) = json!({"sequence": sequence, "previous": previous, "tenant": "t", "operation": "x"}) else {
                unreachable!("an object was written")
            };
            previous = hash(hashed_form(&entry).as_bytes());
            entry.insert("hash".into(), json!(previous));
            entry
        };
        (1..=length).map(entry).collect()
    }

    fn walk(entries: &[Map<String, Value>]) -> Result<Walk, Break> {
        let mut walk = Walk::default();
        entries.iter().try_for_each(|entry| walk.step(entry, hash))?;
        Ok(walk)
    }

    #[test]
    fn the_canonical_form_sorts_keys_at_every_depth_and_has_no_blanks() {
        let value = json!({"b": [1, {"z": null, "a": "é\n\""}], "a": true});
        assert_eq!(canonical(&value), r#"{"a":true,"b":[1,{"a":"é\n\"","z":null}]}"#);
    }

    #[test]
    fn a_whole_chain_is_walked_to_its_end() {
        let walk = walk(&chain(5)).expect("whole");
        assert_eq!(walk.reached(), 5);
        assert_eq!(walk.meets(5, walk.hash()), Ok(()));
    }

    #[test]
    fn a_changed_removed_swapped_or_replaced_entry_is_named() {
        let at = |sequence, wrong| Some(Break { sequence, wrong });
        let mut changed = chain(5);
        changed[2].insert("operation".into(), json!("y"));
        assert_eq!(walk(&changed).err(), at(3, Wrong::Changed));
        let mut removed = chain(5);
        removed.remove(2);
        assert_eq!(walk(&removed).err(), at(3, Wrong::Missing));
        let mut swapped = chain(5);
        swapped.swap(2, 3);
        assert_eq!(walk(&swapped).err(), at(3, Wrong::Missing));
        let mut replaced = chain(5);
        replaced[2].insert("operation".into(), json!("y"));
        let anew = hash(hashed_form(&replaced[2]).as_bytes());
        replaced[2].insert("hash".into(), json!(anew));
        assert_eq!(walk(&replaced).err(), at(4, Wrong::Unlinked), "with a hash of its own the next one tells");
    }

    #[test]
    fn a_cut_off_or_rewritten_chain_does_not_meet_the_head() {
        let whole = walk(&chain(5)).expect("whole");
        let cut = walk(&chain(5)[..3]).expect("whole so far");
        assert_eq!(cut.meets(5, whole.hash()), Err(Break { sequence: 4, wrong: Wrong::Missing }));
        assert_eq!(whole.meets(5, &hash(b"other")), Err(Break { sequence: 5, wrong: Wrong::Rewritten }));
    }
}
