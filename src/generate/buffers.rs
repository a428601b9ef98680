//! Memory for numbers that is used again. A block of a prompt needs tens of megabytes in every layer; had from the
//! system each time, they took a sixth of all time.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use aligned_vec::AVec;

/// Buffers that are kept: a layer has fewer at the same time.
const KEPT: usize = 12;

thread_local! {
    static SPARE: RefCell<Vec<AVec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers in memory that begins with a cache line and goes back to its thread's spare buffers.
pub(super) struct Buffer {
    /// As many as there have ever been: those that are not wanted now need not be cleared when they are again.
    numbers: AVec<f32>,
    length: usize,
}

impl Buffer {
    /// Room for `length` numbers; what is in it means nothing.
    pub(super) fn new(length: usize) -> Self {
        let spare = SPARE.with_borrow_mut(|spare| {
            let fits = spare.iter().enumerate().filter(|(_, numbers)| numbers.capacity() >= length);
            let smallest = fits.min_by_key(|(_, numbers)| numbers.capacity()).map(|(at, _)| at);
            smallest.map(|at| spare.swap_remove(at))
        });
        let mut numbers = spare.unwrap_or_else(|| AVec::with_capacity(0, length));
        if numbers.len() < length {
            numbers.resize(length, 0.0);
        }
        Self { numbers, length }
    }
}

impl From<Vec<f32>> for Buffer {
    fn from(numbers: Vec<f32>) -> Self {
        let mut buffer = Self::new(numbers.len());
        buffer.copy_from_slice(&numbers);
        buffer
    }
}

impl Deref for Buffer {
    type Target = [f32];

    #[inline]
    fn deref(&self) -> &[f32] {
        &self.numbers[..self.length]
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let numbers = std::mem::replace(&mut self.numbers, AVec::new(0));
        // A thread that ends may have lost its buffers already.
        let _ = SPARE.try_with(|spare| {
            let Ok(mut spare) = spare.try_borrow_mut() else { return };
            spare.push(numbers);
            if spare.len() > KEPT {
                let smallest = spare.iter().enumerate().min_by_key(|(_, numbers)| numbers.capacity());
                if let Some((at, _)) = smallest {
                    spare.swap_remove(at);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let first = Buffer::new(5000);
        let place = first.as_ptr();
        drop(first);
        drop(Buffer::new(10));
        let again = Buffer::new(4000);
        assert_eq!((again.as_ptr(), again.len()), (place, 4000));
        let other = Buffer::new(4000);
        assert_ne!(other.as_ptr(), place);
        assert!(place.cast::<u8>().align_offset(64) == 0);
    }

    #[test]
    fn only_so_many_are_kept() {
        let many: Vec<Buffer> = (1..40).map(|at| Buffer::new(at * 100)).collect();
        drop(many);
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
    }
}
