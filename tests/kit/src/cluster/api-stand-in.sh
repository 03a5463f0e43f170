#!/bin/sh
# Stands in for RUNE's API where its image cannot be had: answers /healthz on the port of RUNE_API_PORT, well only while it
# holds a connection to the database of RUNE_DB_URL and finds RUNE's schema in it. libpq reads the URL, as RUNE's driver does.
# With SQLite it is well when the file is there.
trap 'exit 0' TERM INT
www=/tmp/www
mkdir -p "$www"
httpd -f -p "$RUNE_API_PORT" -h "$www" &

hold_a_connection() {
    echo 'SELECT max(version) FROM schema_version \watch 1' | psql -X -q -A -t -v ON_ERROR_STOP=1 "$RUNE_DB_URL" |
        while read -r _; do
            : >"$www/healthz"
        done
}

watch_the_file() {
    while [ -s "${RUNE_DB_URL#sqlite:///}" ]; do
        : >"$www/healthz"
        sleep 1
    done
}

while :; do
    case $RUNE_DB_URL in
        sqlite:*) watch_the_file & ;;
        *) hold_a_connection & ;;
    esac
    wait $!
    rm -f "$www/healthz"
    sleep 1 &
    wait $!
done
