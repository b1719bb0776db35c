//! Where one WebSocket frame ends and the next begins (RFC 6455 §5.2), so that a
//! connection can be cut between two frames with a close frame that says why.

/// The server goes away (RFC 6455 §7.4.1).
pub const GOING_AWAY: u16 = 1001;
/// "Policy violation" (RFC 6455 §7.4.1).
pub const POLICY_VIOLATION: u16 = 1008;

/// Follows the frames of one direction without holding any of them.
#[derive(Clone, Debug, Default)]
pub struct FrameTracker {
    head: Vec<u8>,
    payload_left: u64,
}

impl FrameTracker {
    /// Whether everything seen so far is whole frames.
    pub fn between_frames(&self) -> bool {
        self.head.is_empty() && self.payload_left == 0
    }

    /// Follows `bytes` as they pass.
    pub fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let here = usize::try_from(self.payload_left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.payload_left -= here as u64;
                bytes = &bytes[here..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if self.head.len() == head_length(&self.head) {
                self.payload_left = payload_length(&self.head);
                self.head.clear();
            }
        }
    }
}

/// Length of the frame head that begins with `head`; grows while it is unknown.
fn head_length(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    2 + extended + mask
}

fn payload_length(head: &[u8]) -> u64 {
    let read = |bytes: &[u8]| bytes.iter().fold(0, |sum, b| (sum << 8) | u64::from(*b));
    match head[1] & 0x7f {
        126 => read(&head[2..4]),
        127 => read(&head[2..10]),
        short => u64::from(short),
    }
}

/// A close frame from the server (unmasked), with a reason of at most 123 bytes.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let end = (0..=reason.len().min(123))
        .rev()
        .find(|at| reason.is_char_boundary(*at))
        .unwrap_or(0);
    let mut frame = vec![0x88, 0];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(&reason.as_bytes()[..end]);
    frame[1] = u8::try_from(frame.len() - 2).unwrap_or(125);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mut frame = vec![0x82];
        let mask_bit = if masked { 0x80 } else { 0 };
        if length < 126 {
            frame.push(mask_bit | u8::try_from(length).unwrap_or(0));
        } else if let Ok(short) = u16::try_from(length) {
            frame.push(mask_bit | 126);
            frame.extend_from_slice(&short.to_be_bytes());
        } else {
            frame.push(mask_bit | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
        frame.extend(std::iter::repeat_n(0, if masked { 4 } else { 0 } + length));
        frame
    }

    proptest! {
        #[test]
        fn frames_are_followed_however_they_are_cut(
            lengths in proptest::collection::vec((0usize..70_000, any::<bool>()), 1..5),
            step in 1usize..5_000,
        ) {
            let frames: Vec<Vec<u8>> = lengths.iter().map(|(l, m)| frame(*l, *m)).collect();
            let ends: Vec<usize> = frames.iter().scan(0, |at, f| { *at += f.len(); Some(*at) }).collect();
            let bytes = frames.concat();
            let mut tracker = FrameTracker::default();
            let mut seen = 0;
            for piece in bytes.chunks(step) {
                tracker.follow(piece);
                seen += piece.len();
                prop_assert_eq!(tracker.between_frames(), ends.contains(&seen));
            }
        }
    }

    #[test]
    fn a_close_frame_says_code_and_reason_within_125_bytes() {
        let short = close_frame(POLICY_VIOLATION, "out");
        assert_eq!(short, [0x88, 5, 0x03, 0xf0, b'o', b'u', b't']);
        let long = close_frame(POLICY_VIOLATION, &"é".repeat(100));
        assert!(long.len() <= 127 && std::str::from_utf8(&long[4..]).is_ok());
    }
}
