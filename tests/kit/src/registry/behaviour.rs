//! What registries differ in without being wrong.

/// How a registry is made. Everything else it does as the distribution specification has it.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a question of its own"
)]
pub struct Behaviour {
    /// Whether it takes an index whose manifests are not all there.
    pub takes_sparse: bool,
    /// Whether it keeps the list of referrers itself, and says so.
    pub lists_referrers: bool,
    /// How many referrers it lists on a page.
    pub referrers_per_page: usize,
    /// Whether it mounts blobs from other repositories.
    pub mounts: bool,
    /// How it refuses to mount instead of offering an upload.
    pub mount_status: Option<u16>,
    /// Whether a repository is made by writing to it.
    pub makes_repositories: bool,
    /// The largest body it takes; like a proxy, it answers without reading it.
    pub max_request_bytes: Option<u64>,
    /// Whether it takes a blob in the request that ends its upload.
    pub takes_whole_blobs: bool,
    /// Whether manifests are sent as gzip, whatever was asked for.
    pub packs_manifests: bool,
    /// What it says is the least for each part of an upload but the last.
    pub min_chunk_bytes: Option<u64>,
    /// How many components a repository may have.
    pub max_depth: Option<usize>,
    /// How it answers whoever did not say who asks, without a challenge, except at the root of its
    /// API.
    pub hides_with: Option<u16>,
    /// The types of configurations that it takes manifests of; without a list, all.
    pub config_types: Option<Vec<&'static str>>,
    /// Repository, tag and digest: what somebody else tags at the moment of the first deletion.
    pub tagged_at_deletion: Option<(String, String, String)>,
    /// How it refuses the others.
    pub refusal: (u16, &'static str),
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            takes_sparse: false,
            lists_referrers: false,
            referrers_per_page: 100,
            mounts: true,
            mount_status: None,
            makes_repositories: true,
            max_request_bytes: None,
            takes_whole_blobs: true,
            packs_manifests: false,
            min_chunk_bytes: None,
            max_depth: None,
            hides_with: None,
            config_types: None,
            tagged_at_deletion: None,
            refusal: (400, "MANIFEST_INVALID"),
        }
    }
}
