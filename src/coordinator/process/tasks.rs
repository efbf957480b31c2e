//! Tasks by key. Does not: notice when the wanted keys have changed.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use tokio::task::JoinHandle;

/// One task for each key, which works with a value.
pub(crate) struct Tasks<K, V> {
    running: HashMap<K, (V, JoinHandle<()>)>,
}

impl<K: Eq + Hash + Clone, V: PartialEq> Tasks<K, V> {
    /// None.
    pub(crate) fn new() -> Self {
        Self { running: HashMap::new() }
    }

    /// Ends the tasks that are not wanted any more, or with another value. Returns the wanted keys
    /// without a task.
    pub(crate) fn end_unwanted(&mut self, wanted: &HashMap<K, V>) -> Vec<K> {
        self.running.retain(|key, (value, task)| {
            let is_wanted = wanted.get(key) == Some(value) && !task.is_finished();
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
        wanted.keys().filter(|key| !self.running.contains_key(*key)).cloned().collect()
    }

    /// Starts a task that is missing.
    pub(crate) fn start(&mut self, key: K, value: V, task: impl Future<Output = ()> + 'static) {
        self.running.insert(key, (value, tokio::task::spawn_local(task)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use tokio::task::{LocalSet, yield_now};

    #[tokio::test]
    async fn tasks_end_when_they_are_not_wanted_or_wanted_otherwise() {
        let within = async {
            let mut tasks = Tasks::new();
            let alive = Rc::new(());
            let start = |tasks: &mut Tasks<char, u8>, key, value, is_over: bool| {
                let held = alive.clone();
                tasks.start(key, value, async move {
                    let _held = held;
                    if !is_over {
                        std::future::pending::<()>().await;
                    }
                });
            };
            for (key, value) in [('a', 1), ('b', 1), ('c', 1), ('d', 1)] {
                start(&mut tasks, key, value, key == 'd');
            }
            yield_now().await;
            assert_eq!(Rc::strong_count(&alive), 1 + 3, "one is over");
            let wanted = HashMap::from([('a', 1), ('b', 2), ('d', 1), ('e', 1)]);
            let mut missing = tasks.end_unwanted(&wanted);
            missing.sort_unstable();
            assert_eq!(missing, ['b', 'd', 'e']);
            yield_now().await;
            assert_eq!(Rc::strong_count(&alive), 1 + 1, "only one goes on");
        };
        LocalSet::new().run_until(within).await;
    }
}
