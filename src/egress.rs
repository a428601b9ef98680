//! No way out. The kernel is told to make no more sockets for this process, nor for any that it starts: what comes in at
//! an address where it listens already is answered, and nothing else can be sent anywhere, whatever code is loaded.

use std::{collections::BTreeMap, net::UdpSocket};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::config::Store;

/// What keeps a process from making connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Egress {
    /// The kernel makes no sockets for it.
    Shut,
    /// The settings name an index on a server, which must be reached.
    ToServer(String),
    /// This kernel filters no calls.
    Open(String),
}

/// Takes the way out from all threads of this process, for good, unless the settings name an index on a server. To be
/// called when it listens where it shall.
pub fn shut(store: &Store) -> Egress {
    let egress = match &store.url {
        Some(url) => Egress::ToServer(url.clone()),
        None => match refuse_sockets() {
            Ok(()) if UdpSocket::bind("127.0.0.1:0").is_err() => Egress::Shut,
            Ok(()) => Egress::Open("a socket could be made all the same".to_owned()),
            Err(error) => Egress::Open(error.to_string()),
        },
    };
    match &egress {
        Egress::Shut => tracing::info!("this process can make no connection from now on"),
        Egress::ToServer(url) => tracing::info!(url, "connections stay possible, for the index is on a server"),
        Egress::Open(reason) => tracing::warn!(reason, "the kernel does not keep this process from making connections"),
    }
    egress
}

fn refuse_sockets() -> Result<(), Box<dyn std::error::Error>> {
    // Requests of an io_uring make sockets too, and no filter sees them.
    let refused = [libc::SYS_socket, libc::SYS_io_uring_setup];
    let rules: BTreeMap<i64, _> = refused.into_iter().map(|call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EACCES as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
    let filter: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&filter)?)
}
