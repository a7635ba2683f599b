//! Values with units, as the bootstrap file writes them: sizes and spans.
//!
//! A bare number is never taken for a size or a span: what it counts would be a guess.

use std::fmt;
use std::time::Duration;

/// A number of octets, written with its unit: `512 B`, `64 KiB`, `40 MiB`, `5 GiB`, or decimal `10 MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

/// Units of a size, those we write first.
const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    /// So many MiB.
    pub const fn mib(count: u64) -> Size {
        Size(count << 20)
    }

    /// So many KiB.
    pub const fn kib(count: u64) -> Size {
        Size(count << 10)
    }

    /// So many GiB.
    pub const fn gib(count: u64) -> Size {
        Size(count << 30)
    }

    /// So many octets.
    pub const fn of_octets(count: u64) -> Size {
        Size(count)
    }

    /// In octets.
    pub const fn octets(self) -> u64 {
        self.0
    }

    /// Reads a size; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Size, UnitError> {
        let (number, unit) = split_unit(text)?;
        let (_, factor) = SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .ok_or_else(|| UnitError::of(unit, text))?;
        number.checked_mul(*factor).map(Size).ok_or(UnitError::Big)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = SIZE_UNITS.iter().filter(|(name, _)| name.ends_with("iB") || *name == "B");
        for (name, factor) in binary {
            if self.0 >= *factor && self.0.is_multiple_of(*factor) {
                return write!(f, "{} {name}", self.0 / factor);
            }
        }
        write!(f, "{} B", self.0)
    }
}

/// A span of time, written with its unit: `250ms`, `90s`, `5m`, `12h`, `4d`, or several as `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// Units of a span, in milliseconds, greatest first.
const SPAN_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Span {
    /// So many milliseconds.
    pub const fn ms(count: u64) -> Span {
        Span(Duration::from_millis(count))
    }

    /// So many seconds.
    pub const fn seconds(count: u64) -> Span {
        Span(Duration::from_secs(count))
    }

    /// So many minutes.
    pub const fn minutes(count: u64) -> Span {
        Span::seconds(count * 60)
    }

    /// So many hours.
    pub const fn hours(count: u64) -> Span {
        Span::minutes(count * 60)
    }

    /// So many days.
    pub const fn days(count: u64) -> Span {
        Span::hours(count * 24)
    }

    /// As the standard library counts it.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In milliseconds.
    pub fn as_ms(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Reads a span; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Span, UnitError> {
        let mut rest = text.trim();
        let mut total_ms: u64 = 0;
        loop {
            let part_len = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let tail = rest.get(part_len..).unwrap_or_default();
            let unit_len = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let (part, after) = rest.split_at(part_len + unit_len);
            let (number, unit) = split_unit(part)?;
            let (_, factor) = SPAN_UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(|| UnitError::of(unit, text))?;
            total_ms = number
                .checked_mul(*factor)
                .and_then(|ms| total_ms.checked_add(ms))
                .ok_or(UnitError::Big)?;
            rest = after.trim_start();
            if rest.is_empty() {
                return Ok(Span::ms(total_ms));
            }
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_ms();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (name, factor) in SPAN_UNITS {
            if rest >= factor {
                write!(f, "{}{name}", rest / factor)?;
                rest %= factor;
            }
        }
        Ok(())
    }
}

/// Why a text is no size or span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitError {
    /// It does not begin with a whole number.
    Number,
    /// The number stands alone.
    NoUnit,
    /// The unit is none that we know.
    Unit(String),
    /// More than fits.
    Big,
}

impl UnitError {
    fn of(unit: &str, text: &str) -> UnitError {
        if unit.is_empty() {
            return UnitError::NoUnit;
        }
        debug_assert!(text.contains(unit));
        UnitError::Unit(unit.to_owned())
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnitError::Number => f.write_str("does not begin with a whole number"),
            UnitError::NoUnit => f.write_str("has no unit"),
            UnitError::Unit(unit) => write!(f, "has the unknown unit `{unit}`"),
            UnitError::Big => f.write_str("is too great"),
        }
    }
}

/// The number at the head of a text and the unit behind it.
fn split_unit(text: &str) -> Result<(u64, &str), UnitError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::Number);
    }
    Ok((number.parse().map_err(|_| UnitError::Big)?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_size(text: &str, want: Result<u64, &str>) {
        let got = Size::parse(text).map(Size::octets).map_err(|e| e.to_string());
        assert_eq!(got, want.map_err(str::to_owned), "for {text:?}");
    }

    #[test]
    fn a_size_needs_its_unit() {
        check_size("40 MiB", Ok(40 << 20));
        check_size("64kib", Ok(64 << 10));
        check_size("10 MB", Ok(10_000_000));
        check_size("512 B", Ok(512));
        check_size("40", Err("has no unit"));
        check_size("40 M", Err("has the unknown unit `M`"));
        check_size("MiB", Err("does not begin with a whole number"));
        check_size("-1 MiB", Err("does not begin with a whole number"));
        check_size("99999999 TiB", Err("is too great"));
    }

    #[track_caller]
    fn check_span(text: &str, want: Result<u64, &str>) {
        let got = Span::parse(text).map(Span::as_ms).map_err(|e| e.to_string());
        assert_eq!(got, want.map_err(str::to_owned), "for {text:?}");
    }

    #[test]
    fn a_span_needs_its_unit() {
        check_span("90s", Ok(90_000));
        check_span("4d", Ok(345_600_000));
        check_span("1h30m", Ok(5_400_000));
        check_span("1h 30m", Ok(5_400_000));
        check_span("250 ms", Ok(250));
        check_span("90", Err("has no unit"));
        check_span("1h30", Err("has no unit"));
        check_span("5 minutes", Err("has the unknown unit `minutes`"));
        check_span("", Err("does not begin with a whole number"));
        check_span("999999999999999999d", Err("is too great"));
    }

    proptest! {
        #[test]
        fn a_size_survives_being_written_and_read(octets: u64) {
            prop_assert_eq!(Size::parse(&Size(octets).to_string()), Ok(Size(octets)));
        }

        #[test]
        fn a_span_survives_being_written_and_read(ms in 0u64..1 << 50) {
            prop_assert_eq!(Span::parse(&Span::ms(ms).to_string()), Ok(Span::ms(ms)));
        }

        #[test]
        fn no_text_makes_a_unit_panic(text: String) {
            let _ = (Size::parse(&text), Span::parse(&text));
        }
    }
}
