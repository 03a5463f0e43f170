//! What a site has put on RUNE's tables and around them, and what that means for each verb.
//!
//! There is one look, the same for every verb and for its dry run, and one list of consequences:
//! [`SiteObject::weight`].

mod events;
mod guard;
mod postgres;
mod sqlite;

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::roles::quoted;
use rune_core::failure::{Failure, FailureKind};

pub use events::Events;
pub use guard::SiteGuard;
pub(super) use postgres::inspect;
pub use postgres::look_around;
pub use sqlite::look_around as look_around_file;

/// What is going to be done with RUNE's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Only to say what is there.
    Status,
    /// To read all rows.
    Read,
    /// To create tables.
    Migrate,
    /// To alter columns, indexes and sequences.
    Repair,
    /// To fill empty tables.
    Fill,
    /// To delete old rows.
    Prune {
        /// Whether audit artifacts too.
        with_artifacts: bool,
    },
    /// To change single rows of one table.
    Write {
        /// The table.
        table: &'static str,
        /// By which statements.
        statements: Events,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Silent,
    Note,
    Refuse(FailureKind),
}

/// Something that is not RUNE's, or not as RUNE creates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteObject {
    /// RUNE's table; empty for what concerns the whole database.
    pub(super) table: String,
    pub(super) name: String,
    pub(super) kind: ObjectKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ObjectKind {
    /// RUNE's tables in another schema too; `is_named` where the URL itself says which schema is
    /// meant.
    SecondSchema {
        schema: String,
        is_named: bool,
    },
    /// Something else than an ordinary table under RUNE's name.
    Relation(String),
    /// A table that a crash empties.
    Unlogged,
    /// Row-level security that applies to the role.
    RowSecurity,
    /// A trigger; `decides` when it can change or skip the rows that are stored.
    Trigger {
        events: Events,
        decides: bool,
    },
    Rule(Events),
    /// A foreign key of another table on RUNE's, with what it does there when a row is deleted.
    ForeignKey {
        from: String,
        action: Option<&'static str>,
    },
    /// A foreign key of RUNE's table.
    Reference {
        to: String,
    },
    ChildTable,
    ParentTable,
    GeneratedColumn,
    /// Something that depends on a column and keeps its type from being altered.
    Dependent {
        column: String,
    },
    /// A column elsewhere that holds whole rows of the table.
    RowType,
    Publication,
    /// These statements are published and the table has nothing to tell its rows by, so the server
    /// refuses them.
    NoReplicaIdentity(Events),
    EventTrigger,
    Encoding,
    Standby,
    ReadOnly,
}

impl SiteObject {
    /// The list of consequences.
    #[expect(
        clippy::match_same_arms,
        reason = "a line for each kind, in their order"
    )]
    fn weight(&self, verb: Verb) -> Weight {
        use ObjectKind as Kind;
        use Weight::{Note, Refuse, Silent};
        const CONFLICT: Weight = Refuse(FailureKind::Conflict);
        const ACCESS: Weight = Refuse(FailureKind::Access);
        if !self.concerns(verb) {
            return Silent;
        }
        let changes = matches!(
            verb,
            Verb::Migrate | Verb::Repair | Verb::Fill | Verb::Prune { .. } | Verb::Write { .. }
        );
        match (&self.kind, verb) {
            (Kind::SecondSchema { is_named: true, .. }, _)
            | (Kind::SecondSchema { .. } | Kind::Relation(_) | Kind::RowSecurity, Verb::Status) => {
                Note
            }
            (Kind::SecondSchema { .. } | Kind::Relation(_), _) => CONFLICT,
            (Kind::RowSecurity, Verb::Migrate) => Note,
            (Kind::RowSecurity, _) => ACCESS,
            (Kind::Standby | Kind::ReadOnly, _) => {
                if changes {
                    ACCESS
                } else {
                    Silent
                }
            }
            (Kind::Unlogged, Verb::Fill) => CONFLICT,
            (Kind::Unlogged, Verb::Write { .. }) => Silent,
            (Kind::Trigger { events, .. } | Kind::Rule(events), Verb::Prune { .. }) => {
                if events.delete || events.update {
                    CONFLICT
                } else {
                    Silent
                }
            }
            (Kind::Trigger { events, decides }, Verb::Fill) => match (events.insert, decides) {
                (true, true) => CONFLICT,
                (true, false) => Note,
                (false, _) => Silent,
            },
            (
                Kind::ForeignKey {
                    action: Some(_), ..
                },
                Verb::Prune { .. },
            ) => CONFLICT,
            (
                Kind::ChildTable,
                Verb::Read | Verb::Fill | Verb::Prune { .. } | Verb::Write { .. },
            ) => CONFLICT,
            (Kind::GeneratedColumn, Verb::Fill | Verb::Write { .. }) => CONFLICT,
            // The columns that are to be altered are the caller's to know.
            (Kind::Dependent { .. } | Kind::RowType, _) => Silent,
            (Kind::NoReplicaIdentity(events), Verb::Prune { .. }) if events.delete => CONFLICT,
            (Kind::NoReplicaIdentity(events), Verb::Write { statements, .. })
                if events.meets(statements) =>
            {
                CONFLICT
            }
            (Kind::Trigger { events, .. } | Kind::Rule(events), Verb::Write { statements, .. })
                if events.meets(statements) =>
            {
                Note
            }
            (
                Kind::ForeignKey {
                    action: Some(_), ..
                },
                Verb::Write {
                    statements: Events { delete: true, .. },
                    ..
                },
            ) => Note,
            (Kind::NoReplicaIdentity(_), Verb::Prune { .. }) => Silent,
            (Kind::NoReplicaIdentity(_) | Kind::EventTrigger | Kind::Encoding, Verb::Status)
            | (Kind::EventTrigger, Verb::Prune { .. } | Verb::Fill)
            | (Kind::Encoding, Verb::Repair | Verb::Prune { .. })
            | (_, Verb::Read | Verb::Write { .. })
            | (
                Kind::Reference { .. } | Kind::GeneratedColumn | Kind::ParentTable,
                Verb::Prune { .. },
            ) => Silent,
            _ => Note,
        }
    }

    /// Whether a verb's own changes reach through it into tables or programs that are not read:
    /// what `--allow-cascade` allows.
    fn is_cascade(&self) -> bool {
        matches!(
            self.kind,
            ObjectKind::Trigger { .. } | ObjectKind::Rule(_) | ObjectKind::ForeignKey { .. }
        )
    }

    /// Whether the verb's changes can meet it. Old rows are not deleted from settings and the
    /// bookkeeping, nor artifacts unless they go too; a single row is changed in its table alone.
    fn concerns(&self, verb: Verb) -> bool {
        let is_met = match (verb, self.table.as_str()) {
            (_, "")
            | (
                Verb::Prune { .. },
                "jobs" | "idempotency_keys" | "workflow_events" | "chain_state",
            ) => true,
            (Verb::Prune { with_artifacts }, "audit_artifact") => with_artifacts,
            (Verb::Prune { .. }, _) => false,
            (Verb::Write { table: written, .. }, table) => written == table,
            _ => true,
        };
        is_met || matches!(self.kind, ObjectKind::Relation(_) | ObjectKind::RowSecurity)
    }

    fn help(&self, verb: Verb) -> String {
        let Self { table, name, kind } = self;
        match kind {
            ObjectKind::SecondSchema { schema, .. } => other_schema_help(schema, name),
            ObjectKind::Relation(_) => {
                "use a database, or on PostgreSQL a schema, that is RUNE's alone".to_owned()
            }
            ObjectKind::Unlogged => format!("run `ALTER TABLE {table} SET LOGGED` first"),
            ObjectKind::RowSecurity => {
                format!(
                    "connect as a role that sees all rows: the owner of `{table}`, or one with \
                     BYPASSRLS"
                )
            }
            ObjectKind::Trigger { .. } if verb == Verb::Fill => {
                format!(
                    "run `ALTER TABLE {table} DISABLE TRIGGER {name}` first, and enable it \
                     afterwards"
                )
            }
            ObjectKind::Trigger { .. } | ObjectKind::Rule(_) | ObjectKind::ForeignKey { .. } => {
                "drop it, or add `--allow-cascade` if what it does is wanted: then rows are \
                 counted in every table that foreign keys reach"
                    .to_owned()
            }
            ObjectKind::ChildTable => format!("detach it: `ALTER TABLE {name} NO INHERIT {table}`"),
            ObjectKind::GeneratedColumn => {
                format!(
                    "make it an ordinary column: `ALTER TABLE {table} ALTER COLUMN {name} DROP \
                     EXPRESSION` on PostgreSQL, unless it is virtual; otherwise create the table \
                     anew"
                )
            }
            ObjectKind::Dependent { .. } | ObjectKind::RowType => {
                "drop it, run `rune-db repair`, and create it again".to_owned()
            }
            ObjectKind::NoReplicaIdentity(_) => {
                format!(
                    "run `ALTER TABLE {table} REPLICA IDENTITY FULL`, or give the table its \
                     primary key"
                )
            }
            ObjectKind::Standby => "connect to the primary server".to_owned(),
            ObjectKind::ReadOnly => {
                "ask whoever set it, or connect to the primary server; it is not switched off here"
                    .to_owned()
            }
            _ => "run `rune-db status`, which lists all of it".to_owned(),
        }
    }
}

impl fmt::Display for SiteObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, name, kind } = self;
        match kind {
            ObjectKind::SecondSchema {
                schema,
                is_named: true,
            } => {
                write!(
                    formatter,
                    "RUNE's tables exist in schema `{name}` too; the URL names schema `{schema}`"
                )
            }
            ObjectKind::SecondSchema { schema, .. } => {
                write!(
                    formatter,
                    "RUNE's tables exist in schema `{name}`, but the search path leads to schema \
                     `{schema}`"
                )
            }
            ObjectKind::Relation(what) => {
                write!(formatter, "`{table}` is {what}, not an ordinary table")
            }
            ObjectKind::Unlogged => write!(
                formatter,
                "table `{table}` is UNLOGGED: a crash of the server empties it"
            ),
            ObjectKind::RowSecurity => {
                write!(
                    formatter,
                    "row-level security of table `{table}` applies to this role, which may not \
                     see all rows"
                )
            }
            ObjectKind::Trigger { events, .. } => write!(
                formatter,
                "trigger `{name}` acts on {events} of table `{table}`"
            ),
            ObjectKind::Rule(events) => write!(
                formatter,
                "rule `{name}` acts on {events} of table `{table}`"
            ),
            ObjectKind::ForeignKey {
                from,
                action: Some(action),
            } => {
                write!(
                    formatter,
                    "foreign key `{name}` of table `{from}` does {action} when a row of `{table}` \
                     is deleted"
                )
            }
            ObjectKind::ForeignKey { from, action: None } => {
                write!(
                    formatter,
                    "foreign key `{name}` of table `{from}` keeps the rows of `{table}` that it \
                     names from being deleted"
                )
            }
            ObjectKind::Reference { to } => write!(
                formatter,
                "foreign key `{name}` lets table `{table}` only name rows of table `{to}`"
            ),
            ObjectKind::ChildTable => write!(
                formatter,
                "table `{name}` inherits from `{table}`: its rows count as RUNE's"
            ),
            ObjectKind::ParentTable => write!(formatter, "table `{table}` inherits from `{name}`"),
            ObjectKind::GeneratedColumn => write!(
                formatter,
                "column `{name}` of table `{table}` is generated and cannot be written"
            ),
            ObjectKind::Dependent { column } => write!(
                formatter,
                "{name} prevents altering the type of `{table}.{column}`"
            ),
            ObjectKind::RowType => write!(
                formatter,
                "{name} holds whole rows of `{table}` and keeps its columns from being altered"
            ),
            ObjectKind::Publication => write!(
                formatter,
                "publication `{name}` sends changes of table `{table}` to other servers"
            ),
            ObjectKind::NoReplicaIdentity(events) => {
                write!(
                    formatter,
                    "publication `{name}` sends {events} of table `{table}`, which has no replica \
                     identity"
                )
            }
            ObjectKind::EventTrigger => write!(
                formatter,
                "event trigger `{name}` acts on statements that change the schema"
            ),
            ObjectKind::Encoding => {
                write!(
                    formatter,
                    "the encoding of the database is {name}, which cannot hold every text that \
                     RUNE writes"
                )
            }
            ObjectKind::Standby => {
                formatter.write_str("the server is a standby and cannot be written to")
            }
            ObjectKind::ReadOnly => formatter
                .write_str("`default_transaction_read_only` is on: the session cannot write"),
        }
    }
}

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspection {
    pub(super) objects: Vec<SiteObject>,
    /// Tables that deletes of RUNE's rows reach by foreign keys, one after another; their names in
    /// SQL. RUNE's own are not among them.
    pub(super) reached: Vec<String>,
}

/// Why a verb does nothing here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Failure)]
#[error("{}", .reasons.join("; "))]
#[failure(kind: *.kind, help: .help.clone(), may_pass: *.may_pass)]
pub struct Obstacle {
    reasons: Vec<String>,
    kind: FailureKind,
    may_pass: bool,
    help: String,
}

impl Inspection {
    /// Refuses what the verb cannot do, naming every object that stands in its way.
    ///
    /// # Errors
    /// With all of them; the kind and the help are those of the first.
    pub fn check(&self, verb: Verb) -> Result<(), Obstacle> {
        self.refuse(verb, |_| true)
    }

    /// The same where what deletes reach is allowed.
    pub(crate) fn check_without_cascades(&self, verb: Verb) -> Result<(), Obstacle> {
        self.refuse(verb, |object| !object.is_cascade())
    }

    fn refuse(&self, verb: Verb, counts: impl Fn(&SiteObject) -> bool) -> Result<(), Obstacle> {
        let refusal = |object: &SiteObject| match object.weight(verb) {
            Weight::Refuse(kind) => Some(kind),
            Weight::Silent | Weight::Note => None,
        };
        let all: Vec<&SiteObject> = self
            .objects
            .iter()
            .filter(|object| counts(object) && refusal(object).is_some())
            .collect();
        obstacle(&all, verb, all.first().and_then(|first| refusal(first)))
    }

    /// Refuses to alter the type of columns that something depends on.
    pub(crate) fn check_altered(&self, columns: &[(&str, &str)]) -> Result<(), Obstacle> {
        let is_concerned = |object: &&SiteObject| match &object.kind {
            ObjectKind::Dependent { column } => {
                columns.contains(&(object.table.as_str(), column.as_str()))
            }
            ObjectKind::RowType => columns.iter().any(|(table, _)| *table == object.table),
            _ => false,
        };
        let all: Vec<&SiteObject> = self.objects.iter().filter(is_concerned).collect();
        obstacle(
            &all,
            Verb::Repair,
            (!all.is_empty()).then_some(FailureKind::Conflict),
        )
    }

    /// What is worth knowing before the verb is run, or after.
    pub fn notes(&self, verb: Verb) -> Vec<String> {
        self.objects
            .iter()
            .filter(|object| object.weight(verb) == Weight::Note)
            .map(ToString::to_string)
            .collect()
    }

    /// What is wrong with RUNE's tables whatever is done with them: as text, by table.
    pub fn faults(&self) -> impl Iterator<Item = (&str, String)> {
        let is_fault = |object: &&SiteObject| {
            use ObjectKind as Kind;
            match &object.kind {
                Kind::SecondSchema { is_named, .. } => !is_named,
                Kind::Relation(_)
                | Kind::Unlogged
                | Kind::RowSecurity
                | Kind::ChildTable
                | Kind::GeneratedColumn => true,
                _ => false,
            }
        };
        self.objects
            .iter()
            .filter(is_fault)
            .map(|object| (object.table.as_str(), object.to_string()))
    }

    /// The triggers and rules that a verb sets off: what they do elsewhere cannot be known.
    pub fn unknown_effects(&self, verb: Verb) -> Vec<String> {
        let is_one = |object: &&SiteObject| {
            matches!(
                object.kind,
                ObjectKind::Trigger { .. } | ObjectKind::Rule(_)
            ) && object.weight(verb) != Weight::Silent
        };
        self.objects
            .iter()
            .filter(is_one)
            .map(ToString::to_string)
            .collect()
    }

    /// Whether something else than an ordinary table stands under the name of one of RUNE's.
    pub fn is_replaced(&self, table: &str) -> bool {
        self.objects
            .iter()
            .any(|object| object.table == table && matches!(object.kind, ObjectKind::Relation(_)))
    }

    /// Tables that deletes of RUNE's rows reach by foreign keys.
    pub fn reached(&self) -> &[String] {
        &self.reached
    }
}

/// What to do where RUNE's tables exist in two schemas.
pub(super) fn other_schema_help(schema: &str, other: &str) -> String {
    let [schema, other] = [schema, other].map(path_in_url);
    format!(
        "name the schema in the URL, `?options=-csearch_path%3D{schema}` or `…%3D{other}`; or \
         remove the tables that are not used"
    )
}

/// A search path of one schema within the `options` of a URL: quoted for SQL unless it is a plain
/// word, its spaces and backslashes escaped for `options`, then encoded for the URL.
fn path_in_url(schema: &str) -> String {
    let is_plain = schema
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let name = if is_plain {
        schema.to_owned()
    } else {
        quoted(schema)
    };
    let escaped = name.replace('\\', "\\\\").replace(' ', "\\ ");
    utf8_percent_encode(&escaped, NON_ALPHANUMERIC)
        .to_string()
        .replace("%5F", "_")
}

fn obstacle(all: &[&SiteObject], verb: Verb, kind: Option<FailureKind>) -> Result<(), Obstacle> {
    let (Some(kind), Some(first)) = (kind, all.first()) else {
        return Ok(());
    };
    let reasons = all.iter().map(ToString::to_string).collect();
    // Somebody may be about to promote the server, or to lift the fence.
    let may_pass = matches!(first.kind, ObjectKind::Standby | ObjectKind::ReadOnly);
    Err(Obstacle {
        reasons,
        kind,
        may_pass,
        help: first.help(verb),
    })
}
