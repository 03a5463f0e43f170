"""The images of the cluster itself, made of the programs that tools/setup built, and put into its registry."""

import subprocess
import sys
import tempfile
from pathlib import Path

import settings

sys.path.insert(0, str(settings.HERE.parent / "postgres-image"))

from layer import Layer  # noqa: E402
from oci import Layout  # noqa: E402

PLATFORM = {"architecture": "amd64", "os": "linux"}
IMAGES = {settings.PAUSE_IMAGE: "pause", settings.COREDNS_IMAGE: "coredns"}


def _is_there(repository):
    found = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{settings.REGISTRY}/{repository}"],
                           stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return found.returncode == 0


def _layout(folder, program):
    layer, layout = Layer(), Layout(folder)
    layer.directory("tmp", 0o1777)
    layer.file(program, (settings.PROGRAMS / program).read_bytes(), 0o755)
    config = {"Entrypoint": [f"/{program}"], "User": "65532:65532"}
    image = layout.image(PLATFORM, [layout.layer(layer.tar())], config, [f"test equipment: {program}"])
    layout.finish([image], {}, "image")


def push():
    """The registry keeps them; their tag says which build of the programs they are of."""
    for image, program in IMAGES.items():
        repository = image.partition("/")[2]
        if _is_there(repository):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            _layout(Path(scratch) / "layout", program)
            subprocess.run(["skopeo", "copy", "--quiet", "--all", "--dest-tls-verify=false", f"oci:{scratch}/layout:image",
                            f"docker://{settings.REGISTRY}/{repository}"], check=True, stdin=subprocess.DEVNULL)
