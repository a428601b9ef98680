//! The program as people meet it: real files, real models, the real store, the real server and the real binary.

mod answers;
mod bundles;
mod canaries;
mod crash;
mod diskfull;
mod egress;
mod feedback;
mod files;
mod hostile;
mod ingest;
mod isolation;
mod locked;
mod mails;
mod pictures;
mod reindex;
mod retrieval;
mod server;
mod service;
mod store_contract;
mod verbs;
mod walls;
mod world;
