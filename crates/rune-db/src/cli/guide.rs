//! What help and man pages say besides the options.

use rune_core::cli::help::{Group, Guide};

/// The help of `rune-db`.
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
    see_also: &["rune-bundle", "sqlite3", "psql"],
};
