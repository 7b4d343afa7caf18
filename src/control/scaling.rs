//! The number of workers that an app is to have, as it is asked for: so many, so many more, so many fewer.
//!
//! Knows neither what an app has nor what is too many.

use std::fmt;
use std::str::FromStr;

/// What `4`, `+2` and `-1` ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    To(u32),
    More(u32),
    Fewer(u32),
}

/// Why a text asks for no number of workers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no number of workers: write 4 for so many, +2 for more, -2 for fewer")]
pub struct BadScaling(String);

impl Scaling {
    /// The number that it comes to, for an app that has so many.
    #[must_use]
    pub fn of(self, workers: u32) -> i64 {
        match self {
            Self::To(number) => number.into(),
            Self::More(number) => i64::from(workers) + i64::from(number),
            Self::Fewer(number) => i64::from(workers) - i64::from(number),
        }
    }
}

impl FromStr for Scaling {
    type Err = BadScaling;

    fn from_str(text: &str) -> Result<Self, BadScaling> {
        let number = |digits: &str| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|_| is_plain).ok_or_else(|| BadScaling(text.to_owned()))
        };
        match (text.strip_prefix('+'), text.strip_prefix('-')) {
            (Some(more), _) => number(more).map(Self::More),
            (_, Some(fewer)) => number(fewer).map(Self::Fewer),
            _ => number(text).map(Self::To),
        }
    }
}

impl fmt::Display for Scaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(number) => write!(f, "{number}"),
            Self::More(number) => write!(f, "+{number}"),
            Self::Fewer(number) => write!(f, "-{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_the_number_and_a_sign_makes_it_a_change() {
        for (text, scaling, of_three) in [
            ("4", Scaling::To(4), 4),
            ("+2", Scaling::More(2), 5),
            ("-1", Scaling::Fewer(1), 2),
            ("-9", Scaling::Fewer(9), -6),
            ("0", Scaling::To(0), 0),
            ("4294967295", Scaling::To(u32::MAX), 4_294_967_295),
        ] {
            assert_eq!(text.parse(), Ok(scaling));
            assert_eq!((scaling.to_string().as_str(), scaling.of(3)), (text, of_three));
        }
    }

    #[test]
    fn nothing_else_is_one() {
        for text in ["", "+", "-", "two", "+-2", "++2", "1.5", " 2", "4294967296"] {
            let error = text.parse::<Scaling>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")) && error.contains("+2 for more"), "{error}");
        }
    }
}
