//! Until when a certificate is valid.

use x509_cert::{Certificate, der::Decode as _};

/// The end of a certificate's validity, in seconds since 1970 and as text (RFC 3339); `None` when the bytes are no certificate.
pub fn certificate_end(der: &[u8]) -> Option<(f64, String)> {
    let end = Certificate::from_der(der).ok()?.tbs_certificate.validity.not_after;
    Some((end.to_unix_duration().as_secs_f64(), end.to_string()))
}

#[cfg(test)]
mod tests {
    use super::certificate_end;

    #[test]
    fn a_certificate_says_until_when() {
        let mut params = rcgen::CertificateParams::new(vec!["db".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 2, 1);
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        assert_eq!(certificate_end(certificate.der()), Some((1_896_134_400.0, "2030-02-01T00:00:00Z".to_owned())));
        assert_eq!(certificate_end(b"no certificate"), None);
    }
}
