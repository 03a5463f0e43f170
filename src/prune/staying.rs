//! What of a repository stays although only older bundles need it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Reason,
    needs::Shelf,
    snapshot::{EvidenceTag, Snapshot},
};
use rune_core::digest::Digest;

/// A repository, what stays in it for bundles, and what may go otherwise.
struct Ties<'a> {
    snapshot: &'a Snapshot,
    kept: &'a Shelf,
    old: &'a Shelf,
    roots: Vec<(Digest, Reason)>,
    about: BTreeMap<Digest, BTreeSet<Digest>>,
    staying: BTreeMap<Digest, Reason>,
}

impl Snapshot {
    /// What stays, and why: what bundles need that stay, what tags of others lead to, what is about
    /// it, and what artifacts of others are about. `old` is what may go otherwise.
    pub(super) fn staying(&self, kept: &Shelf, old: &Shelf) -> BTreeMap<Digest, Reason> {
        let mut ties = Ties {
            snapshot: self,
            kept,
            old,
            roots: Vec::new(),
            about: BTreeMap::new(),
            staying: BTreeMap::new(),
        };
        for (subject, listed) in self.referrers() {
            ties.add_list(subject, listed);
        }
        for (tag, digest) in self.tags() {
            ties.add_tag(tag, digest);
        }
        // First what bundles need, so that this is the reason that is said.
        let others = std::mem::take(&mut ties.roots);
        let needed = kept.manifests.keys();
        ties.spread(needed.map(|digest| (*digest, Reason::Needed)).collect());
        ties.spread(others);
        ties.staying
    }

    /// The lists of referrers that are about what goes and name nothing that stays, by their
    /// digest.
    pub(super) fn lists_to_go(
        &self,
        old: &Shelf,
        staying: &BTreeMap<Digest, Reason>,
    ) -> BTreeMap<Digest, Digest> {
        self.tags()
            .filter_map(|(tag, digest)| match EvidenceTag::parse(tag) {
                Some(EvidenceTag::List(subject)) => Some((digest, subject)),
                _ => None,
            })
            .filter(|(digest, subject)| {
                let stays = |digest: &Digest| staying.contains_key(digest);
                self.is_index(*digest)
                    && (old.manifests.contains_key(subject) || self.is_dead(*subject))
                    && !stays(subject)
                    && !stays(digest)
                    && !self.listed_about(*subject).iter().any(stays)
            })
            .collect()
    }
}

impl Ties<'_> {
    fn may_go(&self, digest: Digest) -> bool {
        self.old.manifests.contains_key(&digest) && !self.kept.manifests.contains_key(&digest)
    }

    /// What is listed about a manifest. What others added stays, and what it is about; and what is
    /// about a manifest of others stays, whoever added it.
    fn add_list(&mut self, subject: Digest, listed: &BTreeSet<Digest>) {
        for entry in listed {
            if !self.may_go(*entry) {
                let reason = Reason::Referrer(*entry);
                self.roots.push((*entry, reason.clone()));
                self.roots.push((subject, reason));
            } else if !self.may_go(subject) {
                self.roots.push((*entry, Reason::About(subject)));
            }
        }
        self.about.entry(subject).or_default().extend(listed);
    }

    fn add_tag(&mut self, tag: &str, digest: Digest) {
        let means_old = |meanings: &BTreeSet<Digest>| meanings.contains(&digest);
        let is_own = self.may_go(digest)
            && !self.kept.tags.contains_key(tag)
            && self.old.tags.get(tag).is_some_and(means_old);
        let reason = Reason::Tag(tag.to_owned());
        match EvidenceTag::parse(tag) {
            Some(EvidenceTag::List(subject)) if self.snapshot.is_dead(subject) => {}
            Some(EvidenceTag::List(subject)) if self.snapshot.is_index(digest) => {
                self.add_list(subject, &self.snapshot.listed_about(subject));
            }
            Some(EvidenceTag::About(subject)) if is_own => {
                self.about.entry(subject).or_default().insert(digest);
            }
            Some(EvidenceTag::About(subject)) => {
                self.roots.push((digest, reason.clone()));
                self.roots.push((subject, reason));
            }
            _ if is_own => {}
            _ => self.roots.push((digest, reason)),
        }
    }

    /// Adds these, what they name, and what is about any of it.
    fn spread(&mut self, mut roots: Vec<(Digest, Reason)>) {
        while let Some((digest, reason)) = roots.pop() {
            if self.staying.contains_key(&digest) {
                continue;
            }
            let listed = self.about.get(&digest).into_iter().flatten().copied();
            let next = self.snapshot.names(digest).chain(listed);
            roots.extend(next.map(|next| (next, reason.clone())));
            self.staying.insert(digest, reason);
        }
    }
}
