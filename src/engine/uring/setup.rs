//! Builds the ring and its buffers, as large as memory allows.

use super::buffers::Buffers;
use super::features::Features;
use super::options::UringOptions;
use super::setup_error::SetupError;
use crate::limits::RING_ENTRIES_MIN;
use io_uring::IoUring;

/// Multishot operations complete many times per submission.
const COMPLETIONS_PER_ENTRY: u32 = 4;
/// The longest completion queue of the kernel.
const COMPLETIONS_MAX: u32 = 65_536;

/// A ring and its buffers: as many entries and receive buffers as are configured, halved again and
/// again while memory does not suffice, down to the least that the configuration allows. The kernel
/// counts the ring, and the list of the buffers, as locked memory. With those of the features that
/// the kernel has.
pub(super) fn build(
    options: &UringOptions,
    features: Features,
) -> Result<(IoUring, Buffers, Features), SetupError> {
    shrinking(options.ring_entries, |entries| {
        let (ring, features) = build_ring_of(entries, features)?;
        let buffers = Buffers::new(&ring, &options.shrunk_to(entries))?;
        Ok((ring, buffers, features))
    })
}

/// The result of `build` for `entries`, rounded up to a power of two, or for fewer if there is not
/// enough memory.
fn shrinking<T>(
    entries: u32,
    mut build: impl FnMut(u32) -> Result<T, SetupError>,
) -> Result<T, SetupError> {
    let mut wanted = entries.next_power_of_two();
    loop {
        match build(wanted) {
            Err(SetupError::OutOfMemory(_)) if wanted / 2 >= RING_ENTRIES_MIN => {
                wanted /= 2;
                tracing::warn!(
                    entries = wanted,
                    "no memory for the ring and its buffers, trying half of both"
                );
            }
            built => return built,
        }
    }
}

fn build_ring_of(entries: u32, features: Features) -> Result<(IoUring, Features), SetupError> {
    let build = |features: Features| {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize((entries * COMPLETIONS_PER_ENTRY).min(COMPLETIONS_MAX));
        if features.direct_submissions {
            builder.setup_no_sqarray();
        }
        builder.build(entries)
    };
    let built = features.build(build);
    let (ring, features): (IoUring, _) =
        built.map_err(|error| SetupError::from_ring(error, entries))?;
    let parameters = ring.params();
    if !(parameters.is_feature_submit_stable()
        && parameters.is_feature_nodrop()
        && parameters.is_feature_ext_arg()
        && parameters.is_feature_skip_cqe_on_success())
    {
        return Err(SetupError::KernelTooOld("the io_uring features of 6.1".to_owned()));
    }
    Ok((ring, features))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RING_ENTRIES_MAX;
    use std::io;

    fn error(number: i32, entries: u32) -> SetupError {
        SetupError::from_ring(io::Error::from_raw_os_error(number), entries)
    }

    #[test]
    fn the_largest_ring_that_may_be_configured_is_not_too_large_for_the_kernel() {
        match build_ring_of(RING_ENTRIES_MAX, Features::ALL) {
            Ok(_) | Err(SetupError::OutOfMemory(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_ring_shrinks_while_memory_does_not_suffice_and_no_further() {
        for (entries, fitting, tried) in [
            (4096, 4096, &[4096][..]),
            (4096, 300, &[4096, 2048, 1024, 512, 256]),
            (100, 64, &[128, 64]),
            (64, 64, &[64]),
        ] {
            let mut asked = Vec::new();
            let built = shrinking(entries, |wanted| {
                asked.push(wanted);
                if wanted <= fitting { Ok(wanted) } else { Err(error(libc::ENOMEM, wanted)) }
            });
            assert_eq!((built.ok(), &*asked), (tried.last().copied(), tried));
        }
        let mut last = 0;
        let refused = shrinking::<()>(1000, |wanted| {
            last = wanted;
            Err(error(libc::ENOMEM, wanted))
        });
        let text = refused.expect_err("there is no memory at all").to_string();
        assert_eq!(last, RING_ENTRIES_MIN);
        assert!(text.contains("a ring of 64 entries") && text.contains("RLIMIT_MEMLOCK"), "{text}");
    }

    #[test]
    fn what_a_smaller_ring_does_not_help_is_told_at_once_with_its_remedy() {
        for (number, remedy) in [
            (libc::EPERM, "kernel.io_uring_disabled=0"),
            (libc::ENOSYS, "seccomp"),
            (libc::EINVAL, "Linux 6.1 or newer"),
            (libc::EMFILE, "RLIMIT_NOFILE"),
            (libc::ENFILE, "RLIMIT_NOFILE"),
        ] {
            let mut tries = 0;
            let refused = shrinking::<()>(4096, |wanted| {
                tries += 1;
                Err(error(number, wanted))
            });
            let text = refused.expect_err("refused").to_string();
            assert!(tries == 1 && text.contains(remedy), "{tries} tries: {text}");
        }
    }
}
