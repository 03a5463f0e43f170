//! The bundle as a tar: other programs list it as documented and would write the same bytes.

use crate::{bundle::foreign_shipment::Shipment, bundle::foreign_support::Foreign};

/// Writes an archive with the names, modes and contents of another, and nothing else of it.
const WRITE_AGAIN: &str = r#"
import sys, tarfile
with tarfile.open(sys.argv[1]) as one, tarfile.open(sys.argv[2], "w", format=tarfile.USTAR_FORMAT) as other:
    for member in one:
        copy = tarfile.TarInfo(member.name)
        copy.size, copy.mode = member.size, member.mode
        other.addfile(copy, one.extractfile(member))
    length = other.offset + 2 * tarfile.BLOCKSIZE
with open(sys.argv[2], "r+b") as file:
    file.truncate(length)  # Python fills the last record; the format ends with two blocks.
"#;

#[test]
fn gnu_tar_lists_the_entries_in_the_documented_order() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let listed = tools.run("tar", ["-tf", &shipment.bundle()]);
    let names: Vec<_> = listed.lines().collect();
    let slots: Vec<_> = (0..8)
        .map(|number| format!("signatures/{number}.sigstore.json"))
        .collect();
    assert_eq!(names[0], "bundle.json");
    assert_eq!(names[1..9], slots[..]);
    assert_eq!(names[9..11], ["oci-layout", "index.json"]);
    let first_blob = names
        .iter()
        .position(|name| name.starts_with("blobs/"))
        .unwrap();
    let (others, blobs) = (&names[11..first_blob], &names[first_blob..]);
    assert!(
        others.is_sorted()
            && others.contains(&"INSTALL.md")
            && others.contains(&"artifacts/index.json"),
        "{others:?}"
    );
    assert!(
        blobs.is_sorted() && blobs.iter().all(|name| name.starts_with("blobs/sha256/")),
        "{blobs:?}"
    );
    let signed: Vec<_> = shipment
        .index()
        .entries
        .into_iter()
        .map(|entry| entry.path.to_string())
        .collect();
    assert_eq!(names[9..], signed[..], "the signed index lists the same");
}

#[test]
fn gnu_tar_shows_no_owner_no_time_and_only_the_two_modes() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let listed = tools.run(
        "tar",
        [
            "--numeric-owner",
            "--utc",
            "--full-time",
            "-tvf",
            &shipment.bundle(),
        ],
    );
    for line in listed.lines() {
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap();
        let (mode, owner, _size, date, time, name) =
            (next(), next(), next(), next(), next(), next());
        assert_eq!(
            (owner, date, time),
            ("0/0", "1970-01-01", "00:00:00"),
            "{line}"
        );
        assert_eq!(
            mode,
            if name.starts_with("bin/") {
                "-rwxr-xr-x"
            } else {
                "-rw-r--r--"
            },
            "{line}"
        );
    }
}

#[test]
fn python_writes_the_same_bytes_from_the_same_names_modes_and_data() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    tools.run(
        "python3",
        ["-c", WRITE_AGAIN, &shipment.bundle(), "again.tar"],
    );
    tools.run("cmp", [shipment.bundle().as_str(), "again.tar"]);
}

#[test]
fn coreutils_find_every_unpacked_file_as_the_list_says() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let said = tools.run(
        "sh",
        [
            "-c",
            r#"cd "$0" && sha256sum -c SHA256SUMS"#,
            &shipment.unpacked(),
        ],
    );
    // The list names neither itself nor what vouches for it.
    assert_eq!(
        said.lines().filter(|line| line.ends_with(": OK")).count(),
        shipment.index().entries.len() - 1,
        "{said}"
    );
}

#[test]
fn tar_extracts_what_render_wrote_before() {
    let (shipment, tools) = (Shipment::whole(), Foreign::new());
    let chart = shipment.text_path(&format!("unpacked/{}", shipment.index().charts[0].path));
    tools.run("tar", ["-xzf", &chart]);
    tools.run(
        "diff",
        ["-r", "rune", &shipment.text_path("rendered/charts/rune")],
    );
    for part in ["INSTALL.md", "values"] {
        let [carried, rendered] = ["unpacked", "rendered"]
            .map(|directory| shipment.text_path(&format!("{directory}/{part}")));
        tools.run("diff", ["-r", &carried, &rendered]);
    }
}
