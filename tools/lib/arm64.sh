# Sourced by tools/setup: what tools/cargo-arm64 compiles with for linux/arm64.
# The compiler is that of rust-toolchain.toml, where rustup has the target for it or can add it. Elsewhere it is the one of Debian's unstable suite, in a root
# directory of its own: nothing of that suite is installed on the machine.

rustup_has_arm64() {
    local target=aarch64-unknown-linux-gnu libraries
    libraries=$(cd "$here/.." && rustc --print target-libdir --target "$target" 2>/dev/null) || return 1
    [ -d "$libraries" ] && return 0
    command -v rustup >/dev/null 2>&1 || return 1
    (cd "$here/.." && timeout 300 rustup target add "$target") >&2
}

# Release files are checked as apt does on this machine: its mirror may be a snapshot.
apt_settings() { apt-config dump | sed -n 's/^\(Acquire::Check-\(Valid-Until\|Date\) .*\)$/--aptopt=\1/p'; }

make_rust_root() {
    local mirror settings directory packages=rustc,cargo,libstd-rust-dev:arm64,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross
    mirror=$("$here/debian-mirror")
    mapfile -t settings < <(apt_settings)
    # Only extracted, nothing is configured or run, and whoever calls this owns the files.
    mmdebstrap --quiet --variant=extract --architectures=amd64,arm64 --include="$packages" --aptopt='Apt::Install-Recommends "false"' \
        --aptopt='Acquire::Retries "3"' "${settings[@]}" "$ARM64_RUST_SUITE" - "$mirror" |
        tar --extract --no-same-owner --exclude='./dev/*' --exclude=./usr/share/doc --directory "$1"
    for directory in bin lib lib64 sbin; do
        [ -e "$1/$directory" ] || ln -s "usr/$directory" "$1/$directory"
    done
    ln -s gcc "$1/usr/bin/cc"
    mkdir -p "$1"/{dev,proc,tmp,source,crates,target}
}

install_arm64() {
    if rustup_has_arm64; then
        install_debian_packages gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc libc6-dev-arm64-cross:/usr/aarch64-linux-gnu/lib/libc.a
        return
    fi
    say 'rustup cannot add the target for arm64; the compiler is that of Debian'
    install_debian_packages mmdebstrap:mmdebstrap
    provide "rust-arm64-$ARM64_RUST_VERSION" make_rust_root
    point rust-arm64 "store/rust-arm64-$ARM64_RUST_VERSION"
}
