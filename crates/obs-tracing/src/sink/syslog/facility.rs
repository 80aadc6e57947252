//! What part of a system a message comes from.

use std::fmt;
use std::str::FromStr;

/// What part of a system a message comes from, RFC 5424, 6.2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Facility {
    /// The kernel.
    Kernel = 0,
    /// Programs of users.
    #[default]
    User = 1,
    /// The mail system.
    Mail = 2,
    /// System daemons.
    Daemon = 3,
    /// Security and authorization.
    Auth = 4,
    /// The syslog server itself.
    Syslog = 5,
    /// Printers.
    Printer = 6,
    /// Network news.
    News = 7,
    /// UUCP.
    Uucp = 8,
    /// Clocks and schedulers.
    Cron = 9,
    /// Security and authorization that is not for everyone's eyes.
    AuthPrivate = 10,
    /// File transfer.
    Ftp = 11,
    /// The time.
    Ntp = 12,
    /// Audits.
    Audit = 13,
    /// Alerts about logs.
    Alert = 14,
    /// Clocks, as some systems have them.
    Clock = 15,
    /// As the site decides.
    Local0 = 16,
    /// As the site decides.
    Local1 = 17,
    /// As the site decides.
    Local2 = 18,
    /// As the site decides.
    Local3 = 19,
    /// As the site decides.
    Local4 = 20,
    /// As the site decides.
    Local5 = 21,
    /// As the site decides.
    Local6 = 22,
    /// As the site decides.
    Local7 = 23,
}

impl Facility {
    /// All facilities, by their number.
    pub const ALL: [Self; 24] = [
        Self::Kernel,
        Self::User,
        Self::Mail,
        Self::Daemon,
        Self::Auth,
        Self::Syslog,
        Self::Printer,
        Self::News,
        Self::Uucp,
        Self::Cron,
        Self::AuthPrivate,
        Self::Ftp,
        Self::Ntp,
        Self::Audit,
        Self::Alert,
        Self::Clock,
        Self::Local0,
        Self::Local1,
        Self::Local2,
        Self::Local3,
        Self::Local4,
        Self::Local5,
        Self::Local6,
        Self::Local7,
    ];

    /// Its usual name, such as `local0`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kernel => "kern",
            Self::User => "user",
            Self::Mail => "mail",
            Self::Daemon => "daemon",
            Self::Auth => "auth",
            Self::Syslog => "syslog",
            Self::Printer => "lpr",
            Self::News => "news",
            Self::Uucp => "uucp",
            Self::Cron => "cron",
            Self::AuthPrivate => "authpriv",
            Self::Ftp => "ftp",
            Self::Ntp => "ntp",
            Self::Audit => "audit",
            Self::Alert => "alert",
            Self::Clock => "clock",
            Self::Local0 => "local0",
            Self::Local1 => "local1",
            Self::Local2 => "local2",
            Self::Local3 => "local3",
            Self::Local4 => "local4",
            Self::Local5 => "local5",
            Self::Local6 => "local6",
            Self::Local7 => "local7",
        }
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Facility {
    type Err = String;

    /// Reads a name such as `local0`.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|facility| facility.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no facility: expected one of {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_read_back_and_stand_at_their_numbers() {
        for (number, facility) in Facility::ALL.into_iter().enumerate() {
            assert_eq!(facility as usize, number);
            assert_eq!(facility.to_string().parse(), Ok(facility));
        }
        let problem = "local8".parse::<Facility>().expect_err("there is none");
        assert!(problem.contains("kern, user, mail") && problem.contains("local7"), "{problem}");
    }
}
