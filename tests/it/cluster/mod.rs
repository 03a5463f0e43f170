//! What only a real Kubernetes can show.

mod backup;
mod basics;
mod bootstrap;
mod bundle;
mod cnpg;
mod external;
mod images;
mod install;
mod install_ways;
mod move_to_postgres;
mod network;
mod offline;
mod release;
mod replicas;
mod shell;
mod support;
