//! Windows (RFC 9113 §5.2, §6.9): what either side may still send.

/// Window of a stream and of the connection before anything else is said (RFC 9113 §6.9.2).
pub(super) const DEFAULT_WINDOW: u32 = 65_535;
/// The largest window (RFC 9113 §6.9.1).
pub(super) const WINDOW_MAX: u32 = 0x7fff_ffff;

/// A window grew beyond [`WINDOW_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

/// What we may send. Below zero if the peer made its initial window smaller than what it had
/// already allowed (RFC 9113 §6.9.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SendWindow(i32);

impl SendWindow {
    pub(super) fn new(bytes: u32) -> Self {
        Self(bytes.min(WINDOW_MAX) as i32)
    }

    /// Bytes that may be sent.
    pub(super) fn available(self) -> u32 {
        self.0.max(0) as u32
    }

    /// Counts bytes that are sent, at most what is available.
    pub(super) fn spend(&mut self, bytes: u32) {
        debug_assert!(bytes <= self.available(), "the window is overrun");
        self.0 -= bytes as i32;
    }

    /// Changes it by what the peer says.
    pub(super) fn change(&mut self, by: i64) -> Result<(), Overflow> {
        let changed = i64::from(self.0) + by;
        if changed > i64::from(WINDOW_MAX) {
            return Err(Overflow);
        }
        // No setting lowers it further: it was at least 0 before the first change.
        self.0 = i32::try_from(changed).unwrap_or(i32::MIN);
        Ok(())
    }
}

/// What the peer may send: a promise of room. Each byte of it is available to the peer, or held by
/// us, or given back and not yet announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiveWindow {
    available: u32,
    given_back: u32,
}

impl ReceiveWindow {
    pub(super) fn new(bytes: u32) -> Self {
        Self { available: bytes, given_back: 0 }
    }

    /// Counts bytes that the peer sends. False if it may not.
    #[must_use]
    pub(super) fn take(&mut self, bytes: u32) -> bool {
        match self.available.checked_sub(bytes) {
            Some(available) => {
                self.available = available;
                true
            }
            None => false,
        }
    }

    /// Gives back bytes of a window of this size. Returns the increment to announce, once it is
    /// half of the window. What is beyond that size, because the window was larger, is dropped.
    pub(super) fn give_back(&mut self, bytes: u32, size: u32) -> Option<u32> {
        self.given_back += bytes;
        let excess = (self.available + self.given_back).saturating_sub(size);
        self.given_back = self.given_back.saturating_sub(excess);
        if self.given_back == 0 || self.given_back < size / 2 {
            return None;
        }
        self.available += self.given_back;
        Some(std::mem::take(&mut self.given_back))
    }

    /// Makes the window larger; the caller announces it.
    pub(super) fn grow(&mut self, by: u32) {
        self.available += by;
    }

    /// Bytes that the peer may send.
    pub(super) fn available(self) -> u32 {
        self.available
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_send_window_may_be_negative_and_not_too_large() {
        let mut window = SendWindow::new(DEFAULT_WINDOW);
        window.spend(65_000);
        assert_eq!(window.change(-65_535), Ok(()));
        assert_eq!((window, window.available()), (SendWindow(-65_000), 0));
        assert_eq!(window.change(65_001), Ok(()));
        assert_eq!(window.available(), 1);
        assert_eq!(window.change(i64::from(WINDOW_MAX)), Err(Overflow));
        assert_eq!(window.change(i64::from(WINDOW_MAX) - 1), Ok(()));
        assert_eq!(window.available(), WINDOW_MAX);
    }

    #[test]
    fn credit_is_announced_at_half_of_the_window() {
        let mut window = ReceiveWindow::new(100);
        assert!(window.take(60) && !window.take(41));
        assert_eq!(window.give_back(49, 100), None);
        assert_eq!(window.available(), 40);
        assert_eq!(window.give_back(1, 100), Some(50));
        assert_eq!(window.available(), 90);
        assert!(window.take(90));
        assert_eq!(window.give_back(0, 100), None);
        assert_eq!(window.give_back(100, 100), Some(100));
        assert_eq!(window.available(), 100);
    }

    #[test]
    fn credit_beyond_the_window_is_not_renewed() {
        let mut window = ReceiveWindow::new(100);
        window.grow(100);
        assert!(window.take(200));
        assert_eq!(window.give_back(150, 100), Some(100));
        assert_eq!(window.give_back(50, 100), None);
        assert_eq!(window.available(), 100);
    }
}
