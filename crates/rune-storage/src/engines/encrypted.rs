//! An encrypted connection to a PostgreSQL server, and what binds a login to it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};
use x509_cert::der::oid::db::rfc5912::{
    ECDSA_WITH_SHA_224, ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512,
    SHA_1_WITH_RSA_ENCRYPTION, SHA_224_WITH_RSA_ENCRYPTION, SHA_256_WITH_RSA_ENCRYPTION,
    SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
};

use rune_core::tls::Certificate;

pub(super) struct Encrypted<S> {
    stream: tokio_rustls::client::TlsStream<S>,
    /// What the login is bound to; `None` where that would prove nothing.
    end_point: Option<Vec<u8>>,
}

impl<S> Encrypted<S> {
    pub(super) const fn new(
        stream: tokio_rustls::client::TlsStream<S>,
        end_point: Option<Vec<u8>>,
    ) -> Self {
        Self { stream, end_point }
    }
}

/// The hash of a certificate that both sides put into the login (`tls-server-end-point`, RFC 5929,
/// 4.1): the one that the certificate is signed with, but none below SHA-256. `None` where the
/// algorithm has no hash of its own.
pub(super) fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    Some(
        match Certificate::read(certificate)?.signature_algorithm() {
            SHA_1_WITH_RSA_ENCRYPTION | SHA_256_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_256 => {
                Sha256::digest(certificate).to_vec()
            }
            SHA_384_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_384 => {
                Sha384::digest(certificate).to_vec()
            }
            SHA_512_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_512 => {
                Sha512::digest(certificate).to_vec()
            }
            SHA_224_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_224 => {
                sha2::Sha224::digest(certificate).to_vec()
            }
            _ => return None,
        },
    )
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.end_point
            .clone()
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
