//! What is known of one person: each state that fits all that the gate has answered.

use super::answer::Difference;
use super::call::other_name;
use super::hold::Second;
use super::person::Person;

pub struct Cast {
    pub name: String,
    /// The cookies of the person's sessions, the oldest first.
    pub cookies: Vec<String>,
    /// Logins without an answer: the app may have accepted them.
    pub lost_logins: usize,
    /// The last revision that the gate showed.
    pub seen: u64,
    possible: Vec<Person>,
}

impl Cast {
    pub fn new(name: String, now: Second) -> Self {
        Self {
            possible: vec![Person::new(name.clone(), now)],
            name,
            cookies: Vec::new(),
            lost_logins: 0,
            seen: 0,
        }
    }

    pub fn set_clock(&mut self, now: Second) {
        self.pass();
        for state in &mut self.possible {
            state.set_clock(now);
        }
    }

    /// Whether what is under way may be cut any moment, since a hold has begun by the
    /// clock.
    pub fn may_be_cut(&self) -> bool {
        let mut states = self.possible.iter();
        states.any(|state| state.is_unwaited() || !state.later().is_empty())
    }

    /// How the person may be called, if it has or had another name.
    pub fn called(&self, by_name: bool) -> String {
        let mut states = self.possible.iter();
        let name = states.next().and_then(|state| state.names.first());
        let surely = states.all(|state| state.names.first() == name);
        match name.filter(|_| by_name && surely) {
            Some(other) => other_name(&self.name, *other),
            None => self.name.clone(),
        }
    }

    /// What time brings about is put on record when the gate comes to it.
    fn pass(&mut self) {
        let states = std::mem::take(&mut self.possible);
        self.possible = with_later(states);
    }

    /// Keeps the states that an answer fits.
    ///
    /// # Errors
    /// Where it fits none: what it lacks of each.
    pub fn judge(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&mut Person) -> Result<(), Difference>,
    ) -> Result<(), Difference> {
        self.follow(what, |mut state| vec![fits(&mut state).map(|()| state)])
    }

    /// Goes on with the states that come of an answer.
    ///
    /// # Errors
    /// As [`Cast::judge`].
    pub fn follow(
        &mut self,
        what: &str,
        mut step: impl FnMut(Person) -> Vec<Result<Person, Difference>>,
    ) -> Result<(), Difference> {
        self.pass();
        let states = std::mem::take(&mut self.possible);
        let mut differences = Vec::new();
        for outcome in states.into_iter().flat_map(&mut step) {
            match outcome {
                Ok(state) if self.possible.contains(&state) => {}
                Ok(state) => self.possible.push(state),
                Err(difference) => differences.push(difference),
            }
        }
        if self.possible.is_empty() {
            let name = &self.name;
            return Err(format!(
                "{name}, {what}:\n  {}",
                differences.join("\n  or ")
            ));
        }
        self.seen = self
            .possible
            .iter()
            .map(|state| state.revision.least)
            .min()
            .unwrap_or(0);
        Ok(())
    }

    /// The states in which nothing is left to be put on record.
    pub fn settled(&self, now: Second) -> Vec<Person> {
        let mut states = with_later(self.possible.clone());
        states.retain(|state| state.recorded(now).is_none());
        states
    }
}

/// The states, and those after them in which the gate has put on record what time
/// brought about.
pub fn with_later(mut states: Vec<Person>) -> Vec<Person> {
    let mut at = 0;
    while let Some(state) = states.get(at) {
        for state in state.later() {
            if !states.contains(&state) {
                states.push(state);
            }
        }
        at += 1;
    }
    states
}
