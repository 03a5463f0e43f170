//! What help and man pages say besides the options.

use rune_core::{
    cli::help::{Group, Guide},
    failure::FailureKind,
};

pub const GUIDE: Guide = Guide {
    groups: &[
        Group {
            heading: "Schema",
            verbs: &["migrate", "status", "repair", "verify", "doctor", "wait"],
        },
        Group {
            heading: "Transfer",
            verbs: &[
                "migrate-to-postgres",
                "compare",
                "export-sqlite",
                "backup",
                "restore",
            ],
        },
        Group {
            heading: "Records",
            verbs: &["jobs", "events", "audit", "settings", "prune"],
        },
        Group {
            heading: "Tools",
            verbs: &["completions", "man"],
        },
    ],
    examples: &[
        (
            "migrate",
            &[
                "rune-db migrate --db-url sqlite:///./jobs.db",
                "rune-db migrate --db-url sqlite:///./jobs.db --dry-run",
            ],
        ),
        (
            "status",
            &[
                "rune-db status --db-url sqlite:///./jobs.db",
                "rune-db status --db-url sqlite:///./jobs.db --json",
            ],
        ),
        (
            "verify",
            &[
                "rune-db verify --db-url sqlite:///./jobs.db",
                "rune-db verify --db-url sqlite:///./jobs.db --strict",
            ],
        ),
        (
            "backup",
            &[
                "rune-db backup --db-url sqlite:///./jobs.db --output backup.db",
                "rune-db backup --db-url sqlite:///./jobs.db -o /tmp/backup.db",
            ],
        ),
        (
            "restore",
            &["rune-db restore --db-url sqlite:///./restored.db --from backup.db"],
        ),
    ],
    synonyms: &[
        ("init", "migrate"),
        ("upgrade", "migrate"),
        ("check", "verify"),
        ("dump", "backup"),
        ("export", "export-sqlite"),
        ("import", "restore"),
        ("diff", "compare"),
        ("version", "--version"),
    ],
    option_synonyms: &[
        ("--format", "--json"),
        ("--url", "--db-url"),
        ("--database-url", "--db-url"),
        ("-d", "--db-url"),
    ],
    variables: &[
        ("RUNE_DB_URL", "URL of the database."),
        (
            "RUNE_DATABASE_URL",
            "URL of the database, when RUNE_DB_URL is not set.",
        ),
        (
            "RUNE_API_DB_PATH",
            "Path of the SQLite file, when no URL is set.",
        ),
        ("PGPASSFILE", "File with passwords of PostgreSQL roles."),
        ("NO_COLOR", "Any value switches colour off."),
    ],
    exit_codes: &[
        (FailureKind::Internal, "internal error"),
        (FailureKind::Usage, "the command line is invalid"),
        (
            FailureKind::Input,
            "a row, a setting or a file is invalid; what can be read is shown",
        ),
        (
            FailureKind::NotFound,
            "a database, schema, row or file was not found, or is not RUNE's",
        ),
        (
            FailureKind::Drift,
            "two databases differ, or a schema is not as its migrations make it",
        ),
        (
            FailureKind::Content,
            "content does not match its digest, or the database is damaged",
        ),
        (
            FailureKind::Access,
            "authentication failed, or a permission is missing",
        ),
        (
            FailureKind::Network,
            "the network or the server failed, after retries",
        ),
        (
            FailureKind::Space,
            "not enough space, or a limit was reached",
        ),
        (
            FailureKind::Conflict,
            "something already exists, is locked or was changed by another process, or would be \
             lost",
        ),
        (
            FailureKind::Interrupted,
            "interrupted with Ctrl-C or SIGTERM",
        ),
    ],
    see_also: &["rune-bundle", "sqlite3", "psql"],
};
