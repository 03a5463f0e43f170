//! How large a test is.

/// The usual size of a test, or the full one that `make test-full` asks for: where a smaller size
/// proves the same in less time.
pub fn sized<T>(usual: T, full: T) -> T {
    if std::env::var_os("RUNE_TEST_FULL").is_some() {
        full
    } else {
        usual
    }
}
