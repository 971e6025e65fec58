//! Durations on the command line.

/// Reads `90s`, `30m`, `2h` or `500ms` as milliseconds.
pub(super) fn parse_ms(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits
        .parse()
        .map_err(|_| "a number and its unit, such as 90s, 30m or 2h".to_owned())?;
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => {
            return Err(format!(
                "a unit is missing: {number}s, {number}m or {number}h?"
            ));
        }
        unit => return Err(format!("unknown unit `{unit}`; use ms, s, m, h or d")),
    };
    number
        .checked_mul(unit_ms)
        .ok_or_else(|| "longer than can be waited for".to_owned())
}

/// The same, of something that is done again and again.
pub(super) fn parse_interval_ms(text: &str) -> Result<u64, String> {
    match parse_ms(text)? {
        0 => Err("without any pause nothing else would be done".to_owned()),
        interval_ms => Ok(interval_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_ms(text).ok(), expected);
        check("90s", Some(90_000));
        check("30m", Some(1_800_000));
        check("500ms", Some(500));
        check("2h", Some(7_200_000));
        check("30", None);
        check("m", None);
        check("3 weeks", None);
        check("99999999999999999999s", None);
        check("", None);
    }
}
