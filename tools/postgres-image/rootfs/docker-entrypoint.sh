#!/usr/bin/env bash
# Entry point of the test image: what docker-library/postgres promises to whoever runs it, written anew.
# Environment: POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS and each with _FILE;
# POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_WALDIR, PGDATA, PGPORT. Scripts in /docker-entrypoint-initdb.d run once.
# It may be sourced by other scripts, for its functions; then it does nothing by itself. Those called docker_… and pg_… have
# the names that init scripts know from the official image.
set -Eeo pipefail

is_sourced() { [ "${#FUNCNAME[@]}" -ge 2 ] && [ "${FUNCNAME[1]}" = main_unless_sourced ] && [ "${FUNCNAME[2]}" = source ]; }

fail() {
    printf >&2 'error: %s\n' "$*"
    exit 1
}

# file_env NAME [DEFAULT]: NAME from the environment, else from the file that NAME_FILE names, else DEFAULT.
file_env() {
    local name=$1 from_file=$1_FILE value=${2:-}
    if [ -n "${!name:-}" ] && [ -n "${!from_file:-}" ]; then
        fail "both $name and $from_file are set (but are exclusive)"
    fi
    if [ -n "${!name:-}" ]; then
        value=${!name}
    elif [ -n "${!from_file:-}" ]; then
        value=$(<"${!from_file}")
    fi
    export "$name=$value"
    unset "$from_file"
}

docker_setup_env() {
    file_env POSTGRES_PASSWORD
    file_env POSTGRES_USER postgres
    file_env POSTGRES_DB "$POSTGRES_USER"
    file_env POSTGRES_INITDB_ARGS
    : "${POSTGRES_HOST_AUTH_METHOD:=}"
    database_already_exists=
    if [ -s "$PGDATA/PG_VERSION" ]; then
        database_already_exists=true
    fi
}

# Folders must exist and, when we still are root, belong to postgres. Where a volume forbids it, the server will say so.
docker_create_db_directories() {
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA" || true
    mkdir -p /var/run/postgresql || true
    chmod 3775 /var/run/postgresql 2>/dev/null || true
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
        mkdir -p "$POSTGRES_INITDB_WALDIR"
        chmod 700 "$POSTGRES_INITDB_WALDIR"
    fi
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \! -user postgres -exec chown postgres {} +
    fi
}

become_postgres() {
    if [ "$(id -u)" = 0 ]; then
        exec gosu postgres "${BASH_SOURCE[0]}" "$@"
    fi
}

docker_verify_minimum_env() {
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
        cat >&2 <<'EOE'
Error: Database is uninitialized and superuser password is not specified.
       You must specify POSTGRES_PASSWORD to a non-empty value for the
       superuser. For example, "-e POSTGRES_PASSWORD=password" on "docker run".

       You may also use "POSTGRES_HOST_AUTH_METHOD=trust" to allow all
       connections without a password. This is *not* recommended.
EOE
        exit 1
    fi
    if [ "$POSTGRES_HOST_AUTH_METHOD" = trust ]; then
        echo >&2 'WARNING: POSTGRES_HOST_AUTH_METHOD is "trust": anyone who reaches the port can do anything'
    fi
    # An unreadable folder must stop us before there is a database, not after.
    ls /docker-entrypoint-initdb.d/ >/dev/null
}

# initdb wants a name for the user it runs as; a pod may run as one that /etc/passwd does not know.
lend_a_user_name() {
    getent passwd "$(id -u)" >/dev/null && return 0
    NSS_WRAPPER_PASSWD=$(mktemp)
    NSS_WRAPPER_GROUP=$(mktemp)
    printf 'postgres:x:%s:%s:PostgreSQL:%s:/bin/false\n' "$(id -u)" "$(id -g)" "$PGDATA" >"$NSS_WRAPPER_PASSWD"
    printf 'postgres:x:%s:\n' "$(id -g)" >"$NSS_WRAPPER_GROUP"
    export LD_PRELOAD=/usr/lib/libnss_wrapper.so NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
}

return_the_user_name() {
    [ -n "${NSS_WRAPPER_PASSWD:-}" ] || return 0
    rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
    unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
}

docker_init_database_dir() {
    lend_a_user_name
    local arguments=(--username="$POSTGRES_USER")
    if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then
        arguments+=(--waldir "$POSTGRES_INITDB_WALDIR")
    fi
    # POSTGRES_INITDB_ARGS is shell words, quotes and all; `eval` is what the official image promises.
    eval 'initdb "${arguments[@]}" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
    return_the_user_name
}

# pg_setup_hba_conf POSTGRES_ARGUMENT...
pg_setup_hba_conf() {
    if [ "$1" = postgres ]; then
        shift
    fi
    : "${POSTGRES_HOST_AUTH_METHOD:=$(postgres -C password_encryption "$@")}"
    {
        printf '\n'
        if [ "$POSTGRES_HOST_AUTH_METHOD" = trust ]; then
            printf '# warning trust is enabled for all connections\n'
        fi
        printf 'host all all all %s\n' "$POSTGRES_HOST_AUTH_METHOD"
    } >>"$PGDATA/pg_hba.conf"
}

# A server for the setup only: no network, and the init system is not told that it is ready.
docker_temp_server_start() {
    if [ "$1" = postgres ]; then
        shift
    fi
    set -- "$@" -c listen_addresses='' -p "${PGPORT:-5432}"
    NOTIFY_SOCKET='' PGUSER="${PGUSER:-$POSTGRES_USER}" pg_ctl -D "$PGDATA" -o "$(printf '%q ' "$@")" -w start
}

docker_temp_server_stop() { PGUSER="${PGUSER:-postgres}" pg_ctl -D "$PGDATA" -m fast -w stop; }

docker_process_sql() {
    local query=(psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc)
    if [ -n "$POSTGRES_DB" ]; then
        query+=(--dbname "$POSTGRES_DB")
    fi
    PGHOST='' PGHOSTADDR='' "${query[@]}" "$@"
}

docker_setup_db() {
    local name=$POSTGRES_DB exists
    exists=$(POSTGRES_DB='' docker_process_sql --dbname postgres --set db="$name" --tuples-only <<<"SELECT 1 FROM pg_database WHERE datname = :'db';")
    if [ -z "$exists" ]; then
        POSTGRES_DB='' docker_process_sql --dbname postgres --set db="$name" <<<'CREATE DATABASE :"db";'
    fi
}

docker_process_init_files() {
    local file
    for file; do
        case $file in
            *.sh)
                if [ -x "$file" ]; then
                    printf '%s: running %s\n' "$0" "$file"
                    "$file"
                else
                    printf '%s: sourcing %s\n' "$0" "$file"
                    . "$file"
                fi
                ;;
            *.sql) printf '%s: running %s\n' "$0" "$file" && docker_process_sql -f "$file" ;;
            *.sql.gz) printf '%s: running %s\n' "$0" "$file" && gunzip -c "$file" | docker_process_sql ;;
            *.sql.xz) printf '%s: running %s\n' "$0" "$file" && xzcat "$file" | docker_process_sql ;;
            *.sql.zst) printf '%s: running %s\n' "$0" "$file" && zstd -dc "$file" | docker_process_sql ;;
            *) [ ! -e "$file" ] || printf '%s: ignoring %s\n' "$0" "$file" ;;
        esac
        printf '\n'
    done
}

# initialise POSTGRES_ARGUMENT...: from an empty folder to a database that is set up, with no server left running.
initialise() {
    docker_verify_minimum_env
    docker_init_database_dir
    pg_setup_hba_conf "$@"
    export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
    docker_temp_server_start "$@"
    docker_setup_db
    docker_process_init_files /docker-entrypoint-initdb.d/*
    docker_temp_server_stop
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

wants_help() {
    local argument
    for argument; do
        case $argument in -'?' | --help | --describe-config | -V | --version) return 0 ;; esac
    done
    return 1
}

main() {
    if [ "${1:0:1}" = - ]; then
        set -- postgres "$@"
    fi
    if [ "$1" = postgres ] && ! wants_help "$@"; then
        docker_setup_env
        docker_create_db_directories
        become_postgres "$@"
        if [ -n "$database_already_exists" ]; then
            printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
        else
            initialise "$@"
        fi
    fi
    exec "$@"
}

main_unless_sourced() { is_sourced || main "$@"; }
main_unless_sourced "$@"
