# Sourced by tools/setup: messages, the lock, and how a tool gets into the cache.
# The invariant: a directory in $RUNE_TOOLS/store is complete. It is filled elsewhere and renamed into place.

say() { printf 'setup: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# need COMMAND WHAT_FOR: stops with a clear word when a program that setup does not install is missing.
need() {
    command -v "$1" >/dev/null 2>&1 || die "\`$1\` is missing; it is needed for $2; install it and run tools/setup again"
}

# fetch PROGRAM ARGUMENT...: runs what gets things from the network, up to three times. What it says is shown when it fails.
fetch() {
    local log attempt
    log=$(mktemp "$RUNE_TOOLS/work/log.XXXXXX")
    for attempt in 1 2 3; do
        "$@" >"$log" 2>&1 && return 0
        cat "$log" >&2
        say "attempt $attempt failed: $*"
        sleep $((attempt * 3))
    done
    die 'giving up; what is there stays, so running it again goes on from here'
}

# store_has NAME-VERSION
store_has() { [ -d "$RUNE_TOOLS/store/$1" ]; }

# provide NAME-VERSION COMMAND...: fills the store directory by running COMMAND with an empty directory as its
# last argument, unless it is there. A COMMAND that fails or is killed leaves nothing in the store.
provide() {
    local entry=$1 scratch started=$SECONDS
    shift
    store_has "$entry" && return 0
    say "making $entry"
    scratch=$(mktemp -d "$RUNE_TOOLS/work/$entry.XXXXXX")
    "$@" "$scratch"
    chmod -R a+rX,u+w,go-w "$scratch"
    mv -T "$scratch" "$RUNE_TOOLS/store/$entry"
    say "made $entry in $((SECONDS - started)) s"
}

# point LINK TARGET: makes $RUNE_TOOLS/LINK a symlink to TARGET, replacing an older one in a single step.
point() {
    local link=$RUNE_TOOLS/$1 target=$2
    [ "$(readlink "$link" 2>/dev/null || true)" = "$target" ] && return 0
    ln -sfn "$target" "$link.new"
    mv -T "$link.new" "$link"
}

# offer NAME NAME-VERSION: $RUNE_TOOLS/bin/NAME is the program NAME of that store directory.
offer() { point "bin/$1" "../store/$2/bin/$1"; }

# check_sha256 FILE SHA256
check_sha256() {
    printf '%s  %s\n' "$2" "$1" | sha256sum --check --quiet - >&2 || die "\`$1\` is not the pinned download (tools/versions.env)"
}
