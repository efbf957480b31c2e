//! The resolver in use, one for all tasks. It is made anew when the system's files have changed and
//! at each reload: name servers move, and answers of an old one must not outlive it.

use super::resolver::Resolver;
use super::system_files::SystemFiles;
use crate::sys::file::Stamp;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::sync::watch;

/// A resolver, and the state of the files that it was made from.
struct Made {
    resolver: Rc<Resolver>,
    stamps: [Option<Stamp>; 2],
}

/// See the module.
pub(crate) struct Resolvers {
    /// Of the configuration; none: those of the system.
    servers: Vec<SocketAddr>,
    files: SystemFiles,
    /// None before it is needed: without names resolv.conf is not read, which may appear later than
    /// this process.
    made: RefCell<Option<Made>>,
    renewals: watch::Sender<()>,
}

impl Resolvers {
    /// Of these servers, or of the system's if there are none.
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        let (files, renewals) = (SystemFiles::default(), watch::Sender::default());
        Self { servers, files, made: RefCell::default(), renewals }
    }

    /// The resolver. The system's files are checked, and read only if they have changed.
    ///
    /// # Errors
    /// If the system's servers are not known.
    pub(crate) fn current(&self) -> Result<Rc<Resolver>, String> {
        let stamps = self.files.stamps();
        let mut made = self.made.borrow_mut();
        if let Some(Made { resolver, .. }) = made.as_ref().filter(|made| made.stamps == stamps) {
            return Ok(resolver.clone());
        }
        let resolver = Rc::new(Resolver::new(&self.servers, &self.files)?);
        Ok(made.insert(Made { resolver, stamps }).resolver.clone())
    }

    /// Drops all cached answers, so that every task asks anew at once.
    pub(crate) fn renew(&self) {
        self.made.take();
        self.renewals.send_replace(());
    }

    /// Notified at each [`Resolvers::renew`].
    pub(super) fn renewals(&self) -> watch::Receiver<()> {
        self.renewals.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    /// Files in a folder of this test.
    fn files() -> SystemFiles {
        let folder = std::env::temp_dir().join(format!("ringway-resolvers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("made");
        SystemFiles { resolv_conf: folder.join("resolv.conf"), hosts: folder.join("hosts") }
    }

    #[tokio::test]
    async fn the_resolver_follows_the_systems_files_and_reloads() {
        let resolvers = Resolvers { files: files(), ..Resolvers::new(Vec::new()) };
        let SystemFiles { resolv_conf, hosts } = &resolvers.files;
        let refused = resolvers.current().err().expect("there is no file");
        assert!(refused.contains("resolv.conf"), "{refused}");
        std::fs::write(resolv_conf, "nameserver 127.0.0.2\n").expect("written");
        std::fs::write(hosts, "192.0.2.1 my_app\n").expect("written");
        let ask = async |resolver: Rc<Resolver>| -> Vec<IpAddr> {
            resolver.addresses("my_app", &[]).await.expect("the hosts file has it").ips
        };
        let first = resolvers.current().expect("it is made");
        assert_eq!(ask(first.clone()).await, ["192.0.2.1".parse::<IpAddr>().expect("one")]);
        let same = resolvers.current().expect("nothing has changed");
        assert!(Rc::ptr_eq(&first, &same));
        std::fs::write(hosts, "192.0.2.2 my_app\n2001:db8::2 my_app\n").expect("written");
        let second = resolvers.current().expect("it is made");
        assert_eq!(ask(second.clone()).await.len(), 2);
        std::fs::write(resolv_conf, "nameserver 127.0.0.3\n# moved\n").expect("written");
        let third = resolvers.current().expect("it is made");
        assert!(!Rc::ptr_eq(&second, &third), "other servers are asked");
        let renewals = resolvers.renewals();
        resolvers.renew();
        assert!(renewals.has_changed().expect("not closed"));
        let fourth = resolvers.current().expect("it is made");
        assert!(!Rc::ptr_eq(&third, &fourth), "a reload asks anew");
        std::fs::remove_dir_all(resolv_conf.parent().expect("a folder")).expect("removed");
    }
}
