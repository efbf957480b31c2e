//! What the engine uses of kernels newer than 6.1. Each is tried, by use or by what the kernel
//! says of itself, and left out where it is refused: the engine does the same without it.

use std::io;

/// Features of kernels newer than 6.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The kernel takes submissions in order, without an array of their numbers
    /// (`IORING_SETUP_NO_SQARRAY`, Linux 6.6).
    pub direct_submissions: bool,
}

impl Features {
    /// Whatever the engine can use.
    pub const ALL: Self = Self { direct_submissions: true };
    /// None: the oldest kernel that the engine works on.
    pub const OF_6_1: Self = Self { direct_submissions: false };

    /// The same without what is asked for when a ring is set up; none if there is nothing of that.
    fn without_setup(self) -> Option<Self> {
        self.direct_submissions.then_some(Self { direct_submissions: false })
    }

    /// What `build` makes with these features, or with those that the kernel does not refuse
    /// (`EINVAL`), and the features that it has.
    pub(super) fn build<T>(
        self,
        mut build: impl FnMut(Self) -> io::Result<T>,
    ) -> io::Result<(T, Self)> {
        match (build(self), self.without_setup()) {
            (Err(error), Some(fewer)) if error.raw_os_error() == Some(libc::EINVAL) => {
                build(fewer).map(|built| (built, fewer))
            }
            (built, _) => built.map(|built| (built, self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_refuses_a_feature_gets_a_ring_without_it() {
        let refused = || io::Error::from_raw_os_error(libc::EINVAL);
        let too_little = || io::Error::from_raw_os_error(libc::ENOMEM);
        let (all, few) = (Features::ALL, Features::OF_6_1);
        let older = |features| if features == few { Ok(7) } else { Err(refused()) };
        assert_eq!(all.build(older).expect("without it"), (7, few));
        assert_eq!(few.build(older).expect("as it is"), (7, few));
        assert_eq!(all.build(|_| Ok(7)).expect("as it is"), (7, all));
        for features in [all, few] {
            let error = features.build::<()>(|_| Err(refused())).expect_err("older than 6.1");
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
            let mut tries = 0;
            let error = features.build::<()>(|_| {
                tries += 1;
                Err(too_little())
            });
            let number = error.expect_err("no memory").raw_os_error();
            assert_eq!((number, tries), (Some(libc::ENOMEM), 1));
        }
    }
}
