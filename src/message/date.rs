//! Dates of header fields, from Unix milliseconds that the caller's clock gave.

use jiff::Timestamp;

/// `Mon, 23 Nov 2026 08:15:00 +0000` (RFC 5322 §3.3).
pub fn header_date(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_header_fields_have_it() {
        assert_eq!(header_date(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(header_date(1_795_421_693_999), "Mon, 23 Nov 2026 08:14:53 +0000");
        assert_eq!(header_date(u64::MAX), "Thu, 01 Jan 1970 00:00:00 +0000");
    }
}
