// Package schedule says when the time of a cron pattern has come.
package schedule
