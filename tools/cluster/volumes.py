#!/usr/bin/env python3
"""Provides the volumes of the class `local`: makes one for each claim, makes it larger when the claim grows, removes it after use.

Usage: volumes.py      (one of the node's programs)

A volume is a folder, as a volume of the type `local`, because the kubelet applies fsGroup to those and not to hostPath.
Its size is a number that nobody enforces.
"""

import shutil
import sys

sys.dont_write_bytecode = True

import client  # noqa: E402
import settings  # noqa: E402
from settings import HOME  # noqa: E402

CLASS = "local"
PROVISIONER = "rune.test/local"
VOLUMES = "/api/v1/persistentvolumes"
CLAIMS = "/api/v1/persistentvolumeclaims"
FOLDERS = HOME / "volumes"


def _claim_path(claim):
    return f"/api/v1/namespaces/{claim['metadata']['namespace']}/persistentvolumeclaims/{claim['metadata']['name']}"


def _name(claim):
    return f"pvc-{claim['metadata']['uid']}"


def _wanted(claim):
    return claim["spec"]["resources"]["requests"]["storage"]


def _volume(claim):
    (FOLDERS / _name(claim)).mkdir(parents=True, exist_ok=True)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [settings.NODE]}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume",
        "metadata": {"name": _name(claim), "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": {"storage": _wanted(claim)}, "accessModes": claim["spec"]["accessModes"], "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Delete", "local": {"path": str(FOLDERS / _name(claim))},
            "claimRef": {"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": claim["metadata"]["namespace"],
                         "name": claim["metadata"]["name"], "uid": claim["metadata"]["uid"]},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def _is_scheduled(claim):
    return "volume.kubernetes.io/selected-node" in claim["metadata"].get("annotations", {})


def provide(claim, volumes):
    if not claim["spec"].get("volumeName") and _is_scheduled(claim) and _name(claim) not in volumes:
        client.request("POST", VOLUMES, _volume(claim))


def enlarge(claim, volumes):
    volume = volumes.get(claim["spec"].get("volumeName"))
    has = claim.get("status", {}).get("capacity", {}).get("storage")
    if volume is None or claim["status"]["phase"] != "Bound" or has == _wanted(claim):
        return
    if volume["spec"]["capacity"]["storage"] != _wanted(claim):
        client.patch(f"{VOLUMES}/{volume['metadata']['name']}", {"spec": {"capacity": {"storage": _wanted(claim)}}})
    client.patch(f"{_claim_path(claim)}/status", {"status": {"capacity": {"storage": _wanted(claim)}, "conditions": None}})


def remove(volume):
    if volume.get("status", {}).get("phase") in ("Released", "Failed") and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
        shutil.rmtree(volume["spec"]["local"]["path"], ignore_errors=True)
        client.request("DELETE", f"{VOLUMES}/{volume['metadata']['name']}")


def tend(claims, volumes):
    ours = {each["metadata"]["name"]: each for each in volumes if each["spec"].get("storageClassName") == CLASS}
    actions = [(provide, claim, ours) for claim in claims] + [(enlarge, claim, ours) for claim in claims]
    actions += [(remove, volume) for volume in ours.values()]
    for action, *arguments in actions:
        if action is not remove and arguments[0]["spec"].get("storageClassName") != CLASS:
            continue
        try:
            action(*arguments)
        except client.Refused as error:
            if error.status not in (404, 409):  # Somebody was faster; the change that tells us is on its way.
                raise


if __name__ == "__main__":
    client.whenever_something_changes([CLAIMS, VOLUMES], tend)
