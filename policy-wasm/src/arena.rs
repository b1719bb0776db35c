//! The guest's allocator: from a piece of memory that is there from the beginning.
//!
//! An instance lives for one call. What it allocates is a few kilobytes, given back
//! with the instance; to grow its memory for that would cost the gate more than the
//! whole decision, since the system has to change what the process may touch, twice.
//! So allocations are cut one after the other from a static piece, and only what does
//! not fit goes to the standard allocator, which grows the memory.

#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its interface; what goes wrong in here is a trap in a sandbox"
)]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use std::alloc::System;

/// Enough for a decision with long settings; untouched pages cost nothing.
const BYTES: usize = 96 * 1024;

#[global_allocator]
static ARENA: Arena = Arena {
    piece: UnsafeCell::new(Piece([0; BYTES])),
    used: UnsafeCell::new(0),
};

#[repr(align(16))]
struct Piece([u8; BYTES]);

struct Arena {
    piece: UnsafeCell<Piece>,
    /// Bytes from the beginning that were given out.
    used: UnsafeCell<usize>,
}

// SAFETY: a component without threads, which is what the contract allows, has one.
// Compiled natively, for tests, this module is left out.
unsafe impl Sync for Arena {}

impl Arena {
    fn base(&self) -> *mut u8 {
        self.piece.get().cast()
    }

    /// Where in the piece a pointer lies.
    fn place(&self, pointer: *const u8) -> Option<usize> {
        let place = (pointer as usize).wrapping_sub(self.base() as usize);
        (place < BYTES).then_some(place)
    }
}

// SAFETY: what is given out lies within the piece, is aligned as asked (the piece is to
// 16 bytes, and larger alignments go to the standard allocator), and is given out once:
// `used` only goes back over the last piece, when that is freed. The rest is the
// standard allocator's.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: nobody else looks at it meanwhile, as there is one thread.
        let used = unsafe { &mut *self.used.get() };
        let begin = used.next_multiple_of(layout.align());
        let end = begin.saturating_add(layout.size());
        if layout.align() > 16 || end > BYTES {
            // SAFETY: the caller's promise for this call is the one that it asks for.
            return unsafe { System.alloc(layout) };
        }
        *used = end;
        // SAFETY: `begin` is within the piece.
        unsafe { self.base().add(begin) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(place) = self.place(pointer) else {
            // SAFETY: what is not of the piece came from there.
            return unsafe { System.dealloc(pointer, layout) };
        };
        // SAFETY: as in `alloc`.
        let used = unsafe { &mut *self.used.get() };
        if place + layout.size() == *used {
            *used = place;
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(place) = self.place(pointer) else {
            // SAFETY: what is not of the piece came from there.
            return unsafe { System.realloc(pointer, layout, size) };
        };
        {
            // SAFETY: as in `alloc`.
            let used = unsafe { &mut *self.used.get() };
            let last = place + layout.size() == *used;
            if last && place.saturating_add(size) <= BYTES {
                *used = place + size;
                return pointer;
            }
        }
        // SAFETY: the new layout is valid by the caller's promise on `size`.
        let layout_wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: its size is not zero, by the caller's promise.
        let moved = unsafe { self.alloc(layout_wanted) };
        if !moved.is_null() {
            // SAFETY: both are valid for that many bytes, and the old one is still held.
            unsafe {
                core::ptr::copy_nonoverlapping(pointer, moved, layout.size().min(size));
                self.dealloc(pointer, layout);
            }
        }
        moved
    }
}
