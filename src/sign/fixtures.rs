//! Published keys for tests: everybody knows their private half.

/// RFC 6979, appendix A.2.5, in PKCS#8.
pub(super) const P256_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgya+p2EW6dRZrXCFX
Z7HWk05Qw9s26JsSe4piKxIPZyGhRANCAARg/tS6JVqdMclh63TGNW1owEm4kjth
+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZ
-----END PRIVATE KEY-----
";

/// The same key in SEC1 form.
pub(super) const P256_SEC1: &str = "-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49
AwEHoUQDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8
maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==
-----END EC PRIVATE KEY-----
";

pub(super) const P256_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7
Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==
-----END PUBLIC KEY-----
";

pub(super) const P256_PUBLIC_COMPRESSED: &str = "-----BEGIN PUBLIC KEY-----
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADYP7UuiVanTHJYet0xjVtaMBJuJI7
Yfps5mliLmDyn7Y=
-----END PUBLIC KEY-----
";

/// RFC 8032, section 7.1, test 1, in PKCS#8.
pub(super) const ED25519_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";

pub(super) const ED25519_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

pub(super) const P384_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEpYzLdb7vuN5jFRjrhi6EJ8OhCukeWorx
90VsBsL5ke9pwx0GX09/vWZ4zctPUQsZgEi39zSyAkuqRvBV2cq8qJBjK2nTYb91
XMY1Wu9bC0SIWQHCeDehbgOsNXiIDWAj
-----END PUBLIC KEY-----
";

/// The private half of some key on P-384, in SEC1 form.
pub(super) const P384_SEC1: &str = "-----BEGIN EC PRIVATE KEY-----
MIGkAgEBBDDwlcG3NeKdmStBc1eC/QjB5KcbNGwJGl3KXrYjYoH5o46jkHt/S/BT
3AGWfNJxf+egBwYFK4EEACKhZANiAARU97CyCr5TVbKaHIMqVNL6MUIiQRgjitjb
iZEF3BBSEUfmQWICxXnPvxxvDmwHO95ZtbEgaPjpJD6wLmfWH+RmwPig6SqsbUYZ
K49g2GCkoB9fqYGsqLm9B7Nd/rcXLnI=
-----END EC PRIVATE KEY-----
";

pub(super) const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtFeM1rcIGqqyYwV6GEha
S9zZNw7kyObafJKzyWsP18hio4WQlaMO+Aryg/ZDByXdWVIKq7rSsrAb9tPuCEqd
ipJ0kz1WlDF5Z/TmpZniPvXncSlkpipjjkE6PgNwfaJ6U5l1rdKbrNUPD24WyrdA
Gnb85OmuTmvC0JH7ganHe+NYvVjRx3ZANu+XyI7ncrPTDgNN0cCkG7itY7gn8Ize
7Eihba66dh6xiTcIbEjoOB4fUs7ihi5+8D6nrjuz3qZjx647wdmLlLETmdogi5cs
x9Jhjl5Mfy+yAKhbY5VhC3pu8h0n4C/B4ViSOTGa6kv3lkLCI1Sh63GTvp22N/1y
LQIDAQAB
-----END PUBLIC KEY-----
";

pub(super) fn private_key(pem: &str) -> super::PrivateKey {
    super::PrivateKey::load(pem.as_bytes(), || Err(super::SignError::Passphrase)).unwrap()
}
