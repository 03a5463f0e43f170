//! What people call licences, and the SPDX identifiers that they mean.
//!
//! A hint and no more: which licences there are is for the policy to say.

/// Names in lower case without anything but letters and digits, and what they mean.
const MEANT: &[(&str, &str)] = &[
    ("agpl", "`AGPL-3.0-only` or `AGPL-3.0-or-later`"),
    ("agpl3", "`AGPL-3.0-only` or `AGPL-3.0-or-later`"),
    ("agpl30", "`AGPL-3.0-only` or `AGPL-3.0-or-later`"),
    ("agplv3", "`AGPL-3.0-only` or `AGPL-3.0-or-later`"),
    ("al2", "`Apache-2.0`"),
    ("al20", "`Apache-2.0`"),
    ("apache", "`Apache-2.0`"),
    ("apache2", "`Apache-2.0`"),
    ("apache20", "`Apache-2.0`"),
    ("apachelicense20", "`Apache-2.0`"),
    ("apachelicenseversion20", "`Apache-2.0`"),
    ("apachev2", "`Apache-2.0`"),
    ("asl20", "`Apache-2.0`"),
    ("boost", "`BSL-1.0`"),
    ("bsd", "`BSD-2-Clause` or `BSD-3-Clause`"),
    ("bsd2", "`BSD-2-Clause`"),
    ("bsd2clause", "`BSD-2-Clause`"),
    ("bsd3", "`BSD-3-Clause`"),
    ("bsd3clause", "`BSD-3-Clause`"),
    ("bsdlicense", "`BSD-2-Clause` or `BSD-3-Clause`"),
    ("bsl11", "`BUSL-1.1`"),
    ("busl", "`BUSL-1.1`"),
    ("busl11", "`BUSL-1.1`"),
    ("cc0", "`CC0-1.0`"),
    ("epl", "`EPL-2.0`"),
    ("epl20", "`EPL-2.0`"),
    (
        "gpl",
        "`GPL-2.0-only`, `GPL-2.0-or-later`, `GPL-3.0-only` or `GPL-3.0-or-later`",
    ),
    ("gpl2", "`GPL-2.0-only` or `GPL-2.0-or-later`"),
    ("gpl20", "`GPL-2.0-only` or `GPL-2.0-or-later`"),
    ("gplv2", "`GPL-2.0-only` or `GPL-2.0-or-later`"),
    ("gpl3", "`GPL-3.0-only` or `GPL-3.0-or-later`"),
    ("gpl30", "`GPL-3.0-only` or `GPL-3.0-or-later`"),
    ("gplv3", "`GPL-3.0-only` or `GPL-3.0-or-later`"),
    ("isclicense", "`ISC`"),
    (
        "lgpl",
        "`LGPL-2.1-only`, `LGPL-2.1-or-later`, `LGPL-3.0-only` or `LGPL-3.0-or-later`",
    ),
    ("lgpl21", "`LGPL-2.1-only` or `LGPL-2.1-or-later`"),
    ("lgpl3", "`LGPL-3.0-only` or `LGPL-3.0-or-later`"),
    ("lgpl30", "`LGPL-3.0-only` or `LGPL-3.0-or-later`"),
    ("lgplv3", "`LGPL-3.0-only` or `LGPL-3.0-or-later`"),
    ("mitlicense", "`MIT`"),
    ("mpl", "`MPL-2.0`"),
    ("mpl2", "`MPL-2.0`"),
    ("mpl20", "`MPL-2.0`"),
    ("mplv2", "`MPL-2.0`"),
    ("newbsd", "`BSD-3-Clause`"),
    ("postgres", "`PostgreSQL`"),
    ("postgresqllicense", "`PostgreSQL`"),
    ("psf", "`PSF-2.0`"),
    ("simplifiedbsd", "`BSD-2-Clause`"),
    ("sspl", "`SSPL-1.0`"),
];

pub(super) fn meant(text: &str) -> Option<&'static str> {
    let name: String = text
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_lowercase())
        .collect();
    let (_, ids) = MEANT.iter().find(|(known, _)| *known == name)?;
    // An identifier in other letters is one already.
    let is_one = ids
        .split('`')
        .any(|id| id.eq_ignore_ascii_case(text.trim()));
    (!is_one).then_some(*ids)
}

#[cfg(test)]
mod tests {
    use super::{MEANT, meant};
    use crate::policy::LicenseExpression;

    #[test]
    fn what_people_write_leads_to_the_identifier_and_an_identifier_to_nothing() {
        for (written, id) in [
            ("BSD", "`BSD-3-Clause`"),
            ("BSD 3-Clause", "`BSD-3-Clause`"),
            ("Apache2", "`Apache-2.0`"),
            ("Apache License, Version 2.0", "`Apache-2.0`"),
            ("GPLv3", "`GPL-3.0-only`"),
            ("MIT License", "`MIT`"),
        ] {
            assert!(meant(written).unwrap().contains(id), "{written}");
        }
        for id in [
            "Apache-2.0",
            "apache-2.0",
            "BSD-3-Clause",
            "MIT",
            "Elastic-2.0",
        ] {
            assert_eq!(meant(id), None, "{id}");
        }
    }

    #[test]
    fn every_identifier_is_an_expression() {
        for (_, ids) in MEANT {
            for id in ids.split('`').skip(1).step_by(2) {
                LicenseExpression::parse(id).unwrap();
            }
        }
    }
}
