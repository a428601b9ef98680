//! No way out. The kernel is told to make and join no more sockets for this process, nor for any that it starts: who comes
//! in at an address where it listens already is answered, and no library can turn to anybody.

use std::{collections::BTreeMap, net::UdpSocket};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::config::Store;

/// Whether a process can make connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Egress {
    /// The kernel refuses them.
    Shut,
    /// It can, for the settings name an index on a server.
    ToServer(String),
    /// It can, and why.
    Open(String),
}

/// Takes the way out from all threads of this process, for good, unless the settings name an index on a server. To be
/// called once every address is bound.
pub fn shut(store: &Store) -> Egress {
    let egress = match &store.url {
        Some(url) => Egress::ToServer(url.clone()),
        None => match refuse_connections() {
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

/// A connection that was taken could be let go and made anew elsewhere, hence `connect`; requests of an `io_uring` make
/// sockets too, and no filter sees them.
const REFUSED: [libc::c_long; 3] = [libc::SYS_socket, libc::SYS_connect, libc::SYS_io_uring_setup];

/// What is added to a call's number for the same call in the x32 form.
const X32: libc::c_long = 0x4000_0000;

fn refuse_connections() -> Result<(), Box<dyn std::error::Error>> {
    let calls = REFUSED.into_iter().flat_map(|call| [call, call | X32]);
    let rules: BTreeMap<i64, _> = calls.map(|call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EACCES as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?;
    let filter: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter_all_threads(&filter)?)
}
