//! What help and man pages say besides the options.
//!
//! Every example is run by a test, with `registry.example:5000` replaced by a real registry.

use rune_core::{
    cli::help::{Group, Guide},
    failure::FailureKind,
};

pub const GUIDE: Guide = Guide {
    groups: GROUPS,
    examples: EXAMPLES,
    synonyms: SYNONYMS,
    option_synonyms: OPTION_SYNONYMS,
    variables: VARIABLES,
    exit_codes: EXIT_CODES,
    see_also: &["rune-db", "helm"],
};

const EXIT_CODES: &[(FailureKind, &str)] = &[
    (FailureKind::Internal, "internal error"),
    (FailureKind::Usage, "the command line is invalid"),
    (
        FailureKind::Input,
        "a file is invalid: a manifest, a policy, a key, the header of a bundle",
    ),
    (
        FailureKind::NotFound,
        "a file, image, release or other name was not found",
    ),
    (
        FailureKind::Drift,
        "drift: a digest changed, or a rendered file is out of date",
    ),
    (
        FailureKind::Content,
        "content does not match its digest or the signed bundle index",
    ),
    (
        FailureKind::Signature,
        "a signature is missing, bad, or by a key that is not trusted",
    ),
    (
        FailureKind::Policy,
        "the policy is violated, an image of the charts is missing, or the bundle is not the \
         expected one",
    ),
    (
        FailureKind::Access,
        "authentication failed or permission is missing",
    ),
    (
        FailureKind::Network,
        "the network or a server failed, after retries",
    ),
    (
        FailureKind::Space,
        "not enough space, or a limit was reached",
    ),
    (
        FailureKind::Conflict,
        "something already exists, is locked by another process, or would be downgraded",
    ),
    (FailureKind::Rollout, "a rollout failed"),
    (
        FailureKind::Interrupted,
        "interrupted with Ctrl-C or SIGTERM",
    ),
];

const GROUPS: &[Group] = &[
    Group {
        heading: "Build",
        verbs: &[
            "init", "lock", "render", "policy", "build", "keygen", "sign", "attach",
        ],
    },
    Group {
        heading: "Transfer",
        verbs: &[
            "push", "load", "serve", "mirror", "unpack", "split", "join", "have", "delta", "apply",
            "publish", "fetch", "login", "logout", "prune",
        ],
    },
    Group {
        heading: "Install",
        verbs: &["install", "status", "rollback", "receipts", "support"],
    },
    Group {
        heading: "Inspect",
        verbs: &[
            "verify", "inspect", "cat", "diff", "report", "evidence", "scan",
        ],
    },
    Group {
        heading: "Tools",
        verbs: &["doctor", "fingerprint", "completions", "man"],
    },
];

const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "init",
        &[
            "rune-bundle init --chart shop --name shop-bundle",
            "rune-bundle init --chart shop --values values.yaml --name shop-site",
            "rune-bundle init --name cache --image docker.io/library/redis:7.2",
        ],
    ),
    (
        "lock",
        &[
            "rune-bundle lock",
            "rune-bundle lock --check",
            "rune-bundle lock --update postgres",
            "rune-bundle lock --export hauler",
        ],
    ),
    (
        "render",
        &[
            "rune-bundle render --check",
            "rune-bundle render --lock --output rendered",
        ],
    ),
    (
        "policy",
        &["rune-bundle policy", "rune-bundle policy --all"],
    ),
    (
        "build",
        &[
            "rune-bundle build --dry-run",
            "rune-bundle build --key release.key",
            "rune-bundle build --key release.key --provenance --output rune.tar",
            "rune-bundle build --emit-image-payloads payloads",
        ],
    ),
    (
        "keygen",
        &[
            "rune-bundle keygen --output second",
            "rune-bundle keygen --output test --dry-run",
        ],
    ),
    (
        "sign",
        &[
            "rune-bundle sign rune-0.1.0.bundle.tar --key second.key --dry-run",
            "rune-bundle sign rune-0.1.0.bundle.tar --key second.key",
        ],
    ),
    (
        "attach",
        &[
            "rune-bundle attach rune-0.1.0.bundle.tar --signature bundle.json.sig --key hsm.pub",
            "rune-bundle attach rune-0.1.0.bundle.tar --signature bundle.json.sig --trust \
             trust.yaml",
        ],
    ),
    (
        "push",
        &[
            "rune-bundle push rune-0.1.0.bundle.tar registry.example:5000/rune --key release.pub",
            "rune-bundle push rune-0.1.0.bundle.tar registry.example:5000 --trust trust.yaml \
             --dry-run",
            "rune-bundle push rune-0.1.0.bundle.tar registry.example:5000 --key release.pub \
             --plain-http",
        ],
    ),
    (
        "publish",
        &[
            "rune-bundle publish rune-0.1.0.bundle.tar registry.example:5000/rune --key \
             release.pub",
            "rune-bundle publish rune-0.1.0.bundle.tar registry.example:5000/rune --trust \
             trust.yaml --dry-run",
        ],
    ),
    (
        "fetch",
        &[
            "rune-bundle fetch registry.example:5000/rune/bundles/rune:0.1.0 --key release.pub \
             --output fetched.tar",
            "rune-bundle fetch registry.example:5000/rune/bundles/rune:0.1.0 --trust trust.yaml \
             -o again.tar --dry-run",
            "rune-bundle fetch registry.example:5000/rune/bundles/rune:0.1.0 --key release.pub \
             --verify",
        ],
    ),
    (
        "load",
        &[
            "rune-bundle load rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle load rune-0.1.0.bundle.tar --key release.pub --images-dir \
             /var/lib/rancher/k3s/agent/images",
        ],
    ),
    (
        "serve",
        &[
            "rune-bundle serve rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle serve rune-0.1.0.bundle.tar --trust trust.yaml --listen 127.0.0.1:5001",
        ],
    ),
    (
        "mirror",
        &[
            "rune-bundle mirror k3s rune-0.1.0.bundle.tar registry.example:5000 --key release.pub",
            "rune-bundle mirror containerd rune-0.1.0.bundle.tar registry.example:5000 --key \
             release.pub --output certs.d",
            "rune-bundle mirror openshift rune-0.1.0.bundle.tar registry.example:5000/rune --key \
             release.pub",
        ],
    ),
    (
        "unpack",
        &[
            "rune-bundle unpack rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle unpack rune-0.1.0.bundle.tar some --only 'values/*,INSTALL.md' --key \
             release.pub",
        ],
    ),
    (
        "split",
        &[
            "rune-bundle split rune-0.1.0.bundle.tar --volume-size fat32 --key release.pub \
             --dry-run",
            "rune-bundle split rune-0.1.0.bundle.tar --volume-size 200kB --key release.pub",
        ],
    ),
    (
        "join",
        &[
            "rune-bundle join rune-0.1.0.bundle.volume-1-of-* --key release.pub --output \
             joined.tar",
            "rune-bundle join rune-0.1.0.bundle.volume-1-of-* --trust trust.yaml --output \
             again.tar",
        ],
    ),
    (
        "have",
        &[
            "rune-bundle have rune-0.0.9.bundle.tar",
            "rune-bundle have rune-0.0.9.bundle.tar --output site.json",
        ],
    ),
    (
        "delta",
        &[
            "rune-bundle delta --base rune-0.0.9.bundle.tar rune-0.1.0.bundle.tar --key \
             release.pub --dry-run",
            "rune-bundle delta --have site.json rune-0.1.0.bundle.tar --key release.pub --output \
             site.tar",
            "rune-bundle delta --base rune-0.0.9.bundle.tar rune-0.1.0.bundle.tar --key \
             release.pub",
        ],
    ),
    (
        "apply",
        &[
            "rune-bundle apply rune-0.1.0.delta.tar --from rune-0.0.9.bundle.tar --key \
             release.pub -o new.tar --dry-run",
            "rune-bundle apply rune-0.1.0.delta.tar --from rune-0.0.9.bundle.tar --trust \
             trust.yaml --output applied.tar",
        ],
    ),
    (
        "login",
        &[
            "rune-bundle login registry.example:5000 --username alice",
            "rune-bundle login registry.example:5000 --username alice --password-stdin < password",
            "rune-bundle login registry.example:5000 --username alice --authfile auth.json \
             --password-stdin < password",
        ],
    ),
    (
        "logout",
        &[
            "rune-bundle logout registry.example:5000",
            "rune-bundle logout registry.example:5000 --authfile auth.json",
        ],
    ),
    (
        "prune",
        &[
            "rune-bundle prune registry.example:5000/rune --keep 2 --key release.pub \
             --only-this-cluster",
            "rune-bundle prune registry.example:5000/rune --keep 2 --trust trust.yaml --context \
             east --context west --yes",
        ],
    ),
    (
        "install",
        &[
            "rune-bundle install rune-0.1.0.bundle.tar --key release.pub --namespace rune \
             --dry-run",
            "rune-bundle install rune-0.1.0.bundle.tar --trust trust.yaml --registry \
             registry.example:5000/rune --push",
            "rune-bundle install rune-0.1.0.bundle.tar --key release.pub --values \
             site-values.yaml --backup-first",
        ],
    ),
    (
        "status",
        &[
            "rune-bundle status --namespace rune",
            "rune-bundle status --all-namespaces --no-database --json",
        ],
    ),
    (
        "rollback",
        &[
            "rune-bundle rollback rune --namespace rune --dry-run",
            "rune-bundle rollback rune --namespace rune",
        ],
    ),
    (
        "support",
        &[
            "rune-bundle support --namespace rune",
            "rune-bundle support --all-namespaces --output diagnostics.tar",
        ],
    ),
    (
        "receipts list",
        &[
            "rune-bundle receipts list",
            "rune-bundle receipts list --json",
        ],
    ),
    (
        "receipts show",
        &[
            "rune-bundle receipts show 1",
            "rune-bundle receipts show 1 --json",
        ],
    ),
    (
        "receipts verify",
        &[
            "rune-bundle receipts verify",
            "rune-bundle receipts verify --receipts /var/lib/rune-bundle/receipts --key site.pub",
        ],
    ),
    (
        "verify",
        &[
            "rune-bundle verify rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle verify rune-0.1.0.bundle.tar --trust trust.yaml --expect rune@0.1.0",
            "rune-bundle verify - --key release.pub < rune-0.1.0.bundle.tar",
        ],
    ),
    (
        "inspect",
        &[
            "rune-bundle inspect rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle inspect rune-0.1.0.bundle.tar --key release.pub --images",
        ],
    ),
    (
        "cat",
        &[
            "rune-bundle cat rune-0.1.0.bundle.tar INSTALL.md --key release.pub",
            "rune-bundle cat rune-0.1.0.bundle.tar bundle.json --trust trust.yaml",
        ],
    ),
    (
        "diff",
        &[
            "rune-bundle diff rune-0.0.9.bundle.tar rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle diff rune-0.0.9.bundle.tar rune-0.1.0.bundle.tar --key release.pub --json",
        ],
    ),
    (
        "report",
        &[
            "rune-bundle report rune-0.1.0.bundle.tar --key release.pub --output rune.html",
            "rune-bundle report rune-0.1.0.bundle.tar --against rune-0.0.9.bundle.tar --key \
             release.pub -o change.html",
        ],
    ),
    (
        "evidence",
        &[
            "rune-bundle evidence rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle evidence rune-0.1.0.bundle.tar --key release.pub --output reviewed",
        ],
    ),
    (
        "scan",
        &[
            "rune-bundle scan rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle scan rune-0.1.0.bundle.tar --key release.pub --fail-on high",
        ],
    ),
    (
        "doctor build",
        &[
            "rune-bundle doctor build",
            "rune-bundle doctor build --key release.key --output /tmp/next.tar",
        ],
    ),
    (
        "doctor receive",
        &[
            "rune-bundle doctor receive rune-0.1.0.bundle.tar --key release.pub",
            "rune-bundle doctor receive rune-0.1.0.bundle.tar --key release.pub --registry \
             registry.example:5000",
        ],
    ),
    (
        "fingerprint",
        &[
            "rune-bundle fingerprint release.pub",
            "rune-bundle fingerprint trust.yaml",
        ],
    ),
    (
        "completions",
        &[
            "rune-bundle completions bash > /etc/bash_completion.d/rune-bundle",
            "rune-bundle completions zsh > _rune-bundle",
        ],
    ),
    (
        "man",
        &[
            "rune-bundle man push",
            "rune-bundle man --output /usr/local/share/man/man1",
        ],
    ),
];

const SYNONYMS: &[(&str, &str)] = &[
    ("clean", "prune"),
    ("gc", "prune"),
    ("bundle", "build"),
    ("create", "build"),
    ("make", "build"),
    ("package", "build"),
    ("save", "build"),
    ("new", "init"),
    ("generate", "init"),
    ("add", "init"),
    ("update", "lock --update"),
    ("resolve", "lock"),
    ("template", "render"),
    ("keys", "keygen"),
    ("cosign", "sign"),
    ("list", "inspect"),
    ("ls", "inspect"),
    ("show", "inspect"),
    ("info", "inspect"),
    ("images", "inspect --images"),
    ("check", "verify"),
    ("validate", "verify"),
    ("compare", "diff"),
    ("extract", "unpack"),
    ("untar", "unpack"),
    ("read", "cat"),
    ("copy", "push"),
    ("upload", "push"),
    ("sync", "push"),
    ("pull", "load"),
    ("import", "load"),
    ("registry", "serve"),
    ("deploy", "install"),
    ("upgrade", "install"),
    ("history", "receipts list"),
    ("log", "receipts list"),
    ("id", "fingerprint"),
    ("completion", "completions"),
    ("docs", "man"),
    ("chunk", "split"),
    ("merge", "join"),
    ("patch", "apply"),
    ("undo", "rollback"),
    ("revert", "rollback"),
    ("downgrade", "rollback"),
    ("remove", "prune"),
    ("rm", "prune"),
    ("delete", "prune"),
    ("get", "cat"),
    ("export", "unpack"),
    ("uninstall", "helm uninstall"),
    ("diagnose", "support"),
    ("must-gather", "support"),
    ("version", "--version"),
];

const OPTION_SYNONYMS: &[(&str, &str)] = &[
    ("--size", "--volume-size"),
    ("--format", "--json"),
    ("--insecure", "--plain-http"),
    ("--insecure-skip-tls-verify", "--ca-file"),
    ("--tls-verify", "--ca-file"),
    ("--cacert", "--ca-file"),
    ("-k", "--ca-file"),
    ("-k", "--key"),
    ("-u", "--username"),
    ("--user", "--username"),
    ("-p", "--password-stdin"),
    ("-p", "--password-file"),
    ("--password", "--password-stdin"),
    ("--password", "--password-file"),
    ("-C", "DIRECTORY"),
    ("-o", "DIRECTORY"),
    ("--output", "DIRECTORY"),
    ("-o", "--json"),
    ("--output", "--json"),
    ("--concurrency", "--jobs"),
    ("--parallel", "--jobs"),
];

const VARIABLES: &[(&str, &str)] = &[
    (
        "COSIGN_PASSWORD",
        "Passphrase of the private key. Without it the terminal is asked.",
    ),
    (
        "RUNE_BUNDLE_SITE",
        "Site file, instead of /etc/rune-bundle/site.yaml.",
    ),
    ("RUNE_BUNDLE_TRUST", "Trust file."),
    ("RUNE_BUNDLE_REGISTRY", "Registry, with a prefix if any."),
    ("RUNE_BUNDLE_CA_FILE", "CA certificates of registries."),
    (
        "RUNE_BUNDLE_AUTHFILE",
        "File with credentials of registries.",
    ),
    (
        "RUNE_BUNDLE_REGISTRY_CONFIG",
        "Mirrors, credentials and TLS settings in the format of registries.yaml.",
    ),
    ("RUNE_BUNDLE_NAMESPACE", "Namespace of a release."),
    ("RUNE_BUNDLE_RECEIPTS", "Directory of the receipts."),
    (
        "RUNE_BUNDLE_ANNOTATE",
        "CI for which lines of files are annotated: github, gitlab or auto.",
    ),
    ("RUNE_BUNDLE_HELM", "Helm program, instead of helm in PATH."),
    (
        "REGISTRY_AUTH_FILE",
        "File with credentials of registries, as for podman.",
    ),
    (
        "DOCKER_CONFIG",
        "Directory with config.json, which has credentials of registries.",
    ),
    (
        "GRYPE_DB_CACHE_DIR",
        "Directory with the vulnerability database of grype.",
    ),
    (
        "TRIVY_CACHE_DIR",
        "Directory with the vulnerability database of Trivy.",
    ),
    (
        "HTTPS_PROXY",
        "Proxy of init, lock and build; HTTP_PROXY and NO_PROXY too. Verbs of the air-gapped side \
         use no proxy.",
    ),
    ("KUBECONFIG", "Cluster and credentials."),
    (
        "XDG_STATE_HOME",
        "Where receipts and the records of verified files are by default.",
    ),
    ("NO_COLOR", "Any value switches colour off."),
];
