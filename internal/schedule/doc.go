// Package schedule says when the time of a cron pattern has come.
//
// A pattern is what PM2 takes: minute, hour, day of month, month, day of week, and
// seconds in front if there are six fields. [Parse] has the details.
//
// # Local time
//
// Patterns are about the clock on the wall, as in croner 4, which PM2 uses:
//
//   - A time that summer time skips does not occur on that day: "30 2 * * *" in
//     Berlin is silent on the last Sunday of March.
//   - A time that occurs twice counts once, the first time. So between two and
//     three o'clock on the last Sunday of October a pattern for every minute is
//     silent for the second hour.
//
// # When the clock jumps
//
// The clock is looked at no less than once a minute while there is anything to do,
// so that the end of a suspend or a clock set forward is noticed within a minute.
// What was missed meanwhile fires once, however often it would have. A clock set
// back by less than three hours repeats nothing: what is next stays next. Set back
// further, it counts as corrected, and everything is computed anew.
package schedule
