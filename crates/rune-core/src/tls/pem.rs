//! Certificates and private keys in PEM form, as people have them.
//!
//! A byte order mark, any kind of line ends, indentation and text around the blocks do no harm.
//! What cannot be read has its true reason: a file that was cut off, binary DER, a key where a
//! certificate is wanted.
//!
//! Source: RFC 7468; for `TRUSTED CERTIFICATE`, the manual page of `openssl-x509`.

use std::fmt;

use base64ct::{Base64, Encoding as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::der::{
    AnyRef, Reader as _, SliceReader, Tag, TagNumber, Tagged as _, asn1::ObjectIdentifier,
};

use super::Certificate;
use crate::text::shown;

const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// A certificate of a file, and whether whoever wrote the file trusts it for servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenCertificate {
    pub der: CertificateDer<'static>,
    /// False for a `TRUSTED CERTIFICATE` whose settings say so.
    pub(crate) is_for_servers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PemItem {
    Certificate,
    /// A private key without a passphrase.
    PrivateKey,
}

impl fmt::Display for PemItem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Certificate => "certificate",
            Self::PrivateKey => "private key",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemProblem {
    #[error("holds no {wanted} in PEM form")]
    Missing { wanted: PemItem, hint: String },
    #[error("is cut off: the block that begins in line {line} has no end")]
    CutOff { line: usize },
    #[error("is malformed: the block that begins in line {line} as `{label}` ends as `{end}`")]
    Labels {
        line: usize,
        label: String,
        end: String,
    },
    #[error("is damaged: line {line} is not base64")]
    Base64 { line: usize },
    #[error("is damaged: certificate {number}, which begins in line {line}, cannot be read")]
    Certificate {
        /// Which certificate of the file, from 1.
        number: usize,
        line: usize,
    },
}

impl PemProblem {
    pub fn help(&self) -> String {
        match self {
            Self::Missing { hint, .. } => hint.clone(),
            Self::CutOff { .. } => {
                "copy the file again, to the last line `-----END …-----`".to_owned()
            }
            Self::Labels { .. } => "write the same label in both lines".to_owned(),
            Self::Base64 { .. } | Self::Certificate { .. } => {
                "copy the file again; `openssl x509 -in FILE -noout -text` shows a certificate"
                    .to_owned()
            }
        }
    }
}

struct Block {
    label: String,
    /// The line that it begins in, from 1.
    line: usize,
    content: Vec<u8>,
    /// Whether it has the headers of a key with a passphrase.
    is_encrypted: bool,
}

pub fn certificates(bytes: &[u8]) -> Result<Vec<GivenCertificate>, PemProblem> {
    let mut found = Vec::new();
    for block in blocks(bytes)? {
        let damaged = |number: usize| PemProblem::Certificate {
            number,
            line: block.line,
        };
        let number = found.len().saturating_add(1);
        let given = match block.label.as_str() {
            "CERTIFICATE" | "X509 CERTIFICATE" => GivenCertificate {
                der: block.content.clone().into(),
                is_for_servers: true,
            },
            "TRUSTED CERTIFICATE" => {
                with_settings(&block.content).ok_or_else(|| damaged(number))?
            }
            _ => continue,
        };
        Certificate::read(&given.der).ok_or_else(|| damaged(number))?;
        found.push(given);
    }
    if found.is_empty() {
        Err(missing(PemItem::Certificate, bytes))
    } else {
        Ok(found)
    }
}

pub fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, PemProblem> {
    for block in blocks(bytes)?
        .into_iter()
        .filter(|block| !block.is_encrypted)
    {
        match block.label.as_str() {
            "PRIVATE KEY" => return Ok(PrivateKeyDer::Pkcs8(block.content.into())),
            "RSA PRIVATE KEY" => return Ok(PrivateKeyDer::Pkcs1(block.content.into())),
            "EC PRIVATE KEY" => return Ok(PrivateKeyDer::Sec1(block.content.into())),
            _ => {}
        }
    }
    Err(missing(PemItem::PrivateKey, bytes))
}

fn blocks(bytes: &[u8]) -> Result<Vec<Block>, PemProblem> {
    let text = String::from_utf8_lossy(bytes)
        .replace("\r\n", "\n")
        .replace('\r', "\n");
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut base64 = String::new();
    for (position, line) in text.split('\n').enumerate() {
        let number = position.saturating_add(1);
        let line = line
            .trim_matches(|character: char| character.is_whitespace() || character == '\u{feff}');
        match (&mut open, marker(line, "BEGIN"), marker(line, "END")) {
            (Some(block), Some(_), _) => return Err(PemProblem::CutOff { line: block.line }),
            (None, Some(label), _) => {
                base64.clear();
                open = Some(Block {
                    label: label.to_owned(),
                    line: number,
                    content: Vec::new(),
                    is_encrypted: false,
                });
            }
            (Some(block), None, Some(label)) if block.label != label => {
                return Err(PemProblem::Labels {
                    line: block.line,
                    label: shown(&block.label),
                    end: shown(label),
                });
            }
            (Some(block), None, Some(_)) => {
                block.content = Base64::decode_vec(&base64).map_err(|_| PemProblem::Base64 {
                    line: number.saturating_sub(1),
                })?;
                blocks.extend(open.take());
            }
            // Headers such as `Proc-Type: 4,ENCRYPTED` and `DEK-Info: AES-256-CBC,…`.
            (Some(block), None, None) if line.contains(':') => {
                block.is_encrypted |= line.contains("ENCRYPTED");
            }
            (Some(block), None, None) => {
                let is_base64 = line.bytes().all(|byte| {
                    byte.is_ascii_alphanumeric()
                        || matches!(byte, b'+' | b'/' | b'=' | b' ' | b'\t')
                });
                // What a passphrase protects is not decoded.
                if !is_base64 && !block.is_encrypted {
                    return Err(PemProblem::Base64 { line: number });
                }
                base64.extend(line.split_whitespace());
            }
            (None, None, _) => {}
        }
    }
    match open {
        Some(block) => Err(PemProblem::CutOff { line: block.line }),
        None => Ok(blocks),
    }
}

/// The label of a line that begins or ends a block.
fn marker<'a>(line: &'a str, word: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?
        .strip_suffix("-----")?
        .strip_prefix(word)?
        .strip_prefix(' ')
}

/// A certificate followed by what its owner trusts it for, as OpenSSL decides it for servers: a
/// purpose that is rejected counts first; where purposes are listed, this one has to be among them.
fn with_settings(content: &[u8]) -> Option<GivenCertificate> {
    let mut reader = SliceReader::new(content).ok()?;
    let der = CertificateDer::from(reader.tlv_bytes().ok()?.to_vec());
    let (mut is_accepted, mut is_rejected) = (true, false);
    if !reader.is_finished() {
        let settings = reader.decode::<AnyRef<'_>>().ok()?;
        let mut settings = SliceReader::new(settings.value()).ok()?;
        while !settings.is_finished() {
            let field = settings.decode::<AnyRef<'_>>().ok()?;
            match field.tag() {
                Tag::Sequence => is_accepted = names_servers(field.value())?,
                Tag::ContextSpecific {
                    number: TagNumber::N0,
                    ..
                } => is_rejected = names_servers(field.value())?,
                // Its alias, its key identifier, and what nobody uses.
                _ => {}
            }
        }
    }
    Some(GivenCertificate {
        der,
        is_for_servers: is_accepted && !is_rejected,
    })
}

fn names_servers(list: &[u8]) -> Option<bool> {
    let mut reader = SliceReader::new(list).ok()?;
    let mut is_named = false;
    while !reader.is_finished() {
        let purpose = reader.decode::<ObjectIdentifier>().ok()?;
        is_named |= purpose == SERVER_AUTH || purpose == ANY_PURPOSE;
    }
    Some(is_named)
}

fn missing(wanted: PemItem, bytes: &[u8]) -> PemProblem {
    let contains = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    let tool = if wanted == PemItem::Certificate {
        "x509"
    } else {
        "pkey"
    };
    let hint = if bytes.trim_ascii().is_empty() {
        "the file is empty".to_owned()
    } else if is_pkcs12(bytes) {
        "it is in PKCS#12 form; convert it with `openssl pkcs12 -in FILE -out FILE.pem -nodes`"
            .to_owned()
    } else if matches!(bytes, [0x30, 0x80..=0x84, ..]) {
        format!(
            "it is in DER form; convert it with `openssl {tool} -inform der -in FILE -out FILE.pem`"
        )
    } else if matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) {
        "it is UTF-16 text; save it as UTF-8".to_owned()
    } else if contains("ENCRYPTED") {
        "it holds an encrypted private key; decrypt it with `openssl pkey -in FILE -out PLAIN`"
            .to_owned()
    } else if contains("OPENSSH PRIVATE KEY") {
        "it holds a key of OpenSSH, which TLS does not use".to_owned()
    } else if contains("CERTIFICATE REQUEST") {
        "it holds a certificate request; use the certificate that the CA issued for it".to_owned()
    } else if contains("BEGIN PKCS7") || contains("BEGIN CMS") {
        "it is in PKCS#7 form; convert it with `openssl pkcs7 -print_certs -in FILE -out FILE.pem`"
            .to_owned()
    } else if contains("X509 CRL") {
        "it holds a revocation list; use the file with the certificate".to_owned()
    } else if contains("PRIVATE KEY") {
        "it holds a private key; use the file with the certificate".to_owned()
    } else if contains("PUBLIC KEY") {
        format!("it holds a public key; use the file with the {wanted}")
    } else if contains("CERTIFICATE") {
        "it holds a certificate; use the file with the private key".to_owned()
    } else {
        let label = if wanted == PemItem::Certificate {
            "CERTIFICATE"
        } else {
            "PRIVATE KEY"
        };
        format!("a PEM file has lines such as `-----BEGIN {label}-----`")
    };
    PemProblem::Missing { wanted, hint }
}

/// A sequence that begins with version 3, as no certificate and no key does.
fn is_pkcs12(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [0x30, 0x82, _, _, 0x02, 0x01, 0x03, ..]
            | [0x30, 0x80, 0x02, 0x01, 0x03, ..]
            | [0x30, 0x83, _, _, _, 0x02, 0x01, 0x03, ..]
    )
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};
    use proptest::prelude::{ProptestConfig, any, proptest};

    use super::{GivenCertificate, PemProblem, certificates, private_key};

    fn certificate() -> (String, Vec<u8>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["a.example".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap();
        (made.pem(), made.der().to_vec())
    }

    fn ders(text: impl AsRef<[u8]>) -> Vec<Vec<u8>> {
        certificates(text.as_ref())
            .unwrap()
            .into_iter()
            .map(|given| given.der.to_vec())
            .collect()
    }

    #[test]
    fn certificates_are_read_however_the_text_around_them_is_written() {
        let (pem, der) = certificate();
        let indented: String = pem.lines().map(|line| format!("    {line}\t\n")).collect();
        for text in [
            pem.clone(),
            format!("\u{feff}{pem}"),
            pem.replace('\n', "\r\n"),
            pem.replace('\n', "\r"),
            pem.trim_end().to_owned(),
            indented,
            pem.replace("CERTIFICATE", "X509 CERTIFICATE"),
            format!("# the CA of the site\nsubject=/CN=a\n\n{pem}\nand that was it"),
            pem.replace("-----END", "\n\n-----END"),
        ] {
            assert_eq!(ders(&text), std::slice::from_ref(&der), "{text}");
        }
        let latin1 = [b"# Beh\xf6rde\n".as_slice(), pem.as_bytes()].concat();
        assert_eq!(ders(latin1), std::slice::from_ref(&der));
        let (other, other_der) = certificate();
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(
            ders(format!("{pem}comment\n{key}{other}")),
            [der, other_der]
        );
    }

    #[test]
    fn the_trust_settings_of_a_certificate_are_obeyed() {
        let (_, der) = certificate();
        // Sequences of object identifiers: serverAuth, clientAuth, any purpose.
        let (server, client, any) = (
            b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01".as_slice(),
            b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02".as_slice(),
            b"\x06\x04\x55\x1d\x25\x00".as_slice(),
        );
        let tagged = |tag: u8, content: &[u8]| {
            [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
        };
        let (trust, reject) = (
            |content: &[u8]| tagged(0x30, content),
            |content: &[u8]| tagged(0xa0, content),
        );
        let alias = b"\x0c\x01a".to_vec();
        for (settings, is_for_servers) in [
            (vec![], true),
            (tagged(0x30, b""), true),
            (tagged(0x30, &alias), true),
            (tagged(0x30, &trust(server)), true),
            (tagged(0x30, &trust(any)), true),
            (tagged(0x30, &trust(client)), false),
            (tagged(0x30, &trust(b"")), false),
            (tagged(0x30, &trust(&[client, server].concat())), true),
            (tagged(0x30, &reject(server)), false),
            (tagged(0x30, &reject(any)), false),
            (tagged(0x30, &reject(client)), true),
            (
                tagged(0x30, &[trust(server), reject(server), alias].concat()),
                false,
            ),
        ] {
            let text = Base64::encode_string(&[der.clone(), settings].concat());
            let text = format!(
                "-----BEGIN TRUSTED CERTIFICATE-----\n{text}\n-----END TRUSTED CERTIFICATE-----\n"
            );
            assert_eq!(
                certificates(text.as_bytes()).unwrap(),
                [GivenCertificate {
                    der: der.clone().into(),
                    is_for_servers
                }],
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_has_its_reason() {
        let (pem, der) = certificate();
        let half = pem.get(..200).unwrap();
        for (content, part) in [
            (Vec::new(), "the file is empty"),
            (b"hello".to_vec(), "-----BEGIN CERTIFICATE-----"),
            (der.clone(), "DER form"),
            (b"\x30\x82\x01\x02\x02\x01\x03\x30".to_vec(), "PKCS#12"),
            (b"\xff\xfe-\0-\0".to_vec(), "UTF-16"),
            (half.into(), "is cut off: the block that begins in line 1"),
            (
                format!("# first\n{half}\n{pem}").into(),
                "is cut off: the block that begins in line 2",
            ),
            (
                pem.replace("END CERTIFICATE", "END X509 CERTIFICATE")
                    .into(),
                "ends as `X509 CERTIFICATE`",
            ),
            (pem.replacen("MII", "M!I", 1).into(), "line 2 is not base64"),
            (
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
                "certificate 1, which begins in line 1",
            ),
            (
                pem.replace("CERTIFICATE", "CERTIFICATE REQUEST").into(),
                "certificate request",
            ),
            (
                pem.replace("CERTIFICATE", "PRIVATE KEY").into(),
                "holds a private key",
            ),
            (pem.replace("CERTIFICATE", "PKCS7").into(), "PKCS#7"),
            (
                pem.replace("CERTIFICATE", "X509 CRL").into(),
                "revocation list",
            ),
        ] {
            let problem = certificates(&content).unwrap_err();
            assert!(
                format!("{problem}; {}", problem.help()).contains(part),
                "{problem}; {}",
                problem.help()
            );
        }
        for (content, part) in [
            (pem.clone().into_bytes(), "holds a certificate"),
            (
                b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
                    .to_vec(),
                "encrypted",
            ),
            (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_vec(), "encrypted"),
            (der, "openssl pkey -inform der"),
        ] {
            let problem: PemProblem = private_key(&content).unwrap_err();
            assert!(format!("{problem}; {}", problem.help()).contains(part), "{problem}; {}", problem.help());
        }
    }

    #[test]
    fn every_public_ca_certificate_can_be_read() {
        for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
            assert!(super::Certificate::read(root).is_some_and(|read| read.is_issuer()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn reads_anything_without_panicking(label in "(TRUSTED |X509 |)CERTIFICATE", content in any::<Vec<u8>>()) {
            let _ = certificates(&content);
            let text = Base64::encode_string(&content);
            let _ = certificates(format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----").as_bytes());
        }
    }
}
