//! Short ways to declare fields and parameters, so that the declarations read as the tables that they are.

use model::objects::{FieldDeclaration, FieldType, Need};

/// A field that may be given.
pub(super) const fn field(name: &'static str, kind: FieldType, help_en: &'static str, help_fr: &'static str) -> FieldDeclaration {
    FieldDeclaration { name, aliases: &[], kind, need: Need::May, default: "", works: true, help_en, help_fr }
}

/// A field that the documented systems take, and from which nothing follows here.
pub(super) const fn idle(name: &'static str, kind: FieldType) -> FieldDeclaration {
    FieldDeclaration {
        works: false,
        ..field(name, kind, "Taken for compatibility; has no effect.", "Accepté pour compatibilité ; sans effet.")
    }
}

/// Most characters of a name.
pub(super) const NAME_MOST: usize = 64;
/// A name of somebody or something.
pub(super) const NAME: FieldType = FieldType::Text { most: NAME_MOST };
