#!/bin/sh
# Puts a dump in the place of everything that the role owns in the database, in one transaction: all of it or nothing.
#
# Reads besides what client.sh reads: FILE (name of a dump in BACKUP_DIR).
task=restore
. "${0%/*}/client.sh"

cd "$BACKUP_DIR"
[ -f "$FILE" ] || refuse "there is no $FILE on the backup volume; it has: $(ls -1 | grep '[.]dump$' | tr '\n' ' ')"
if [ -f "$FILE.sha256" ]; then
  # The sum alone: the file may have been brought here under another name.
  expected=$(cut -d' ' -f1 "$FILE.sha256") actual=$(sha256sum <"$FILE")
  [ "$expected" = "${actual%% *}" ] || refuse "$FILE is not what was written: its SHA-256 is ${actual%% *}, $FILE.sha256 says $expected"
else
  say "warning: there is no $FILE.sha256 to compare with"
fi
is_whole "$FILE" || refuse "$FILE is damaged; the database is untouched"

wait_for_server
sql() { psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --set=VERBOSITY=terse "$@"; }
# The upgrade that starts this job stops the API in the same moment, so its sessions are given time to end.
waited=0
while :; do
  others=$(sql --command="SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL")
  [ "$others" != 0 ] || break
  [ "$waited" -lt "$WAIT_SECONDS" ] ||
    refuse "$others other sessions are connected to the database $PGDATABASE; stop the API first (replicaCount: 0)"
  [ $((waited % 30)) -ne 0 ] || say "waiting for $others other sessions to end"
  sleep 2
  waited=$((waited + 2))
done

say "restoring $FILE into the database $PGDATABASE"
# Everything of the role goes first, or tables that are younger than the dump would stay beside it. The end of the transaction is
# only written when pg_restore got to its own end; without it psql rolls back.
answer=$(
  {
    printf '%s\n' 'BEGIN;' 'SET LOCAL lock_timeout = 60000;' 'DROP OWNED BY CURRENT_USER;'
    pg_restore --no-owner --no-privileges --no-comments --file=- "$FILE" && printf '%s\n' 'COMMIT;' '\echo restored'
  } | sql
) || { say "nothing was changed"; exit 1; }
case $answer in
  *restored) ;;
  *) say "the dump ended early; nothing was changed"; exit 1 ;;
esac
sql --command='ANALYZE' 2>/dev/null || :
say "$FILE is restored"
