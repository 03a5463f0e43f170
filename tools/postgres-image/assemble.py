#!/usr/bin/env python3
"""Puts the stand-in for docker.io/library/postgres:17-alpine together from extracted Debian packages.

Usage: assemble.py ROOT MAJOR OUT

ROOT is a directory into which `build` extracted the packages, their .deb files still in var/cache/apt/archives.
OUT is an empty directory; it becomes an OCI image layout. Prints the digest of the index.

This is equipment for tests and says so in its labels. It is PostgreSQL on glibc and busybox, not Alpine.
"""

import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

from layer import Layer
from oci import EPOCH, Layout

REFERENCE = "docker.io/library/postgres:17-alpine"
POSTGRES_ID = 70
PGDATA = "/var/lib/postgresql/data"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
NOTICE = "Test equipment of rune-bundle, not an official image: stands in for postgres:17-alpine where Docker Hub is out of reach"

# What initdb, the server and its extensions do not need here: languages and a compiler that nobody has in the official
# image either, documentation, and time zones with leap seconds.
LEFT_OUT = re.compile(r"/(pgxs|bitcode|man|right|posix)(/|$)|llvm|pl(perl|python|tcl)")
OWN_FILES = Path(__file__).parent / "rootfs"


def files_under(root, folder):
    """Paths of the files and symlinks in a folder of the root, relative to the root."""
    paths = sorted(str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_symlink() or path.is_file())
    found = [path for path in paths if not LEFT_OUT.search(path)]
    if not found:
        sys.exit(f"assemble: nothing in `{folder}` of the extracted packages")
    return found


def libraries_of(root, programs):
    """Names of the shared libraries that the programs need, found by the root's own loader and nothing of the host's."""
    loader = [root / "lib64/ld-linux-x86-64.so.2", "--library-path", root / LIBRARIES, "--list"]
    names = set()
    for program in programs:
        with open(root / program, "rb") as file:
            if file.read(4) != b"\x7fELF":
                continue
        listing = subprocess.run([*loader, root / program], capture_output=True, text=True, check=False).stdout
        if "not found" in listing:
            sys.exit(f"assemble: a library of `{program}` is missing:\n{listing}")
        names.update(Path(found).name for found in re.findall(r"=> (/\S+)", listing))
    return sorted(names)


def system_layer(root, major):
    """The ground the server stands on: loader and libraries, shell and small programs, users, folders with their modes."""
    layer = Layer()
    for link, target in (("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64"), ("var/run", "/run")):
        layer.symlink(link, target)
    for folder in ("proc", "sys", "dev", "docker-entrypoint-initdb.d"):
        layer.directory(folder)
    for folder in ("tmp", "var/tmp"):
        layer.directory(folder, 0o1777)
    layer.directory("root", 0o700)
    # A container's tmpfs takes over the mode of the folder it is mounted on, and a pod may run as any user id.
    for folder, mode in (("var/lib/postgresql", 0o1777), ("var/lib/postgresql/data", 0o1777), ("run/postgresql", 0o3777)):
        layer.directory(folder, mode, POSTGRES_ID)

    layer.file("etc/passwd", (
        b"root:x:0:0:root:/root:/bin/sh\n"
        b"postgres:x:70:70:PostgreSQL:/var/lib/postgresql:/bin/sh\n"
        b"nobody:x:65534:65534:nobody:/:/bin/false\n"))
    layer.file("etc/group", b"root:x:0:\npostgres:x:70:\nnogroup:x:65534:\n")
    layer.file("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")

    programs = ["usr/bin/bash", "usr/bin/busybox", "usr/bin/getent", "usr/bin/locale", "usr/bin/zstd"]
    for program in programs:
        layer.copy(program, root / program)
    layer.copy("usr/local/bin/gosu", root / "usr/sbin/gosu")
    for applet in subprocess.check_output([root / "usr/bin/busybox", "--list"], text=True).split():
        if f"usr/bin/{applet}" not in layer:
            layer.symlink(f"usr/bin/{applet}", "busybox")

    loaded_by_name = [f"{LIBRARIES}/libnss_wrapper.so", f"{LIBRARIES}/libgcc_s.so.1"]
    needed = libraries_of(root, [*programs, *loaded_by_name, *server_programs(root, major)])
    for path in [*(f"{LIBRARIES}/{name}" for name in needed), *loaded_by_name]:
        layer.copy(path, (root / path).resolve())
    layer.copy("usr/lib64/ld-linux-x86-64.so.2", root / "usr/lib64/ld-linux-x86-64.so.2")
    layer.symlink("usr/lib/libnss_wrapper.so", f"/{LIBRARIES}/libnss_wrapper.so")
    for path in [*files_under(root, "usr/lib/locale/C.utf8"), *files_under(root, "usr/share/zoneinfo")]:
        layer.copy(path, root / path)
    return layer


def server_programs(root, major):
    return files_under(root, f"usr/lib/postgresql/{major}")


def server_layer(root, major):
    """PostgreSQL itself, with the one setting in which the official image differs from the default."""
    layer = Layer()
    for path in [*server_programs(root, major), *files_under(root, f"usr/share/postgresql/{major}")]:
        layer.copy(path, root / path)
    for program in (root / f"usr/lib/postgresql/{major}/bin").iterdir():
        layer.symlink(f"usr/local/bin/{program.name}", f"/usr/lib/postgresql/{major}/bin/{program.name}")
    sample = f"usr/share/postgresql/{major}/postgresql.conf.sample"
    text, count = re.subn(r"(?m)^#?listen_addresses = '[^']*'", "listen_addresses = '*'", (root / sample).read_text())
    if count != 1:
        sys.exit(f"assemble: no `listen_addresses` in `{sample}`")
    layer.file(sample, text.encode())
    return layer


def script_layer():
    layer = Layer()
    for name in ("docker-entrypoint.sh", "docker-ensure-initdb.sh"):
        layer.file(f"usr/local/bin/{name}", (OWN_FILES / name).read_bytes(), 0o755)
    layer.symlink("usr/local/bin/docker-enforce-initdb.sh", "docker-ensure-initdb.sh")
    return layer


def dummy_layer(architecture):
    layer = Layer()
    layer.file("README", f"{NOTICE}. This one, for {architecture}, holds no programs.\n".encode())
    return layer


def packages_in(root):
    """Name to version, of every package that was extracted."""
    names = (path.name.split("_") for path in (root / "var/cache/apt/archives").glob("*.deb"))
    return {name: urllib.parse.unquote(version) for name, version, _ in names}


def container_config(version, major, labels):
    return {
        "Env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            f"PG_MAJOR={major}",
            f"PG_VERSION={version}",
            f"PGDATA={PGDATA}",
        ],
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["postgres"],
        "ExposedPorts": {"5432/tcp": {}},
        "Volumes": {PGDATA: {}},
        "WorkingDir": "/",
        "StopSignal": "SIGINT",
        "Labels": labels,
    }


def statements(packages):
    """What an attestation says of an image: the packages inside, and who made it."""
    inventory = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": REFERENCE,
        "documentNamespace": "urn:rune-bundle:test-equipment:postgres",
        "creationInfo": {"created": EPOCH, "creators": ["Tool: rune-bundle tools/postgres-image"]},
        "packages": [
            {"SPDXID": f"SPDXRef-{name}", "name": name, "versionInfo": version, "downloadLocation": "NOASSERTION"}
            for name, version in sorted(packages.items())
        ],
    }
    provenance = {
        "builder": {"id": "rune-bundle/tools/postgres-image"},
        "buildType": "rune-bundle/tools/postgres-image@v1",
        "materials": [
            {"uri": f"pkg:deb/debian/{name}@{urllib.parse.quote(version)}"} for name, version in sorted(packages.items())
        ],
        "metadata": {"completeness": {"materials": False}, "reproducible": True},
    }
    return [("https://spdx.dev/Document", inventory), ("https://slsa.dev/provenance/v0.2", provenance)]


def main(root, major, out):
    root = Path(root).resolve()
    packages = packages_in(root)
    version = packages[f"postgresql-{major}"].split("-")[0]
    labels = {
        "org.opencontainers.image.title": "postgres (test equipment)",
        "org.opencontainers.image.description": NOTICE,
        "org.opencontainers.image.version": version,
        "rune-bundle.test-equipment": "true",
    }
    config = container_config(version, major, labels)
    layout = Layout(out)

    real = [layout.layer(layer.tar()) for layer in (system_layer(root, major), server_layer(root, major), script_layer())]
    history = [f"tools/postgres-image: {what}" for what in ("system", "server", "scripts")]
    platforms = [
        ({"architecture": "amd64", "os": "linux"}, real, history, packages),
        *(
            (platform, [layout.layer(dummy_layer(platform["architecture"]).tar())], ["tools/postgres-image: dummy"], {})
            for platform in (
                {"architecture": "arm", "os": "linux", "variant": "v7"},
                {"architecture": "arm64", "os": "linux", "variant": "v8"},
            )
        ),
    ]
    manifests = []
    for platform, layers, lines, contents in platforms:
        image = layout.image(platform, layers, config, lines)
        name = "pkg:docker/postgres@17-alpine?platform=" + urllib.parse.quote(
            "/".join(platform[key] for key in ("os", "architecture", "variant") if key in platform), safe="")
        manifests += [image, layout.attestation(image, name, statements(contents))]
    print(layout.finish(manifests, labels, REFERENCE))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
