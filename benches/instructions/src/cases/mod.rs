//! What is counted: each case prepares its input and then repeats one operation. Does not count.

mod engine;
mod exchanges;
mod heads;
mod picking;
mod routing;

/// One operation that is counted.
pub struct Case {
    /// How it is named in the results.
    pub name: String,
    /// So many of them are compared with twice as many.
    pub operations: u64,
    /// Prepares, and does the operation so many times.
    pub run: Box<dyn Fn(u64)>,
}

impl Case {
    fn new(name: impl Into<String>, operations: u64, run: impl Fn(u64) + 'static) -> Self {
        Self { name: name.into(), operations, run: Box::new(run) }
    }
}

/// All cases, in the order of the table.
pub fn all() -> Vec<Case> {
    let mut cases = exchanges::cases();
    cases.extend(heads::cases());
    cases.extend(routing::cases());
    cases.extend(picking::cases());
    cases
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_runs_and_has_a_name_of_its_own() {
        let mut names = std::collections::BTreeSet::new();
        for case in super::all() {
            (case.run)(2);
            assert!(names.insert(case.name));
        }
    }
}
