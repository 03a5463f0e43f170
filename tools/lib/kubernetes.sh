# Sourced by tools/setup: the programs of a Kubernetes cluster, from their Go modules.
# All of Kubernetes is one static binary (tools/kubernetes/node) that goes by several names.

kubernetes_programs=(etcd kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

kubernetes_sources_hash() {
    (cd "$here/kubernetes" && LC_ALL=C sha256sum ./*/main.go; grep '^COREDNS_' "$here/versions.env") | sha256sum | cut -c1-12
}

# go_module_file MODULE VERSION: where the go.mod of a module lies, after getting it.
go_module_file() {
    fetch env "${go_environment[@]}" go mod download -json "$1@$2"
    printf '%s/pkg/mod/cache/download/%s/@v/%s.mod\n' "$RUNE_TOOLS/work/go" "$1" "$2"
}

# go_main NAME MODULE VERSION: a module around tools/kubernetes/NAME that needs one module and what that one needs.
# Kubernetes names the modules of its own repository at version 0 and replaces them by folders, which does not reach
# those who depend on it: here the same modules are replaced by their published versions.
go_main() {
    local name=$1 module=$2 version=$3 folder=$RUNE_TOOLS/work/src/$1 parent
    parent=$(go_module_file "$module" "$version")
    mkdir -p "$folder"
    cp "$here/kubernetes/$name/main.go" "$folder/"
    {
        printf 'module rune.test/%s\n\n' "$name"
        grep -E '^(go|godebug) ' "$parent"
        printf '\nrequire %s %s\n\n' "$module" "$version"
        sed -nE "s#^[[:space:]]*(k8s\.io/[a-z-]+) => \./staging/.*#replace \1 => \1 v0.${version#v1.}#p" "$parent"
    } >"$folder/go.mod"
    rm -f "$folder/go.sum"
}

# go_build NAME PROGRAM LINKER_FLAGS
go_build() {
    (cd "$RUNE_TOOLS/work/src/$1" && fetch env "${go_environment[@]}" nice go build -mod=mod -p 2 -o "$2" -ldflags="-s -w $3" .)
}

make_kubernetes() {
    local scratch=$1 version=$KUBERNETES_VERSION package=k8s.io/component-base/version minor name
    minor=${version#v1.}
    minor=${minor%%.*}
    mkdir -p "$scratch/bin"
    go_main node k8s.io/kubernetes "$version"
    go_build node "$scratch/bin/kubernetes" \
        "-X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor -X $package.gitTreeState=clean"
    for name in "${kubernetes_programs[@]}"; do
        ln -s kubernetes "$scratch/bin/$name"
    done
    go_main coredns github.com/coredns/coredns "$COREDNS_VERSION"
    go_build coredns "$scratch/bin/coredns" ''
    (cd "$here/kubernetes/pause" && env "${go_environment[@]}" go build -o "$scratch/bin/pause" -ldflags='-s -w' main.go)
}

install_kubernetes() {
    local entry
    go_environment=(GOPATH="$RUNE_TOOLS/work/go" GOCACHE="$RUNE_TOOLS/work/go-cache" GOFLAGS='-trimpath -modcacherw -buildvcs=false'
        CGO_ENABLED=0 GOWORK=off GOTOOLCHAIN=local GO111MODULE=on)
    entry=kubernetes-$KUBERNETES_VERSION-$(kubernetes_sources_hash)
    if ! store_has "$entry"; then
        need go 'Kubernetes'
    fi
    provide "$entry" make_kubernetes
    point kubernetes "store/$entry"
    offer kubectl "$entry"
}
