//! Recognises files that somebody compressed on the way, and says how to undo that.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    magic: &'static [u8],
    name: &'static str,
    program: &'static str,
}

const KNOWN: [Compression; 5] = [
    Compression {
        magic: b"\x1f\x8b",
        name: "gzip",
        program: "gunzip",
    },
    Compression {
        magic: b"\x28\xb5\x2f\xfd",
        name: "zstd",
        program: "unzstd",
    },
    Compression {
        magic: b"\xfd7zXZ\0",
        name: "xz",
        program: "unxz",
    },
    Compression {
        magic: b"PK\x03\x04",
        name: "zip",
        program: "unzip",
    },
    Compression {
        magic: b"BZh",
        name: "bzip2",
        program: "bunzip2",
    },
];

impl Compression {
    pub(super) fn of(beginning: &[u8]) -> Option<Self> {
        KNOWN
            .into_iter()
            .find(|known| beginning.starts_with(known.magic))
    }

    pub(super) const fn name(self) -> &'static str {
        self.name
    }

    /// The command that makes the bundle of `file` again.
    pub(crate) fn help(self, file: &str) -> String {
        format!("decompress it first: `{} {file}`", self.program)
    }
}
