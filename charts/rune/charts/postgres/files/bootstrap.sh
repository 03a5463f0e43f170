#!/bin/sh
# Makes the data directory ready before the server starts. Runs at every start, in an init container with the server's own image.
#
#   bootstrap.sh [initdb option ...]
#
# The image's entrypoint is not safe against being killed during its first start: PG_VERSION exists by then, so every later start
# takes the half-made cluster for a whole one. Here a cluster is made under another name, with role, database and the site's own
# scripts, and renamed when all of it is complete and on the disk.
# The role, its password and the database are brought into line at every start over a private socket, so a changed Secret is
# a changed password after a restart, and the server's container never sees a password.
#
# Reads: VOLUME (mount point of the data volume), PGDATA (below it), MAJOR (expected major version), SOCKET_DIR, CONFIG_FILE,
#        PASSWORD_FILE, DB_USER, DB_NAME, SCRIPTS (directory of the first start's *.sql and *.sh; may be missing).
# Ends with 64 when the volume or the settings need a person's decision; anything else is worth another try.
set -eu
umask 077

say() { printf 'bootstrap: %s\n' "$*" >&2; }
refuse() { say "$*"; exit 64; }

staging=$VOLUME/.init
hba=$SOCKET_DIR/bootstrap-hba.conf
login=$SOCKET_DIR/bootstrap-login

# --- Refuse what must not be guessed -------------------------------------------------------------------------------------
image_major=$(postgres --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
[ "$image_major" = "$MAJOR" ] ||
  refuse "the image is PostgreSQL $image_major, the values say majorVersion $MAJOR; a new major version needs a dump and a restore"
[ ! -e "$VOLUME/PG_VERSION" ] ||
  refuse "the volume holds a data directory at its root, as other charts make it; dump it there and restore it here"
if [ -e "$PGDATA/PG_VERSION" ]; then
  found=$(cat "$PGDATA/PG_VERSION")
  [ "$found" = "$MAJOR" ] || refuse "the data directory is of PostgreSQL $found, the server of PostgreSQL $MAJOR"
else
  for other in "$VOLUME"/*/docker/PG_VERSION; do
    [ ! -e "$other" ] ||
      refuse "the volume holds data of PostgreSQL $(cat "$other") and none of $MAJOR; starting now would look like an empty database"
  done
  if [ -d "$PGDATA" ] && [ -n "$(ls -A "$PGDATA")" ]; then
    refuse "$PGDATA has content but no PG_VERSION; look at it before anything overwrites it"
  fi
fi
[ -s "$PASSWORD_FILE" ] || refuse "the Secret has no password: the key that auth.secretKeys.password names is missing or empty"
# A line break at the very end is what editors leave behind; psql and the shell drop it alike.
[ "$(printf '%s' "$(cat "$PASSWORD_FILE")" | wc -l)" -eq 0 ] || refuse "the password in the Secret has more than one line"
[ "$(printf '%s' "$(cat "$PASSWORD_FILE")" | wc -m)" -ge 16 ] || say "warning: the password has fewer than 16 characters"

# --- A server for ourselves alone ------------------------------------------------------------------------------------------
# The superuser needs no password on a socket that only this container sees; the role does, which is how a changed one is noticed.
printf 'local all postgres trust\nlocal all all scram-sha-256\n' >"$hba"
directory=
stop() { pg_ctl --pgdata="$directory" --mode=fast --wait --timeout=600 stop >&2; }
fail() { stop || :; exit "$1"; }
trap '[ -z "$directory" ] || stop || :; exit 143' TERM INT

# start DIRECTORY. Crash recovery happens here, where no probe can kill it.
start() {
  directory=$1
  # A server that is killed, or a node that loses power, between making a lock file and filling it leaves an empty one, and no server
  # starts over an empty one. A server that is alive fills it at once.
  lock=$directory/postmaster.pid
  if [ -e "$lock" ] && [ ! -s "$lock" ]; then
    sleep 1
    if [ -e "$lock" ] && [ ! -s "$lock" ]; then
      say "removing $lock, which a start that was killed left empty"
      rm -f "$lock"
    fi
  fi
  # The socket's directory is this pod's own, and none of its servers runs yet: what is there is left over.
  rm -f "$SOCKET_DIR"/.s.PGSQL.*
  # pg_ctl must be a child of this very shell: the server learns the shell's process id from it, and so does not take a stale
  # postmaster.pid of a former container (whose server also was process 1) for a running server.
  pg_ctl --pgdata="$directory" --wait --timeout=86400 start -o "\
   -c config_file='$CONFIG_FILE' -c hba_file='$hba' -c listen_addresses='' -c unix_socket_directories='$SOCKET_DIR' -c ssl=off \
   -c shared_preload_libraries='' -c session_preload_libraries='' -c log_statement=none -c log_min_error_statement=panic -c log_min_duration_statement=-1" >&2
}

superuser() {
  psql --no-psqlrc --quiet --no-align --tuples-only --host="$SOCKET_DIR" --username=postgres --set=ON_ERROR_STOP=1 --set=VERBOSITY=terse \
    --set=user="$DB_USER" --set=name="$DB_NAME" "$@"
}

# What the cluster has that the values do not speak of.
look() {
  superuser --dbname=postgres <<'SQL'
SELECT CASE
  WHEN EXISTS (SELECT FROM pg_database WHERE datname = :'name' AND pg_get_userbyid(datdba) NOT IN (:'user', 'postgres'))
    THEN format('owner %s', (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = :'name'))
  WHEN NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name')
    AND EXISTS (SELECT FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres')
    THEN format('others %s', (SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'))
  WHEN EXISTS (SELECT FROM pg_authid WHERE rolname = :'user' AND rolpassword IS NOT NULL) THEN 'known'
  ELSE 'new'
END;
SQL
}

# Whether the role is let in with the password of the Secret.
is_password_right() {
  { printf '*:*:*:*:'; sed 's/[\\:]/\\&/g' "$PASSWORD_FILE"; } >"$login"
  PGPASSFILE=$login psql --no-psqlrc --no-password --quiet --host="$SOCKET_DIR" --username="$DB_USER" --dbname="$DB_NAME" --command='' >/dev/null 2>&1
}

# --- Role, password, database ----------------------------------------------------------------------------------------------
# The password is read by psql itself: it is in no argument list, no environment and, with the settings above, in no log.
# The schema public belongs to whoever owns the database, through the role pg_database_owner.
reconcile() {
  state=$(look) || fail 1
  case $state in
    owner\ *)
      say "the database $DB_NAME belongs to the role ${state#owner }, the values say $DB_USER: set auth.username back, or rename the role first"
      fail 64 ;;
    others\ *)
      say "there is no database $DB_NAME but there is ${state#others }: set auth.database back, or rename the database first; a new one would look like lost data"
      fail 64 ;;
    known) is_password_right || say "the password of the role $DB_USER is not the one of the Secret; from now on it is" ;;
  esac
  export PASSWORD_FILE
  superuser --dbname=postgres >/dev/null <<'SQL' || fail 1
\set password `cat "$PASSWORD_FILE"`
SELECT format('CREATE ROLE %I', :'user') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'user') \gexec
ALTER ROLE :"user" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
ALTER ROLE postgres PASSWORD NULL;
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'user') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
ALTER DATABASE :"name" OWNER TO :"user";
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
\connect :"name"
SELECT 'ALTER SCHEMA public OWNER TO pg_database_owner' FROM pg_namespace
  WHERE nspname = 'public' AND pg_get_userbyid(nspowner) NOT IN ('pg_database_owner', :'user') \gexec
SQL
  is_password_right || { say "the role $DB_USER is not let in with the password that was just set"; fail 1; }
}

# The site's own scripts, once, as superuser in RUNE's database, in the order of their names.
run_scripts() {
  for script in "${SCRIPTS:-/nonexistent}"/*; do
    case $script in
      *.sql) say "running $(basename "$script")"; superuser --dbname="$DB_NAME" --file="$script" >&2 || fail 1 ;;
      *.sh)
        say "running $(basename "$script")"
        PGHOST=$SOCKET_DIR PGUSER=postgres PGDATABASE=$DB_NAME sh -eu "$script" >&2 || { say "$(basename "$script") failed"; fail 1; } ;;
    esac
  done
}

# --- Make the cluster, whole or not at all -------------------------------------------------------------------------------
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  say "making a new cluster for PostgreSQL $MAJOR"
  rm -rf "$staging"
  if ! id -un >/dev/null 2>&1; then
    # initdb looks its own user up; a random uid has no entry, so one is made up with the library that the image ships for this.
    for library in /usr/lib/libnss_wrapper.so /usr/lib/*/libnss_wrapper.so /lib/*/libnss_wrapper.so; do
      [ -e "$library" ] || continue
      printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$VOLUME" >"$SOCKET_DIR/passwd"
      printf 'postgres:x:%s:\n' "$(id -g)" >"$SOCKET_DIR/group"
      export LD_PRELOAD="$library" NSS_WRAPPER_PASSWD="$SOCKET_DIR/passwd" NSS_WRAPPER_GROUP="$SOCKET_DIR/group"
      break
    done
  fi
  initdb --no-instructions --pgdata="$staging" --username=postgres "$@" >&2
  unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
  start "$staging"
  reconcile
  run_scripts
  stop
  directory=
  mkdir -p "$(dirname "$PGDATA")"
  sync -f "$VOLUME"
  # -T: the target is the directory itself; a directory with content is never replaced.
  mv -T "$staging" "$PGDATA"
  sync -f "$VOLUME"
else
  # A volume's group permission setting may have opened the directory, which the server refuses.
  chmod 0700 "$PGDATA"
  start "$PGDATA"
  reconcile
  stop
fi
rm -f "$login"
say "ready"
