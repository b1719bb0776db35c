//! One reason to keep somebody out.

/// Seconds since 1970.
pub type Second = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Temporary,
    Permanent,
}

impl Kind {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Temporary => "temporary",
            Self::Permanent => "permanent",
        }
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Look,
    Act,
}

/// How far somebody gets; what the strictest hold leaves is what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    Nowhere,
    Looking,
    Everywhere,
}

impl Reach {
    pub fn covers(self, deed: Deed) -> bool {
        match deed {
            Deed::Look => self >= Self::Looking,
            Deed::Act => self >= Self::Everywhere,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub name: &'static str,
    pub kind: Kind,
    pub read_only: bool,
    pub reason: Option<&'static str>,
    pub ticket: Option<&'static str>,
    pub actor: &'static str,
    pub source: &'static str,
    pub placed: Second,
    pub starts: Second,
    pub ends: Option<Second>,
    pub stops_keys: bool,
    pub ends_sessions: bool,
    /// That it came into force is on record.
    pub begun: bool,
}

impl Hold {
    /// A hold that has begun stays in force when the clock is set back.
    pub fn in_force(&self, now: Second) -> bool {
        (self.begun || self.starts <= now) && !self.is_over(now)
    }

    pub fn is_over(&self, now: Second) -> bool {
        self.ends.is_some_and(|end| end <= now)
    }

    /// It came into force, and nobody has put that on record.
    pub fn began_unseen(&self, now: Second) -> bool {
        !self.begun && self.starts <= now
    }

    pub fn leaves_people(&self) -> Reach {
        if self.read_only {
            Reach::Looking
        } else {
            Reach::Nowhere
        }
    }

    /// Keys that are spared go on working in full where the hold is a full one, and
    /// look where it lets look.
    pub fn leaves_keys(&self) -> Reach {
        match (self.stops_keys, self.read_only) {
            (true, _) => Reach::Nowhere,
            (false, true) => Reach::Looking,
            (false, false) => Reach::Everywhere,
        }
    }

    /// The field by which `new` would let in whom this one keeps out.
    pub fn weakened_by(&self, new: &Self, now: Second) -> Option<&'static str> {
        let forever = Second::MAX;
        let ends_sooner = new.ends.unwrap_or(forever) < self.ends.unwrap_or(forever);
        let weaker = [
            ("starts_at", new.starts > now),
            ("ends_at", ends_sooner),
            ("access", new.read_only && !self.read_only),
            ("disable_api_keys", self.stops_keys && !new.stops_keys),
        ];
        let found = weaker.into_iter().find(|(_, weaker)| *weaker);
        found.map(|(field, _)| field)
    }

    /// The same hold, whether or not its time has come meanwhile.
    pub fn alike(one: Option<&Self>, other: Option<&Self>) -> bool {
        let [one, other] = [one, other].map(|hold| {
            hold.map(|hold| Self {
                begun: false,
                ..hold.clone()
            })
        });
        one == other
    }

    /// Whether placing `new` over this one asks for what is so already, whoever it was
    /// that asked first.
    pub fn is_as_asked(&self, new: &Self, now: Second) -> bool {
        let starts_alike = self.starts == new.starts || (self.in_force(now) && new.in_force(now));
        let alike = Self {
            actor: self.actor,
            source: self.source,
            placed: self.placed,
            starts: self.starts,
            begun: self.begun,
            ..new.clone()
        };
        starts_alike && *self == alike
    }
}
