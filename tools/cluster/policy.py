#!/usr/bin/env python3
"""Enforces NetworkPolicy among the pods of the node, with iptables. IPv4, TCP and UDP; refused connections are rejected at once.

Usage: policy.py      (one of the node's programs)

All pods are on one bridge and its packets pass the FORWARD chain, those to the node the INPUT chain. For each pod and direction
that a policy isolates there is a chain of what is allowed, ending in a refusal; «allowed» returns to the caller, which goes on to
the chain of the other end. What the node itself sends is not looked at, so probes of the kubelet always arrive, as they must.
"""

import ipaddress
import subprocess
import sys

sys.dont_write_bytecode = True

import client  # noqa: E402
import settings  # noqa: E402

PATHS = ["/api/v1/namespaces", "/api/v1/pods", "/apis/networking.k8s.io/v1/networkpolicies"]
BASE = "RUNE-POLICY"
HOOKS = (["FORWARD"], ["INPUT", "-i", settings.POD_BRIDGE])
ALLOW, REFUSE = ["-j", "RETURN"], ["-j", "REJECT"]


class Pod:
    """A pod that has an address of its own."""

    def __init__(self, thing, namespaces):
        self.uid = thing["metadata"]["uid"]
        self.namespace = thing["metadata"]["namespace"]
        self.labels = thing["metadata"].get("labels") or {}
        self.namespace_labels = namespaces.get(self.namespace, {})
        self.address = thing["status"]["podIP"]
        spec = thing["spec"]
        containers = spec["containers"] + [each for each in spec.get("initContainers") or [] if each.get("restartPolicy") == "Always"]
        self.ports = [port for container in containers for port in container.get("ports") or []]

    def numbers(self, name, protocol):
        return [port["containerPort"] for port in self.ports if port.get("name") == name and port.get("protocol", "TCP") == protocol]


def has_address(thing):
    status = thing["status"]
    return status.get("podIP") and status.get("phase") not in ("Succeeded", "Failed") and not thing["spec"].get("hostNetwork")


def selects(selector, labels):
    """An empty selector selects everything."""
    def holds(expression):
        found, values = labels.get(expression["key"]), expression.get("values") or []
        return {
            "In": found is not None and found in values, "NotIn": found is None or found not in values,
            "Exists": found is not None, "DoesNotExist": found is None,
        }[expression["operator"]]

    wanted = selector.get("matchLabels") or {}
    return all(labels.get(key) == value for key, value in wanted.items()) and all(map(holds, selector.get("matchExpressions") or []))


def is_peer(pod, peer, namespace):
    if "namespaceSelector" in peer:
        near = selects(peer["namespaceSelector"], pod.namespace_labels)
    else:
        near = pod.namespace == namespace
    return near and selects(peer.get("podSelector") or {}, pod.labels)


def networks(block):
    """The networks that a block stands for, without its exceptions."""
    found = [ipaddress.ip_network(block["cidr"], strict=False)]
    for text in block.get("except") or []:
        without, rest = ipaddress.ip_network(text, strict=False), []
        for network in found:
            if without.version == network.version and without.subnet_of(network):
                rest += network.address_exclude(without)
            elif not network.overlaps(without):
                rest.append(network)
        found = rest
    return [str(network) for network in found if network.version == 4]


def port_matches(ports, target):
    """How the ports of a rule look as arguments; `target` is the pod whose names of ports they are, if it is known."""
    if not ports:
        return [[]]
    matches = []
    for port in ports:
        protocol, number = port.get("protocol", "TCP"), port.get("port")
        base = ["-p", protocol.lower()]
        if number is None:
            matches.append(base)
        elif isinstance(number, str):
            matches += [[*base, "--dport", str(each)] for each in (target.numbers(number, protocol) if target else [])]
        else:
            matches.append([*base, "--dport", f"{number}:{port.get('endPort', number)}"])
    return matches


def allowed(rule, pod, direction, policy_namespace, pods):
    """The lines that one rule of a policy means for one pod."""
    key, flag = ("from", "-s") if direction == "Ingress" else ("to", "-d")
    own = pod if direction == "Ingress" else None
    peers, ports = rule.get(key) or [], rule.get("ports") or []
    if not peers:
        named = [pod] if own else pods
        if own or not any(isinstance(port.get("port"), str) for port in ports):
            return [[*match, *ALLOW] for match in port_matches(ports, own)]
        return [[flag, each.address, *match, *ALLOW] for each in named for match in port_matches(ports, each)]
    lines = []
    for peer in peers:
        if "ipBlock" in peer:
            lines += [[flag, network, *match, *ALLOW] for network in networks(peer["ipBlock"]) for match in port_matches(ports, own)]
        else:
            near = [each for each in pods if is_peer(each, peer, policy_namespace)]
            lines += [[flag, each.address, *match, *ALLOW] for each in near for match in port_matches(ports, own or each)]
    return lines


def chains_of(policies, pods):
    """Chain to its lines, for each pod and direction that a policy isolates."""
    chains = {}
    for policy in policies:
        spec, namespace = policy["spec"], policy["metadata"]["namespace"]
        directions = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
        for pod in pods:
            if pod.namespace != namespace or not selects(spec.get("podSelector") or {}, pod.labels):
                continue
            for direction in directions:
                lines = chains.setdefault((pod.uid, pod.address, direction), [])
                for rule in spec.get(direction.lower()) or []:
                    lines += allowed(rule, pod, direction, namespace, pods)
    return chains


def table(chains):
    """The input of iptables-restore: the base chain and one for each isolated pod and direction."""
    names = {key: f"RUNE-{key[2][0]}-{key[0].replace('-', '')[:20]}" for key in sorted(chains)}
    text = ["*filter", f":{BASE} - [0:0]", *(f":{name} - [0:0]" for name in names.values())]
    text.append(f"-A {BASE} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN")
    for (_, address, direction), name in names.items():
        text.append(f"-A {BASE} {'-d' if direction == 'Ingress' else '-s'} {address} -j {name}")
    for key, name in names.items():
        text += [" ".join(["-A", name, *line]) for line in [*chains[key], REFUSE]]
    return set(names.values()), "\n".join([*text, "COMMIT", ""])


def iptables(*arguments):
    return subprocess.run(["iptables", "-w", *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0


class Enforcer:
    """Puts the rules in place, all at once, when they are others than before."""

    def __init__(self):
        self._chains, self._text = set(), None

    def enforce(self, namespaces, pods, policies):
        labels = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces}
        known = sorted((Pod(each, labels) for each in pods if has_address(each)), key=lambda pod: pod.uid)
        chains, text = table(chains_of(sorted(policies, key=lambda policy: policy["metadata"]["uid"]), known))
        if text != self._text:
            subprocess.run(["iptables-restore", "-w", "--noflush"], input=text, text=True, check=True)
            for name in self._chains - chains:
                iptables("-F", name)
                iptables("-X", name)
            self._chains, self._text = chains, text
        for hook in HOOKS:  # kube-proxy puts its own in front when it starts.
            if not iptables("-C", *hook, "-j", BASE):
                iptables("-I", *hook, "-j", BASE)


if __name__ == "__main__":
    client.whenever_something_changes(PATHS, Enforcer().enforce)
