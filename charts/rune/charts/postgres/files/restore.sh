#!/bin/sh
# Puts a dump in the place of everything that the role owns in the database, in one transaction: all of it or nothing.
#
# Reads besides what client.sh reads: FILE (name of a dump in BACKUP_DIR).
task=restore
. "${0%/*}/client.sh"

may_read_volume
cd "$BACKUP_DIR"
[ -f "$FILE" ] || refuse "there is no $FILE on the backup volume; it has: $(ls -1 | grep '[.]dump$' | tr '\n' ' ')"
[ -r "$FILE" ] || refuse "cannot read $FILE: $(about "$FILE"); $myself"
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
# What the role does not own stays, so it is not created again: extensions, schemas and functions of the first start's scripts, and what
# only a superuser may own. The names are as in the list of a dump.
kept=$(mktemp) list=$(mktemp)
sql >"$kept" <<'SQL'
SELECT format(' %s ', entry) FROM (
  SELECT 'EXTENSION - ' || extname, extowner FROM pg_extension
  UNION ALL SELECT 'SCHEMA - ' || nspname, nspowner FROM pg_namespace
  UNION ALL SELECT 'EVENT TRIGGER - ' || evtname, evtowner FROM pg_event_trigger
  UNION ALL SELECT 'FOREIGN DATA WRAPPER - ' || fdwname, fdwowner FROM pg_foreign_data_wrapper
  UNION ALL SELECT 'SERVER - ' || srvname, srvowner FROM pg_foreign_server
  UNION ALL SELECT format('USER MAPPING - USER MAPPING %s SERVER %s', usename, srvname), 10 FROM pg_user_mappings
  UNION ALL SELECT 'PUBLICATION - ' || pubname, pubowner FROM pg_publication
  UNION ALL SELECT 'PROCEDURAL LANGUAGE - ' || lanname, lanowner FROM pg_language
  UNION ALL SELECT format('OPERATOR FAMILY %s %s', nspname, opfname), opfowner FROM pg_opfamily JOIN pg_namespace n ON n.oid = opfnamespace
  UNION ALL SELECT format('OPERATOR CLASS %s %s', nspname, opcname), opcowner FROM pg_opclass JOIN pg_namespace n ON n.oid = opcnamespace
  UNION ALL SELECT 'ACCESS METHOD - ' || amname, 10 FROM pg_am
  UNION ALL SELECT format('CAST - CAST (%s AS %s)', format_type(castsource, NULL), format_type(casttarget, NULL)), 10 FROM pg_cast
    WHERE NOT EXISTS (SELECT FROM pg_type WHERE pg_type.oid IN (castsource, casttarget) AND typowner = current_user::regrole)
  UNION ALL SELECT format('%s %s %s(%s)', CASE prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, nspname, proname,
      (SELECT string_agg(format_type(type, NULL), ', ' ORDER BY position) FROM unnest(proargtypes) WITH ORDINALITY AS argument (type, position))),
    proowner FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE pg_proc.oid >= 16384
) AS there (entry, owner) WHERE owner <> current_user::regrole;
SQL
pg_restore --list "$FILE" | grep -vF -f "$kept" >"$list"
# Everything of the role goes first, or tables that are younger than the dump would stay beside it. With --single-transaction pg_restore
# writes the end of the transaction when it got to its own, and no other one around large objects; without it psql rolls back.
answer=$(
  {
    # The transaction that pg_restore begins within this one is worth a warning of the server.
    printf '%s\n' 'BEGIN;' 'SET LOCAL lock_timeout = 60000;' 'DROP OWNED BY CURRENT_USER;' 'SET LOCAL client_min_messages = error;'
    pg_restore --single-transaction --no-owner --no-privileges --no-comments --use-list="$list" --file=- "$FILE" && printf '%s\n' '\echo restored'
  } | sql
) || { say "nothing was changed"; exit 1; }
case $answer in
  *restored) ;;
  *) say "the dump ended early; nothing was changed"; exit 1 ;;
esac
sql --command='ANALYZE' 2>/dev/null || :
say "$FILE is restored"
