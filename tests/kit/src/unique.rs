use std::{
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

/// What no other process of a run puts in a name: lower-case letters and digits, a letter first.
///
/// The number of a process is none: a run starts more processes than there are numbers.
pub fn unique() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let drawn = RandomState::new().hash_one(std::process::id());
        format!("p{:010x}", drawn >> 24)
    });
    &NAME
}
