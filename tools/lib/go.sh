# Sourced by tools/setup: programs built from Go modules at a pinned version.
# Go's own module and build caches live in $RUNE_TOOLS/work and go when setup is done: a few gigabytes, needed once.

go_install() {
    local name=$1 module=$2 version=$3 scratch=$4
    mkdir -p "$scratch/bin" "$scratch/gopath/bin"
    fetch env GOPATH="$RUNE_TOOLS/work/go" GOCACHE="$RUNE_TOOLS/work/go-cache" GOBIN="$scratch/gopath/bin" \
        GOFLAGS='-trimpath -modcacherw' CGO_ENABLED=0 GOWORK=off \
        go install -ldflags='-s -w' "$module@$version"
    mv "$scratch/gopath/bin/"* "$scratch/bin/$name"
    rm -r "$scratch/gopath"
}

# go_tool NAME: NAME is the program; NAME_MODULE and NAME_VERSION, without its hyphens, are in versions.env.
go_tool() {
    local name=$1 variable module version
    variable=${name//-/}
    module=${variable^^}_MODULE
    version=${variable^^}_VERSION
    if ! store_has "$name-${!version}"; then
        need go "\`$name\`"
    fi
    provide "$name-${!version}" go_install "$name" "${!module}" "${!version}"
    offer "$name" "$name-${!version}"
}

own_go_build() {
    mkdir -p "$2/bin"
    (cd "$here/$1" && fetch env GOPATH="$RUNE_TOOLS/work/go" GOCACHE="$RUNE_TOOLS/work/go-cache" \
        GOFLAGS='-trimpath -modcacherw -mod=readonly -buildvcs=false' CGO_ENABLED=0 GOWORK=off go build -o "$2/bin/$1" -ldflags='-s -w' .)
}

# own_go_tool NAME: a small program of ours around a Go library, in tools/NAME.
own_go_tool() {
    local entry
    entry=$1-$(cd "$here/$1" && sha256sum main.go go.mod go.sum | sha256sum | cut -c1-12)
    store_has "$entry" || need go "\`$1\`"
    provide "$entry" own_go_build "$1"
    offer "$1" "$entry"
}

install_go_tools() {
    local name
    for name in crane oras regctl helm3 helm4 cosign cosign2 distribution oci-conformance; do
        go_tool "$name"
    done
    # What a test asks about ranges of versions, in the version of the library that Helm has.
    own_go_tool version-ranges
    # Whose signatures by certificate a test reads.
    own_go_tool virtual-sigstore
}
