//! What an SQLSTATE means for whoever ran the command: the kind of failure, whether waiting helps,
//! what to do next.

use rune_core::failure::FailureKind;

/// The kind of a failure. Whatever a site's servers, settings, objects and data can cause has one;
/// only what our own statements are to blame for is internal.
pub(super) fn kind(code: &str, is_fatal: bool) -> FailureKind {
    match code {
        // No such database, schema, or role and setting in the options of a URL.
        "3D000" | "3F000" | "42704" => FailureKind::NotFound,
        // A right is missing, or the server or session only reads. What a site's own function
        // raises (P0001 to P0004) forbids something.
        "42501" | "25006" => FailureKind::Access,
        // A setting in the options of a URL.
        "22023" | "55P02" | "42601" if is_fatal => FailureKind::Input,
        // A database that takes no connections, or a server whose state changed under the
        // connection.
        "55000" if is_fatal => FailureKind::Network,
        // The server or an administrator ended the statement or the session.
        "25P03" | "25P04" | "57014" => FailureKind::Network,
        // Tables, columns, functions or types that are not those of RUNE.
        "42P01" | "42703" | "42883" | "42804" | "42846" | "42809" | "428C9" | "42P18" | "42725" => {
            FailureKind::Drift
        }
        // Pages or indexes are damaged.
        "XX001" | "XX002" => FailureKind::Content,
        // A row that the server cannot represent or find room for.
        "54000" | "54001" | "54011" | "54023" => FailureKind::Space,
        // Syntax, parameters, names of statements and cursors, the order of transactions: nobody
        // but us writes them.
        "42601" | "42P02" | "42P03" | "42P05" | "42P08" | "25P01" | "25P02" => {
            FailureKind::Internal
        }
        other => match other.get(..2).unwrap_or_default() {
            "08" | "57" | "58" | "F0" | "XX" | "HV" => FailureKind::Network,
            "0L" | "0P" | "28" | "P0" | "38" | "39" | "2F" => FailureKind::Access,
            "21" | "22" => FailureKind::Input,
            "53" => FailureKind::Space,
            "03" | "24" | "25" | "26" | "2D" | "34" | "3B" => FailureKind::Internal,
            // Dependent objects, constraints, locks, deadlocks, objects in use or with that name,
            // and codes of a site's own.
            _ => FailureKind::Conflict,
        },
    }
}

/// Whether it may go away while one waits.
pub(super) fn may_pass(code: &str, is_fatal: bool) -> bool {
    // Whoever sets the server up may still have to create the role, its password and the database,
    // or to promote it.
    const NOT_SET_UP: [&str; 4] = ["28P01", "28000", "3D000", "25006"];
    const IN_USE: [&str; 8] = [
        "55006", "55P03", "40001", "40P01", "42P07", "23505", "42710", "42P06",
    ];
    let is_scarce = code.starts_with("53");
    NOT_SET_UP.contains(&code)
        || IN_USE.contains(&code)
        || is_scarce
        || kind(code, is_fatal) == FailureKind::Network
}

pub(super) fn help(code: &str, is_fatal: bool) -> Option<&'static str> {
    Some(match code {
        "28P01" => {
            "check the user and the password; in a URL, special characters must be percent-encoded"
        }
        "28000" => {
            "check that the role exists and that the server's pg_hba.conf lets it in from here"
        }
        "3D000" => "create the database first, owned by RUNE's role",
        "42501" => "give the role the right it lacks, or connect as another role",
        "25006" => "this server only reads; connect to the primary",
        "55P03" => {
            "another session holds a lock; wait for it to end and run the same command again"
        }
        "53300" => {
            "free a connection, or raise `max_connections` or the CONNECTION LIMIT of the role or \
             database"
        }
        "53100" | "53400" => "give the server more disk, or raise its limit (`temp_file_limit`)",
        "57P01" | "57P02" | "57P03" => {
            "wait for the server to be up and run the same command again"
        }
        "57014" => {
            "an administrator or a time limit ended the statement; run the same command again"
        }
        "55000" if is_fatal => {
            "the database takes no connections; wait, or `ALTER DATABASE … ALLOW_CONNECTIONS true`"
        }
        "22023" | "42704" | "55P02" | "42601" if is_fatal => "check `options` in the URL",
        "0A000" | "2BP01" => {
            "drop the object that depends on it, run the same command again, and create the \
             object anew"
        }
        "40001" | "40P01" => {
            "another session was in the way (on a standby: the replay of the primary's changes); \
             run the same command again"
        }
        "22P05" | "22021" => {
            "the encoding of the database cannot hold a string; create the database with \
             `ENCODING 'UTF8'`"
        }
        "55006" => "the object is in use; stop what uses it and run the same command again",
        "42P01" | "42703" | "42883" | "42804" | "42846" | "42809" | "428C9" => {
            "the tables are not as RUNE creates them; `rune-db status` shows what differs"
        }
        "23502" | "23503" | "23505" | "23514" | "23P01" | "44000" => {
            "a constraint or unique index that RUNE does not have refuses a row; drop it, or \
             change the rows"
        }
        "XX001" | "XX002" => "the server's files are damaged; restore the database from a backup",
        "54000" | "54001" | "54011" | "54023" => {
            "the server cannot hold or process this; its message names the limit"
        }
        _ => match code.get(..2)? {
            "P0" | "38" | "39" | "2F" | "09" | "27" => {
                "a trigger, event trigger or function of this site refuses; ask whoever maintains \
                 it, or have it disabled meanwhile"
            }
            "08" | "58" | "XX" => "see the server's log, and run the same command again",
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::kind;
    use rune_core::failure::FailureKind;

    #[test]
    fn what_a_site_can_cause_is_never_a_bug_of_ours() {
        for (code, expected) in [
            ("0A000", FailureKind::Conflict),
            ("2BP01", FailureKind::Conflict),
            ("22P05", FailureKind::Input),
            ("22021", FailureKind::Input),
            ("22023", FailureKind::Input),
            ("55000", FailureKind::Conflict),
            ("57P03", FailureKind::Network),
            ("53300", FailureKind::Space),
            ("P0001", FailureKind::Access),
            ("25006", FailureKind::Access),
            ("40001", FailureKind::Conflict),
            ("23514", FailureKind::Conflict),
            ("54000", FailureKind::Space),
            ("XX000", FailureKind::Network),
            ("XX001", FailureKind::Content),
            // What a function of a site makes up.
            ("SITE1", FailureKind::Conflict),
        ] {
            assert_eq!(kind(code, false), expected, "{code}");
        }
        assert_eq!(kind("55000", true), FailureKind::Network);
        assert_eq!(
            kind("42601", true),
            FailureKind::Input,
            "`options` that the server does not know"
        );
    }

    #[test]
    fn what_only_our_statements_can_cause_is_a_bug_of_ours() {
        for code in ["42601", "42P02", "25P02", "26000", "34000"] {
            assert_eq!(kind(code, false), FailureKind::Internal, "{code}");
        }
    }
}
