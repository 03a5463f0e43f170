# What backup and restore share: read by both with `.`, never run. Nothing here prints a password.
#
# Reads: PGHOST, PGPORT, PGUSER, PGDATABASE, PGSSLMODE, PGSSLROOTCERT (libpq's own), PASSWORD_FILE, BACKUP_DIR, WAIT_SECONDS.
set -eu
umask 077

say() { printf '%s: %s\n' "$task" "$*" >&2; }
refuse() { say "$*"; exit 64; }

about() { stat -c 'it belongs to uid %u and gid %g, mode %a' "$1"; }
myself="this pod runs as uid $(id -u) with the groups $(id -G)"
# NFS, hostPath and others set no owner for a pod, and the words of pg_dump do not say whose the volume is.
may_read_volume() {
  [ -r "$BACKUP_DIR" ] && [ -x "$BACKUP_DIR" ] || refuse "cannot read the backup volume: $(about "$BACKUP_DIR"); $myself; $access"
}
may_write_volume() {
  may_read_volume
  reason=$({ : >"$BACKUP_DIR/.probe.part" && rm -f "$BACKUP_DIR/.probe.part"; } 2>&1) ||
    refuse "cannot write to the backup volume: $reason; $(about "$BACKUP_DIR"); $myself; $access"
}
access="change the owner on the storage server, or set podSecurity.runAsUser, runAsGroup, fsGroup or supplementalGroups to ids that may"

[ -r "$PASSWORD_FILE" ] || [ ! -e "$PASSWORD_FILE" ] || refuse "cannot read the Secret's password: $(about "$PASSWORD_FILE"); $myself"
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

# is_whole FILE: reads the dump to its last byte. A list of its entries (--list) is fine with a damaged one.
is_whole() { pg_restore --file=/dev/null "$1"; }
