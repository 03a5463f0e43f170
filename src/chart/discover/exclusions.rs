//! What has the shape of an image reference and is commonly something else.
//!
//! These lists only weaken a guess: where a key, an option or a variable says that it is about an
//! image, or the policy declares it, they do not count.

use super::reference::Parts;

/// Tags that are switches, effects of taints, modes of mounts, actions or names of ports.
const NO_TAGS: [&str; 45] = [
    "true",
    "false",
    "on",
    "off",
    "yes",
    "no",
    "enabled",
    "disabled",
    "none",
    "null",
    "ro",
    "rw",
    "z",
    "tcp",
    "udp",
    "sctp",
    "http",
    "https",
    "http2",
    "grpc",
    "metrics",
    "web",
    "noschedule",
    "noexecute",
    "prefernoschedule",
    "read",
    "write",
    "pull",
    "push",
    "get",
    "list",
    "watch",
    "create",
    "update",
    "delete",
    "patch",
    "admin",
    "all",
    "any",
    "allow",
    "deny",
    "audit",
    "warn",
    "error",
    "info",
];

/// Ports below 1000 that services commonly have.
const LOW_PORTS: [u16; 26] = [
    21, 22, 23, 25, 53, 80, 81, 88, 110, 111, 123, 143, 161, 179, 389, 443, 445, 465, 500, 514,
    587, 636, 853, 873, 993, 995,
];

/// Tags without a digit that images commonly have; any other word may be a port, a verb or a
/// branch.
const WORD_TAGS: [&str; 36] = [
    "latest",
    "stable",
    "edge",
    "main",
    "master",
    "trunk",
    "head",
    "nightly",
    "dev",
    "devel",
    "develop",
    "development",
    "canary",
    "beta",
    "alpha",
    "rc",
    "next",
    "current",
    "lts",
    "release",
    "production",
    "prod",
    "staging",
    "test",
    "testing",
    "unstable",
    "rolling",
    "snapshot",
    "debug",
    "nonroot",
    "alpine",
    "slim",
    "bookworm",
    "trixie",
    "mainline",
    "fpm",
];

/// First components that begin paths of something else: MIME types, references of git, directories,
/// objects.
const NO_ORGANISATIONS: [&str; 36] = [
    "application",
    "text",
    "audio",
    "video",
    "font",
    "image",
    "multipart",
    "message",
    "model",
    "refs",
    "heads",
    "origin",
    "roles",
    "projects",
    "proc",
    "sys",
    "dev",
    "etc",
    "usr",
    "var",
    "tmp",
    "home",
    "opt",
    "root",
    "bin",
    "tcp",
    "udp",
    "http",
    "https",
    "pod",
    "pods",
    "svc",
    "secret",
    "secrets",
    "node",
    "nodes",
];

/// First labels of names that are written backwards, as in Java.
const REVERSED: [&str; 6] = ["com", "org", "net", "io", "edu", "gov"];

/// Ends of files, which hosts do not have.
const FILE_ENDS: [&str; 16] = [
    "yaml", "yml", "json", "sh", "py", "go", "js", "ts", "txt", "md", "conf", "toml", "xml",
    "html", "jar", "log",
];

/// Whether a tag is never an image, wherever it stands.
pub(super) fn is_no_tag(tag: &str) -> bool {
    // `name:tag` is how people write about images.
    matches!(
        tag.to_ascii_lowercase().as_str(),
        "true" | "false" | "noschedule" | "noexecute" | "prefernoschedule" | "tag" | "version"
    )
}

/// Whether `host/path:tag` is commonly something else.
pub(super) fn is_no_host(parts: &Parts<'_>) -> bool {
    let host = parts.host.unwrap_or_default();
    let name = host
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let labels: Vec<&str> = name.split('.').collect();
    let first = labels.first().copied().unwrap_or_default();
    let is_registry = name.contains("registry") || name.contains("gcr");
    let is_label_domain =
        (name.ends_with("kubernetes.io") || name.ends_with("k8s.io")) && !is_registry;
    let last = labels.last().copied().unwrap_or_default();
    let is_reversed = labels.len() > 1
        && REVERSED.contains(&first)
        && !REVERSED.contains(&last)
        && last.len() > 2;
    let is_file = labels.len() > 1 && labels.last().is_some_and(|last| FILE_ENDS.contains(last));
    let is_number =
        |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_block = labels.len() == 4
        && labels.iter().all(is_number)
        && parts.path.first().is_some_and(&is_number);
    let is_service = labels.contains(&"svc");
    // `Team/app:1` can be nothing else than a name with a capital; `$VAR/path:80` is an address.
    let is_doubtful = !host.contains(['.', ':', '['])
        && host != "localhost"
        && parts.tag.is_some_and(is_like_port);
    // A word with capitals and nothing else is not a host.
    let is_word = !host.contains(['.', ':', '[', '\0']) && host != "localhost";
    is_label_domain
        || is_reversed
        || is_file
        || is_block
        || is_doubtful
        || is_word
        || (is_service && parts.tag.is_some_and(is_like_port))
        || parts.tag.is_some_and(|tag| {
            NO_TAGS.contains(&tag.to_ascii_lowercase().as_str())
                && !matches!(tag, "all" | "any" | "web" | "admin")
        })
        || is_version_of_api(parts)
}

/// Whether `org/name:tag` is commonly something else.
pub(super) fn is_no_path(parts: &Parts<'_>) -> bool {
    let first = parts.path.first().copied().unwrap_or_default();
    let last = parts.path.last().copied().unwrap_or_default();
    let has_letter = |text: &str| text.contains(|letter: char| letter.is_ascii_alphabetic());
    let tag = parts.tag.unwrap_or_default();
    let lower = tag.to_ascii_lowercase();
    let is_word = !tag.contains(|part: char| part.is_ascii_digit() || part == '\0')
        && !lower.split('-').all(|word| WORD_TAGS.contains(&word));
    NO_ORGANISATIONS.contains(&first)
        || is_word
        || NO_TAGS.contains(&lower.as_str())
        || is_like_port(tag)
        // A tag that is not known yet: a port as well as a version.
        || tag == "\0"
        || !has_letter(last)
        || (!has_letter(first) && !first.contains('\0'))
        || is_version_of_api(parts)
}

fn is_like_port(tag: &str) -> bool {
    let is_number = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_digit());
    tag == "\0"
        || (is_number
            && tag
                .parse::<u16>()
                .is_ok_and(|port| port >= 1000 || LOW_PORTS.contains(&port)))
}

/// `apps/v1:Deployment`, `rbac.authorization.k8s.io/v1:ClusterRole`.
fn is_version_of_api(parts: &Parts<'_>) -> bool {
    let Some(version) = parts.path.last().and_then(|last| last.strip_prefix('v')) else {
        return false;
    };
    let number = version.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let stage = number
        .strip_prefix("alpha")
        .or_else(|| number.strip_prefix("beta"))
        .unwrap_or(number);
    number.len() < version.len() && stage.bytes().all(|byte| byte.is_ascii_digit())
}
