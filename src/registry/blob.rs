//! A blob on its way: exactly the bytes that its descriptor announces, or an error.

use bytes::Bytes;

use super::{Cause, RegistryError};

/// The bytes of a blob, from the offset that was asked for to its end.
///
/// Whoever consumes them hashes them; the stream only promises their number.
#[derive(Debug)]
pub struct BlobStream {
    pub(super) response: reqwest::Response,
    pub(super) what: String,
    pub(super) endpoint: String,
    pub(super) size: u64,
    pub(super) position: u64,
}

impl BlobStream {
    /// The next bytes, or `None` after the last.
    ///
    /// # Errors
    /// When the connection fails for good, or the number of bytes is not the one declared.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let chunk = match self.response.chunk().await {
            Ok(chunk) => chunk,
            Err(error) => return Err(self.fail(Cause::Transport { problem: error.without_url().to_string(), attempts: 1 })),
        };
        match chunk {
            None if self.position == self.size => Ok(None),
            None => Err(self.fail(Cause::WrongSize { expected: self.size, actual: self.position })),
            Some(bytes) => {
                self.position = self.position.saturating_add(bytes.len() as u64);
                if self.position > self.size {
                    return Err(self.fail(Cause::WrongSize { expected: self.size, actual: self.position }));
                }
                Ok(Some(bytes))
            }
        }
    }

    fn fail(&self, cause: Cause) -> RegistryError {
        super::client::fetch_error(&self.what, &self.endpoint, cause)
    }
}
