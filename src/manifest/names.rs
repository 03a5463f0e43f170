//! Which names and paths a manifest may use.

const MAX_BUNDLE_PATH_BYTES: usize = 100;

/// Names of bundles, images, components and profiles: they become parts of file names and of
/// Kubernetes names.
pub(crate) fn is_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

pub(super) fn is_binary_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && is_bundle_component(name)
}

pub(super) fn is_project_path(text: &str) -> bool {
    let is_readable = !text.contains(|c: char| c == '\\' || c.is_control());
    is_readable
        && text
            .split('/')
            .all(|component| !matches!(component, "" | "." | ".."))
}

pub(super) fn is_extra_path(text: &str) -> bool {
    let Some(below) = text.strip_prefix("files/") else {
        return false;
    };
    text.len() <= MAX_BUNDLE_PATH_BYTES && below.split('/').all(is_bundle_component)
}

fn is_bundle_component(component: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    !component.is_empty()
        && component != "."
        && component != ".."
        && component.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::{is_binary_name, is_extra_path, is_name, is_project_path};

    #[test]
    fn names_are_dns_labels() {
        for good in ["rune", "a", "rune-db", "0", &"a".repeat(63)] {
            assert!(is_name(good), "{good}");
        }
        for bad in [
            "",
            "Rune",
            "-a",
            "a-",
            "a_b",
            "a.b",
            "a b",
            "ü",
            &"a".repeat(64),
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn project_paths_stay_within_the_project() {
        for good in ["charts/rune", "a", "a b/ü.yaml", ".hidden/x"] {
            assert!(is_project_path(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "./a",
            "a//b",
            "a/",
            "a\\b",
            "a\nb",
            ".",
        ] {
            assert!(!is_project_path(bad), "{bad}");
        }
    }

    #[test]
    fn extra_files_land_below_files() {
        for good in ["files/a", "files/a/b-1.0+x.txt"] {
            assert!(is_extra_path(good), "{good}");
        }
        for bad in [
            "a",
            "files",
            "files/",
            "files/../a",
            "files//a",
            "files/ä",
            "files/a b",
            &format!("files/{}", "a".repeat(95)),
        ] {
            assert!(!is_extra_path(bad), "{bad}");
        }
    }

    #[test]
    fn binary_names_are_file_names() {
        assert!(is_binary_name("rune-db") && is_binary_name("helm3.exe"));
        assert!(
            !is_binary_name("")
                && !is_binary_name("..")
                && !is_binary_name("a/b")
                && !is_binary_name("a b")
        );
    }
}
