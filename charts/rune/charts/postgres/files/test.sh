#!/bin/sh
# `helm test`: the URL of the Secret leads to a server that lets the role in, under the name and with the rights that RUNE needs,
# and with no others. Reads: RUNE_DB_URL, DB_USER, DB_NAME.
set -eu
# The network may learn of this pod a moment after it has started. A URL that cannot be parsed is an answer too.
waited=0
while [ "$waited" -lt 60 ]; do
  code=0
  pg_isready --quiet --timeout=3 --dbname="$RUNE_DB_URL" || code=$?
  case $code in 0 | 3) break ;; esac
  sleep 2
  waited=$((waited + 2))
done
answer=$(psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 --set=user="$DB_USER" --set=name="$DB_NAME" "$RUNE_DB_URL" 2>&1 <<'SQL'
BEGIN;
CREATE TABLE public.rune_helm_test (x int);
INSERT INTO public.rune_helm_test VALUES (1);
SELECT CASE
  WHEN current_user <> :'user' THEN 'the URL is of another role than auth.username'
  WHEN current_database() <> :'name' THEN 'the URL is of another database than auth.database'
  WHEN (SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = current_user)
    THEN 'the role has rights over the server'
  WHEN (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()) <> current_user THEN 'the role does not own the database'
  WHEN NOT (SELECT pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = 'public') THEN 'the role does not own the schema'
  ELSE 'fine'
END FROM public.rune_helm_test;
ROLLBACK;
SQL
) || {
  # libpq repeats a URL that it cannot parse, password included.
  case $answer in
    *percent-encoded* | *URI* | *"in connection"*) answer="the URL in the Secret cannot be parsed; is the password percent-encoded?" ;;
  esac
  answer="psql: $answer"
}
printf '%s\n' "$answer"
[ "$answer" = fine ]
