# What backup and restore share: read by both with `.`, never run. Nothing here prints a password.
#
# Reads: PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLMODE, PGSSLROOTCERT (libpq's own), PASSWORD_FILE, BACKUP_DIR, WAIT_SECONDS.
set -eu
umask 077

say() { printf '%s: %s\n' "$task" "$*" >&2; }
refuse() { say "$*"; exit 64; }

# libpq ignores a password file that a group can read, which is what a mounted Secret is; so it gets a copy of its own.
[ -s "$PASSWORD_FILE" ] || refuse "the Secret has no password"
PGPASSFILE=$(mktemp)
export PGPASSFILE
trap 'rm -f "$PGPASSFILE"' EXIT
trap 'exit 143' TERM INT
{ printf '*:*:*:*:'; sed 's/[\\:]/\\&/g' "$PASSWORD_FILE"; } >"$PGPASSFILE"

# The server of a new release starts at the same time as we do.
wait_for_server() {
  waited=0
  until pg_isready --quiet --timeout=3; do
    [ "$waited" -lt "$WAIT_SECONDS" ] || { say "no server at $PGHOST:$PGPORT after $WAIT_SECONDS seconds"; exit 1; }
    [ $((waited % 30)) -ne 0 ] || say "waiting for the server at $PGHOST:$PGPORT"
    sleep 2
    waited=$((waited + 2))
  done
}

# is_whole FILE: reads the dump to its last byte. A list of its contents (--list) is fine with a damaged one.
is_whole() { pg_restore --file=/dev/null "$1"; }
