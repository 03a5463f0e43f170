# Sourced by tools/setup: the test image that stands in for docker.io/library/postgres:17-alpine.
# It is made again when its scripts change; Debian's newer packages alone do not change what is in the cache.

image_sources_hash() {
    (cd "$here/postgres-image" && LC_ALL=C sha256sum build ./*.py rootfs/*; grep '^POSTGRES_IMAGE_' "$here/versions.env") | sha256sum | cut -c1-12
}

make_postgres_image() {
    local digest
    digest=$("$here/postgres-image/build" "$1")
    say "the image index is $digest"
}

install_postgres_image() {
    local entry
    entry=postgres-image-$(image_sources_hash)
    provide "$entry" make_postgres_image
    point images/postgres-17-alpine "../store/$entry"
}
