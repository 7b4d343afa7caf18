//! Spans of time and amounts of memory as people read them, in few characters.
//!
//! For tables and screens; what programs read has plain numbers.

/// A time span in its two greatest units.
pub(super) fn age(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {}s", seconds % 60),
        3600..86400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// Bytes in the greatest unit that leaves a number of at least 1.
pub(super) fn size(bytes: u64) -> String {
    let mebibytes = bytes as f64 / (1024.0 * 1024.0);
    match mebibytes {
        0.0..1.0 => format!("{:.0}K", bytes as f64 / 1024.0),
        1.0..10.0 => format!("{mebibytes:.1}M"),
        10.0..1024.0 => format!("{mebibytes:.0}M"),
        _ => format!("{:.1}G", mebibytes / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units() {
        let ages = [0, 59, 60, 3599, 3600, 86_399, 86_400, 200_000].map(age);
        assert_eq!(ages, ["0s", "59s", "1m 0s", "59m 59s", "1h 0m", "23h 59m", "1d 0h", "2d 7h"]);
    }

    #[test]
    fn sizes_have_two_or_three_digits() {
        let sizes = [0, 2048, 1_572_864, 52_428_800, 1_073_741_824, 10_737_418_240].map(size);
        assert_eq!(sizes, ["0K", "2K", "1.5M", "50M", "1.0G", "10.0G"]);
    }
}
