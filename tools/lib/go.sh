# Sourced by tools/setup: programs built from Go modules at a pinned version.
# Go's own module and build caches live in $RUNE_TOOLS/work and go when setup is done: a few gigabytes, needed once.

go_install() {
    local name=$1 module=$2 version=$3 flags=$4 scratch=$5 experiment=
    # The readers of JSON that it uses are in this version of Go, and have to be asked for.
    [ "$name" = trivy ] && experiment=jsonv2
    mkdir -p "$scratch/bin" "$scratch/gopath/bin"
    fetch env GOPATH="$RUNE_TOOLS/work/go" GOCACHE="$RUNE_TOOLS/work/go-cache" GOBIN="$scratch/gopath/bin" \
        GOFLAGS='-trimpath -modcacherw' CGO_ENABLED=0 GOWORK=off GOEXPERIMENT=$experiment \
        go install -ldflags="-s -w $flags" "$module@$version"
    mv "$scratch/gopath/bin/"* "$scratch/bin/$name"
    rm -r "$scratch/gopath"
}

# go_tool NAME [LINKER-FLAGS]: NAME is the program; NAME_MODULE and NAME_VERSION, without its hyphens, are in versions.env.
go_tool() {
    local name=$1 flags=${2:-} variable module version
    variable=${name//-/}
    module=${variable^^}_MODULE
    version=${variable^^}_VERSION
    if ! store_has "$name-${!version}"; then
        need go "\`$name\`"
    fi
    provide "$name-${!version}" go_install "$name" "${!module}" "${!version}" "$flags"
    offer "$name" "$name-${!version}"
}

# own_go_build NAME DIRECTORY: a small program of ours in tools/NAME.
own_go_build() {
    mkdir -p "$2/bin"
    (cd "$here/$1" && fetch env GOPATH="$RUNE_TOOLS/work/go" GOCACHE="$RUNE_TOOLS/work/go-cache" \
        GOFLAGS='-trimpath -modcacherw -mod=readonly -buildvcs=false' CGO_ENABLED=0 GOWORK=off go build -o "$2/bin/$1" -ldflags='-s -w' .)
}

# own_go_tool NAME: it is built again when its source changes. version-ranges says what Helm's library for versions says, in Helm's version of it;
# vulnerability-db writes databases with the modules of grype and Trivy; virtual-sigstore makes signatures by certificate.
own_go_tool() {
    local name=$1 entry
    entry=$name-$(cd "$here/$name" && sha256sum main.go go.mod go.sum | sha256sum | cut -c1-12)
    store_has "$entry" || need go "\`$name\`"
    provide "$entry" own_go_build "$name"
    offer "$name" "$entry"
}

# module_directory MODULE VERSION: downloads a Go module and says where its files are.
module_directory() {
    local work=$RUNE_TOOLS/work
    fetch env GOPATH="$work/go" GOFLAGS=-modcacherw GOWORK=off go mod download "$1@$2" >&2
    env GOPATH="$work/go" GOFLAGS=-modcacherw GOWORK=off go mod download -json "$1@$2" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p'
}

# The official schemas of the SBOM formats, each under the name by which the others refer to it.
sbom_schemas() {
    local scratch=$1 from
    from=$(module_directory "$CYCLONEDX_SCHEMAS_MODULE" "$CYCLONEDX_SCHEMAS_VERSION")/schema
    cp "$from/bom-1.5.schema.json" "$from/bom-1.6.schema.json" "$from/spdx.schema.json" "$scratch/"
    cp "$from/jsf-0.82.schemax.json" "$scratch/jsf-0.82.schema.json"
    from=$(module_directory "$SPDX_SCHEMA_MODULE" "$SPDX_SCHEMA_VERSION")/schema/spdx-json
    cp "$from/spdx-schema-2.3.json" "$scratch/"
    (cd "$scratch" && sha256sum --check --quiet --strict "$here/lib/schemas.sha256") >&2 || die 'a schema is not the pinned one (tools/lib/schemas.sha256)'
}

install_sbom_schemas() {
    local entry
    entry=sbom-schemas-$(sha256sum "$here/lib/schemas.sha256" | cut -c1-12)
    store_has "$entry" || need go 'the schemas of SBOMs'
    provide "$entry" sbom_schemas
    point sbom-schemas "store/$entry"
}

install_go_tools() {
    local name
    for name in crane oras regctl helm3 helm4 cosign cosign2 distribution oci-conformance; do
        go_tool "$name"
    done
    # They say their versions in what they write, and take them from whoever links them.
    go_tool grype "-X main.version=${GRYPE_VERSION#v}"
    go_tool trivy "-X github.com/aquasecurity/trivy/pkg/version/app.ver=${TRIVY_VERSION#v}"
    go_tool syft "-X main.version=${SYFT_VERSION#v}"
    own_go_tool version-ranges
    own_go_tool vulnerability-db
    own_go_tool virtual-sigstore
    install_sbom_schemas
}
