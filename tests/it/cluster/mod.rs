//! What only a real Kubernetes can show.

pub(crate) mod backup;
pub(crate) mod basics;
pub(crate) mod bootstrap;
pub(crate) mod bundle;
pub(crate) mod cnpg;
pub(crate) mod day_after;
pub(crate) mod definitions;
pub(crate) mod external;
pub(crate) mod first_release;
pub(crate) mod images;
pub(crate) mod install;
pub(crate) mod install_objects;
pub(crate) mod install_tags;
pub(crate) mod install_ways;
pub(crate) mod move_to_postgres;
pub(crate) mod namespaces;
pub(crate) mod network;
pub(crate) mod offline;
pub(crate) mod prune;
pub(crate) mod release;
pub(crate) mod release_set;
pub(crate) mod replicas;
pub(crate) mod scripts;
pub(crate) mod shell;
pub(crate) mod support;
pub(crate) mod volumes;
