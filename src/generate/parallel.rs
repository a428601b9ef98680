//! Work spread over the thread pool of candle's own kernels, so that the two never fight for cores.
//! The pool has one thread a physical core, or `CANDLE_NUM_THREADS`. Work given to it must not use it again.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use candle_core::utils::barrier_pool;

/// Threads that compute, the one that asks among them.
pub(super) fn threads() -> usize {
    barrier_pool().n_workers() + 1
}

/// Runs `work` once for each part, on all cores.
pub(super) fn each<P: Send>(parts: Vec<P>, work: impl Fn(&mut P) + Sync) {
    let mut parts = parts;
    if let [part] = parts.as_mut_slice() {
        return work(part);
    }
    // Each lock is taken once, by the thread that was given its place: never contended, about 20 ns.
    let parts: Vec<Mutex<P>> = parts.into_iter().map(Mutex::new).collect();
    each_index(parts.len(), |at| {
        work(&mut parts[at].lock().unwrap_or_else(PoisonError::into_inner));
    });
}

/// Runs `work` on each run of `length` numbers and the same run of `input`.
pub(super) fn each_row(out: &mut [f32], input: &[f32], length: usize, work: impl Fn(&mut [f32], &[f32]) + Sync) {
    // A handful of rows a part, for a row alone may take less time than handing it over.
    let run = length * (out.len() / length).div_ceil(64).max(1);
    let parts = out.chunks_mut(run).zip(input.chunks(run)).collect();
    each(parts, |(out, input)| {
        for (out, input) in out.chunks_mut(length).zip(input.chunks(length)) {
            work(out, input);
        }
    });
}

/// Runs `work` on the number and the numbers of each row of `length`.
pub(super) fn each_numbered_row(rows: &mut [f32], length: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let count = (rows.len() / length).div_ceil(64).max(1);
    let runs = rows.chunks_mut(length * count).enumerate().collect();
    each(runs, |(run, rows)| {
        for (at, row) in rows.chunks_mut(length).enumerate() {
            work(*run * count + at, row);
        }
    });
}

/// Runs `work` for each number below `count`, on all cores. Each takes a run of what is left, ever shorter ones: neighbours
/// mostly go to one core, and none waits long for another at the end.
pub(super) fn each_index(count: usize, work: impl Fn(usize) + Sync) {
    if count == 1 {
        return work(0);
    }
    let next = AtomicUsize::new(0);
    let take = || {
        let run = |at: usize| (count - at).div_ceil(threads() * RUNS_LEFT);
        let taken = next.fetch_update(Relaxed, Relaxed, |at| (at < count).then(|| at + run(at)));
        taken.ok().map(|at| at..at + run(at))
    };
    barrier_pool().execute(|_| {
        while let Some(run) = take() {
            run.for_each(&work);
        }
    });
}

/// Each core takes this part of its share of what is left.
const RUNS_LEFT: usize = 4;

/// A buffer of which several threads write different places at once, for results whose places are not in one run.
pub(super) struct Scattered<'a> {
    start: *mut f32,
    length: usize,
    buffer: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer comes from an exclusive borrow that lives as long as this value, and `place` asks its callers to
// keep places apart.
unsafe impl Sync for Scattered<'_> {}

impl<'a> Scattered<'a> {
    /// Borrows `buffer` for all threads.
    pub(super) fn new(buffer: &'a mut [f32]) -> Self {
        Self { start: buffer.as_mut_ptr(), length: buffer.len(), buffer: PhantomData }
    }

    /// The `length` numbers from `from`.
    ///
    /// # Safety
    /// No two slices that live at the same time may overlap.
    #[expect(clippy::mut_from_ref, reason = "the caller keeps the places apart")]
    pub(super) unsafe fn place(&self, from: usize, length: usize) -> &mut [f32] {
        assert!(from + length <= self.length, "a place inside the buffer");
        // SAFETY: inside the buffer by the line above; exclusive by this function's contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), length) }
    }
}
