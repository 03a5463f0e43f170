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
#        PASSWORD_FILE, DB_USER, DB_NAME, SCRIPTS (directory of the first start's scripts; may be missing).
# Ends with 64 when the volume, the scripts or the settings need a person's decision; anything else is worth another try.
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

owner() { stat -c %u "$1"; }
about() { stat -c 'it belongs to uid %u and gid %g, mode %a' "$1"; }
myself="this pod runs as uid $(id -u) with the groups $(id -G)"
# What helps where the storage sets no owner: NFS, hostPath and others ignore fsGroup.
access="change the owner on the storage server, or set podSecurity.runAsUser, runAsGroup, fsGroup or supplementalGroups to ids that may"
may_enter() { [ -r "$1" ] && [ -x "$1" ]; }

for directory in "$VOLUME" "$(dirname "$PGDATA")" "$PGDATA"; do
  [ ! -d "$directory" ] || may_enter "$directory" || refuse "cannot read $directory: $(about "$directory"); $myself; $access"
done
# Another layout than this chart's, wherever it is: starting beside it would look like an empty database.
refuse_foreign_data() {
  found=$(find "$VOLUME" -xdev -mindepth 1 -maxdepth 6 \
    \( -path "$VOLUME/.*" -o -name lost+found -o -path '*/base/[0-9]*' -o -name pg_tblspc -o -name pg_wal \) -prune -o -name PG_VERSION -print 2>&1) || :
  hit=$(printf '%s\n' "$found" | grep -v '^find:' | head -n 1)
  case $hit in
    '')
      [ -z "$found" ] || refuse "cannot see whether the volume holds data of another chart: $found; $myself; $access"
      return 0 ;;
    */docker/PG_VERSION) refuse "the volume holds data of PostgreSQL $(cat "$hit") and none of $MAJOR; starting now would look like an empty database" ;;
    "$VOLUME/PG_VERSION") place="at its root" ;;
    *) place=${hit#"$VOLUME/"} && place="in ${place%/PG_VERSION}/" ;;
  esac
  refuse "the volume holds a data directory $place (PostgreSQL $(cat "$hit")), as other charts make it; starting now would look like an empty" \
    "database. Set persistence.existingClaim to an empty claim and move the data by a dump: docs/operations/from-another-chart.md"
}
if [ -e "$PGDATA/PG_VERSION" ]; then
  found=$(cat "$PGDATA/PG_VERSION")
  [ "$found" = "$MAJOR" ] || refuse "the data directory is of PostgreSQL $found, the server of PostgreSQL $MAJOR"
  [ "$(owner "$PGDATA")" = "$(id -u)" ] ||
    refuse "PostgreSQL starts as the owner of its data directory $PGDATA and as nobody else: $(about "$PGDATA"); $myself;" \
      "set podSecurity.runAsUser to $(owner "$PGDATA"), or change the owner on the storage server"
  [ -w "$PGDATA" ] || refuse "cannot write to $PGDATA, for example because the volume is read-only: $(about "$PGDATA"); $myself"
else
  if [ -d "$PGDATA" ] && [ -n "$(ls -A "$PGDATA")" ]; then
    refuse "$PGDATA has content but no PG_VERSION; check it before anything overwrites it"
  fi
  refuse_foreign_data
fi
[ -r "$PASSWORD_FILE" ] || [ ! -e "$PASSWORD_FILE" ] || refuse "cannot read the Secret's password: $(about "$PASSWORD_FILE"); $myself"
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
  WHEN NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name')
    AND EXISTS (SELECT FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p') AND nspname !~ '^(pg_|information_schema$)')
    THEN 'others postgres'
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
  state=$(look 2>&1) || {
    case $state in
      *'"postgres" does not exist'*)
        say "the cluster in $PGDATA has no superuser postgres, so another chart made it; move the data by a dump: docs/operations/from-another-chart.md"
        fail 64 ;;
    esac
    say "$state"
    fail 1
  }
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

# --- The site's own scripts: once, as superuser in RUNE's database, in the order of their names ---------------------------
lower_case() { printf '%s' "${1##*/}" | tr '[:upper:]' '[:lower:]'; }

# decompressor NAME: the command that reads a script of that name; none for one that is not compressed.
decompressor() {
  case $1 in
    *.sql.gz) echo gunzip -c ;;
    *.sql.xz) echo xzcat ;;
    *.sql.zst) echo zstd -dcq ;;
  esac
}

# Before anything is created: a script that would be passed over or be cut off is a script that did not run.
check_scripts() {
  [ -d "${SCRIPTS:-}" ] || return 0
  # Names with two dots at the front are kubelet's own.
  for script in "$SCRIPTS"/.[!.]* "$SCRIPTS"/*; do
    [ -e "$script" ] || [ -L "$script" ] || continue
    name=$(lower_case "$script")
    case $name in
      *.sql | *.sh | *.sql.gz | *.sql.xz | *.sql.zst) ;;
      *) refuse "the script ${script##*/} cannot run: names end with .sql, .sql.gz, .sql.xz, .sql.zst or .sh; rename it or remove it from initdb" ;;
    esac
    [ -f "$script" ] && [ -r "$script" ] || refuse "the script ${script##*/} is not a file that this pod may read"
    command=$(decompressor "$name")
    [ -n "$command" ] || continue
    command -v "${command%% *}" >/dev/null || refuse "the script ${script##*/} needs ${command%% *}, which the image does not have"
    $command <"$script" >/dev/null || refuse "the script ${script##*/} cannot be decompressed: it is damaged or not what its name says"
  done
}

run_scripts() {
  [ -d "${SCRIPTS:-}" ] || return 0
  ran=
  for script in "$SCRIPTS"/.[!.]* "$SCRIPTS"/*; do
    [ -e "$script" ] || continue
    name=$(lower_case "$script")
    say "running ${script##*/}"
    case $name in
      *.sh) PGHOST=$SOCKET_DIR PGUSER=postgres PGDATABASE=$DB_NAME sh -eu "$script" >&2 ;;
      *.sql) superuser --dbname="$DB_NAME" --file="$script" >&2 ;;
      *) $(decompressor "$name") <"$script" | superuser --dbname="$DB_NAME" --file=- >&2 ;;
    esac || { say "${script##*/} failed"; fail 1; }
    ran=true
  done
  [ -n "$ran" ] || return 0
  hand_over
  prove_backup
}

# What the scripts created belongs to the superuser, and backup and restore run as RUNE's role: it gets all but what extensions own and
# what only a superuser may own. Schemas go to whoever owns the database, so that a restore, which drops what the role owns, leaves them.
hand_over() {
  superuser --dbname="$DB_NAME" >/dev/null <<'SQL' || fail 1
SELECT format('ALTER %s %s OWNER TO %I', CASE type WHEN 'statistics object' THEN 'STATISTICS' ELSE type END, identity,
    CASE type WHEN 'schema' THEN 'pg_database_owner' ELSE :'user' END)
  FROM (
    SELECT 'pg_class'::regclass AS class, oid FROM pg_class WHERE relowner = 10 AND relkind IN ('r', 'p', 'v', 'm', 'f')
    -- A sequence of a column goes with its table.
    UNION ALL SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relowner = 10 AND relkind = 'S'
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype IN ('a', 'i'))
    -- Not one that runs with the rights of its owner, nor of an event trigger, which only a superuser may own.
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE proowner = 10 AND NOT prosecdef AND prorettype <> 'event_trigger'::regtype
    UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t LEFT JOIN pg_class c ON c.oid = typrelid
      WHERE typowner = 10 AND (typtype IN ('e', 'd', 'r') OR typtype = 'c' AND relkind = 'c')
    UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspowner = 10
    UNION ALL SELECT 'pg_operator'::regclass, oid FROM pg_operator WHERE oprowner = 10
    UNION ALL SELECT 'pg_collation'::regclass, oid FROM pg_collation WHERE collowner = 10
    UNION ALL SELECT 'pg_conversion'::regclass, oid FROM pg_conversion WHERE conowner = 10
    UNION ALL SELECT 'pg_ts_config'::regclass, oid FROM pg_ts_config WHERE cfgowner = 10
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid FROM pg_ts_dict WHERE dictowner = 10
    UNION ALL SELECT 'pg_statistic_ext'::regclass, oid FROM pg_statistic_ext WHERE stxowner = 10
    UNION ALL SELECT 'pg_publication'::regclass, oid FROM pg_publication WHERE pubowner = 10 AND NOT puballtables
    UNION ALL SELECT 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata WHERE lomowner = 10
  ) AS owned, LATERAL pg_identify_object(class, oid, 0)
  WHERE (oid >= 16384 OR class = 'pg_largeobject'::regclass)
    AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = class AND objid = oid AND objsubid = 0 AND deptype IN ('e', 'i'))
  ORDER BY oid \gexec
SELECT format('GRANT USAGE ON FOREIGN SERVER %I TO pg_database_owner', srvname) FROM pg_foreign_server WHERE srvowner = 10 \gexec
SQL
}

# A backup that works, before the site relies on one: everything is read by pg_dump with the rights of RUNE's role.
prove_backup() {
  dump_major=$(pg_dump --version 2>/dev/null | sed -E 's/^[^0-9]*([0-9]+).*/\1/') || :
  if [ "$dump_major" != "$MAJOR" ]; then
    say "warning: no pg_dump $MAJOR in this image, so nobody has tried whether a backup of what the scripts created works"
    return 0
  fi
  pg_dump --no-sync --format=custom --host="$SOCKET_DIR" --username=postgres --role="$DB_USER" --dbname="$DB_NAME" --file=/dev/null >&2 || {
    say "no backup would succeed: the role $DB_USER cannot dump what the scripts created, for the reason above; change the scripts so that it can"
    fail 64
  }
}

# --- Create the cluster, whole or not at all -------------------------------------------------------------------------------
# Where initdb is told to put the write-ahead log, if not into the data directory.
wal_directory() {
  previous=
  for option; do
    case $previous in -X | --waldir) printf '%s' "$option" ;; esac
    case $option in --waldir=*) printf '%s' "${option#*=}" ;; -X?*) printf '%s' "${option#-X}" ;; esac
    previous=$option
  done
}

prepare_volume() {
  # initdb sets this link after it has found the directory empty and before it writes there: what is in it is of the start that was killed.
  if [ -L "$staging/pg_wal" ] && [ -d "$staging/pg_wal/" ]; then
    find "$staging/pg_wal/" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  fi
  reason=$({ rm -rf "$staging" && mkdir "$staging" && mkdir -p "$(dirname "$PGDATA")"; } 2>&1) ||
    refuse "cannot write to the volume: $reason; $(about "$VOLUME"); $myself; $access. Where the mode allows it, SELinux may not: podSecurity.seLinuxOptions"
  [ "$(owner "$staging")" = "$(id -u)" ] ||
    refuse "what this pod writes to the volume belongs to uid $(owner "$staging") there, as an NFS export with all_squash does it; $myself;" \
      "set podSecurity.runAsUser to $(owner "$staging"), or export the volume without it"
  chmod 0700 "$staging" 2>/dev/null || :
  case $(stat -c %a "$staging") in
    *700) ;;
    *) refuse "the volume does not keep the mode 0700 that PostgreSQL wants of its data directory, as CIFS and FAT do not: $(about "$staging")" ;;
  esac
  wal=$(wal_directory "$@")
  [ -n "$wal" ] && [ -d "$wal" ] || return 0
  may_enter "$wal" && [ -w "$wal" ] && [ "$(owner "$wal")" = "$(id -u)" ] ||
    refuse "initdb cannot use $wal for the write-ahead log: $(about "$wal"); $myself; name a directory below it in --waldir, or $access"
  [ -z "$(ls -A "$wal")" ] ||
    refuse "$wal of --waldir is not empty, and no first start of this volume left it so: it may be the log of another cluster. Name another directory"
}

if [ ! -e "$PGDATA/PG_VERSION" ]; then
  check_scripts
  prepare_volume "$@"
  say "creating a new cluster for PostgreSQL $MAJOR"
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
  # Where a node has huge pages and the pod may use none, a server that takes them dies of a bus error. initdb's own needs none.
  [ "$MAJOR" -lt 16 ] || set -- --set=huge_pages=off "$@"
  initdb --no-instructions --pgdata="$staging" --username=postgres "$@" >&2 || {
    say "initdb failed for the reason above; the volume has $(df -Pk "$VOLUME" | awk 'NR == 2 { print int($4 / 1024) }') MB free"
    exit 1
  }
  unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
  start "$staging"
  reconcile
  run_scripts
  stop
  directory=
  sync -f "$VOLUME"
  [ -z "$wal" ] || sync -f "$wal"
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
