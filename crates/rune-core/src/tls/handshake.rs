//! Why a TLS handshake failed, in words: the library's own texts are names of its code.

use rustls::{AlertDescription as Alert, Error};

use super::CertificateProblem;

pub fn handshake_problem(error: &Error) -> String {
    if let Some(problem) = CertificateProblem::of(error) {
        return problem.to_string();
    }
    match error {
        Error::AlertReceived(Alert::HandshakeFailure | Alert::InsufficientSecurity) => {
            "the server refused the handshake: it has no protocol version, cipher suite, curve or \
             kind of certificate in common with this program"
                .to_owned()
        }
        Error::AlertReceived(Alert::ProtocolVersion) => {
            "the server supports neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        Error::AlertReceived(Alert::UnrecognisedName) => {
            "the server has no certificate for this host name".to_owned()
        }
        Error::AlertReceived(alert) => format!(
            "the server ended the handshake with the alert `{}`",
            alert_name(*alert)
        ),
        Error::InvalidMessage(_)
        | Error::InappropriateMessage { .. }
        | Error::InappropriateHandshakeMessage { .. } => "the answer is not TLS".to_owned(),
        Error::PeerIncompatible(_) => {
            "the server offers no protocol version or cipher suite that this program supports"
                .to_owned()
        }
        Error::PeerMisbehaved(_) => "the server violated the TLS protocol".to_owned(),
        Error::DecryptError | Error::PeerSentOversizedRecord => {
            "what the server sent was damaged on its way".to_owned()
        }
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => {
            "the server has no usable certificate".to_owned()
        }
        _ => "the handshake failed".to_owned(),
    }
}

/// The name of an alert in RFC 8446, section 6.
fn alert_name(alert: Alert) -> String {
    let mut name = String::new();
    for character in alert.as_str().unwrap_or("unknown").chars() {
        if character.is_ascii_uppercase()
            && !name.is_empty()
            && !name.ends_with(|last: char| last.is_ascii_uppercase())
        {
            name.push('_');
        }
        name.push(character);
    }
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription as Alert, Error, InvalidMessage, PeerIncompatible};

    use super::handshake_problem;

    #[test]
    fn no_text_is_a_name_of_code() {
        for (error, part) in [
            (Error::AlertReceived(Alert::HandshakeFailure), "in common"),
            (
                Error::AlertReceived(Alert::BadRecordMac),
                "`bad_record_mac`",
            ),
            (Error::AlertReceived(Alert::UnknownCA), "`unknown_ca`"),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                "not TLS",
            ),
            (
                Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
                "offers no protocol version",
            ),
            (Error::HandshakeNotComplete, "the handshake failed"),
        ] {
            let text = handshake_problem(&error);
            assert!(text.contains(part), "{text}");
        }
    }
}
