//! Moments as people write them: RFC 3339, or a span back from now. Pure.

use super::error::ApiError;

/// Reads `2026-11-22T23:41:33Z` or `90s`, `15m`, `2h`, `3d` before `now_ms`; gives Unix milliseconds.
pub(super) fn parse(field: &str, text: &str, now_ms: u64) -> Result<u64, ApiError> {
    span_ms(text).map(|span| now_ms.saturating_sub(span)).or_else(|| moment_ms(text)).ok_or_else(
        || {
            ApiError::invalid(field, format!("{text:?} is neither a moment nor a span"))
                .hint("write 2026-11-22T08:00:00Z, or 15m, 2h, 3d for that long before now")
        },
    )
}

fn moment_ms(text: &str) -> Option<u64> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok()
}

fn span_ms(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_ms = match unit {
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "d" => 24 * 60 * 60 * 1000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_absolute_or_a_span_back_from_now() {
        let now = 1_700_000_000_000;
        assert_eq!(parse("since", "90s", now), Ok(now - 90_000));
        assert_eq!(parse("since", "2h", now), Ok(now - 7_200_000));
        assert_eq!(parse("since", "2023-11-14T22:13:20Z", now), Ok(now));
        for text in ["", "s", "h2", "2 hours", "yesterday", "-3d", "99999999999999999999d", "é"] {
            assert!(parse("since", text, now).is_err(), "for {text:?}");
        }
    }
}
