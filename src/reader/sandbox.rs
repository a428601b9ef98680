//! What a child may do: compute, read from its pipe and write to it. Three walls, each for itself: limits on what it
//! uses, Landlock against files and the network, and a filter (seccomp) for every other call to the kernel. One that
//! becomes another program may read that program's own files besides.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetStatus, Scope, path_beneath_rules,
};
use rlimit::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use serde::{Deserialize, Serialize};

/// Standard input, output and error, their copies, and a few for a moment.
const MAX_OPEN_FILES: u64 = 16;

/// Which walls stand around the process that reads files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Memory, open files and written files are limited.
    pub limits: bool,
    /// No file can be opened and no connection made.
    pub landlock: Landlock,
    /// Only calls to the kernel that reading needs are let through.
    pub seccomp: bool,
    /// It tried to open a file and to make a socket, and could do neither.
    pub tried: bool,
}

/// How much of Landlock the kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Landlock {
    /// All that is asked of it.
    Full,
    /// An older kernel's: files, but not all of the network.
    Part,
    /// None: the kernel is built or started without it.
    None,
}

/// Shuts this process in for good. What the kernel does not have is left out, and told.
pub(super) fn confine(memory_bytes: u64) -> Confinement {
    // When memory runs out on the machine, the kernel ends this process and not the service.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    let limits = limit(&LIMITS) & limit(&[(Resource::AS, memory_bytes)]);
    let (landlock, seccomp) = (landlock(&[], &[]), seccomp(&[]).is_ok());
    let tried = std::fs::File::open("/proc/self/exe").is_err() && std::net::UdpSocket::bind("127.0.0.1:0").is_err();
    Confinement { limits, landlock, seccomp, tried }
}

/// Shuts this process in before it becomes another program, which may read and run what lies in `program`, read what
/// lies in `data`, and use so much CPU time.
pub(super) fn confine_program(memory_bytes: u64, seconds: u64, program: &[&Path], data: &[&Path]) {
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    limit(&LIMITS);
    limit(&[(Resource::AS, memory_bytes), (Resource::CPU, seconds)]);
    landlock(program, data);
    // What is missing is told by `premise doctor`, of the process that reads files: the kernel is the same.
    let _ = seccomp(ALLOWED_TO_PROGRAMS);
}

/// Whoever started the program may have left files open in it; they are none of a child's.
pub(super) fn close_what_was_left_open() {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers: Vec<i32> = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The one that listed them is closed by now: that it is told so is of no consequence.
    let _ = numbers.into_iter().filter(|&number| number > 2).map(nix::unistd::close).collect::<Vec<_>>();
}

const LIMITS: [(Resource, u64); 4] =
    [(Resource::NOFILE, MAX_OPEN_FILES), (Resource::FSIZE, 0), (Resource::CORE, 0), (Resource::NPROC, 0)];

fn limit(limits: &[(Resource, u64)]) -> bool {
    // Every one is tried, whatever became of the others.
    let set: Vec<bool> = limits.iter().map(|&(resource, most)| setrlimit(resource, most, most).is_ok()).collect();
    set.iter().all(|&set| set)
}

fn landlock(program: &[&Path], data: &[&Path]) -> Landlock {
    let reading: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    // All that is handled is forbidden, but for what a rule allows. What is not there needs no rule.
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V6))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(ABI::V6)))
        .and_then(|rules| rules.scope(Scope::from_all(ABI::V6)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(path_beneath_rules(program, reading | AccessFs::Execute)))
        .and_then(|rules| rules.add_rules(path_beneath_rules(data, reading)))
        .and_then(RulesetCreated::restrict_self);
    match restricted.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => Landlock::Full,
        Ok(RulesetStatus::PartiallyEnforced) => Landlock::Part,
        Ok(RulesetStatus::NotEnforced) | Err(_) => Landlock::None,
    }
}

/// What memory, locks, clocks, random numbers, the pipe and an orderly end need. Anything else is refused with an
/// error, which no reader waits for.
const ALLOWED: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// What a program needs besides to be started, to load its libraries and to read its data.
const ALLOWED_TO_PROGRAMS: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getdents,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_getpgrp,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_open,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_stat,
    libc::SYS_clock_getres,
    libc::SYS_dup,
    libc::SYS_execve,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fcntl,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpgid,
    libc::SYS_getppid,
    libc::SYS_getrusage,
    libc::SYS_getuid,
    libc::SYS_ioctl,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_readlinkat,
    libc::SYS_rseq,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_statx,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

fn seccomp(more: &[libc::c_long]) -> Result<(), Box<dyn std::error::Error>> {
    // A process that aborts sends the signal to itself; it may not send one to the service.
    let to_itself = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, std::process::id().into())?;
    let mut allowed: std::collections::BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(more).map(|&call| (call, Vec::new())).collect();
    allowed.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![to_itself])?]);
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(allowed, refuse, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?;
    let filter: BpfProgram = filter.try_into()?;
    Ok(seccompiler::apply_filter(&filter)?)
}
