#!/usr/bin/env bash
# Makes sure that there is a database, and starts no server; for an init container.
# Called as docker-enforce-initdb.sh it fails when there is one already.
set -Eeuo pipefail

. /usr/local/bin/docker-entrypoint.sh

if [ $# -eq 0 ] || [ "$1" != postgres ]; then
    set -- postgres "$@"
fi

docker_setup_env
docker_create_db_directories
if [ "$(id -u)" = 0 ]; then
    exec gosu postgres "$0" "$@"
fi

if [ -z "$database_already_exists" ]; then
    initialise "$@"
    exit 0
fi
case ${0##*/} in
    docker-enforce-initdb.sh) fail "there is a database in '$PGDATA' already" ;;
    *) printf "note: there is a database in '%s' already; nothing to do\n" "$PGDATA" ;;
esac
