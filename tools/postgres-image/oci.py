"""Writes an OCI image layout: blobs, images, attestations, one index.

Knows nothing of PostgreSQL. The invariant: the same input gives the same bytes, so nothing here reads the clock,
and JSON has sorted keys and no spaces.
"""

import gzip
import hashlib
import json
from pathlib import Path

EPOCH = "1970-01-01T00:00:00Z"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
IN_TOTO = "application/vnd.in-toto+json"


def encode(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI image layout that is being written into an empty directory."""

    def __init__(self, path):
        self.path = Path(path)
        (self.path / "blobs" / "sha256").mkdir(parents=True)

    def blob(self, data, media_type, **fields):
        """Stores the bytes and returns their descriptor."""
        digest = sha256(data)
        (self.path / "blobs" / "sha256" / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": media_type, "digest": digest, "size": len(data), **fields}

    def layer(self, tar):
        """Stores one layer; returns its descriptor and the digest of what it unpacks to."""
        return self.blob(gzip.compress(tar, 6, mtime=0), LAYER), sha256(tar)

    def image(self, platform, layers, config, history):
        """Stores an image of one platform; `layers` are what `layer` returned, `history` one line for each of them."""
        image_config = {
            **platform,
            "created": EPOCH,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            "history": [{"created": EPOCH, "created_by": line} for line in history],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(encode(image_config), CONFIG),
            "layers": [descriptor for descriptor, _ in layers],
        }
        return self.blob(encode(manifest), MANIFEST, platform=platform)

    def attestation(self, image, name, predicates):
        """Stores the attestation manifest of an image, in the form that BuildKit gives it.

        `predicates` are pairs of a predicate type and a predicate; each becomes one in-toto statement.
        """
        layers = []
        for predicate_type, predicate in predicates:
            statement = {
                "_type": "https://in-toto.io/Statement/v0.1",
                "predicateType": predicate_type,
                "subject": [{"name": name, "digest": {"sha256": image["digest"].removeprefix("sha256:")}}],
                "predicate": predicate,
            }
            layers.append(
                self.blob(encode(statement), IN_TOTO, annotations={"in-toto.io/predicate-type": predicate_type})
            )
        nowhere = {"architecture": "unknown", "os": "unknown"}
        config = {**nowhere, "config": {}, "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in layers]}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(encode(config), CONFIG),
            "layers": layers,
        }
        return self.blob(
            encode(manifest),
            MANIFEST,
            platform=nowhere,
            annotations={
                "vnd.docker.reference.digest": image["digest"],
                "vnd.docker.reference.type": "attestation-manifest",
            },
        )

    def finish(self, manifests, annotations, reference):
        """Stores the image index and makes it the layout's one root, under the name `reference`."""
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": annotations}
        names = {"org.opencontainers.image.ref.name": reference, "io.containerd.image.name": reference}
        root = self.blob(encode(index), INDEX, annotations=names)
        (self.path / "index.json").write_bytes(encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": [root]}))
        (self.path / "oci-layout").write_bytes(encode({"imageLayoutVersion": "1.0.0"}))
        return root["digest"]
