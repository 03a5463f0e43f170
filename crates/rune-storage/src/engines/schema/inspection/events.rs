//! The statements that change rows.

use std::fmt;

/// Statements that change rows: those that a trigger or rule acts on, or a verb runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Events {
    pub(in crate::engines::schema) insert: bool,
    pub(in crate::engines::schema) update: bool,
    pub(in crate::engines::schema) delete: bool,
}

impl Events {
    /// Rows are added, or updated where they exist.
    pub const UPSERT: Self = Self {
        insert: true,
        update: true,
        delete: false,
    };
    /// Rows are updated.
    pub const UPDATE: Self = Self {
        insert: false,
        update: true,
        delete: false,
    };
    /// Rows are deleted.
    pub const DELETE: Self = Self {
        insert: false,
        update: false,
        delete: true,
    };

    pub(super) const fn meets(self, other: Self) -> bool {
        self.insert && other.insert || self.update && other.update || self.delete && other.delete
    }
}

impl fmt::Display for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.insert, "INSERT"),
            (self.update, "UPDATE"),
            (self.delete, "DELETE"),
        ];
        let names: Vec<&str> = all
            .into_iter()
            .filter(|(is_on, _)| *is_on)
            .map(|(_, name)| name)
            .collect();
        formatter.write_str(&names.join(", "))
    }
}
