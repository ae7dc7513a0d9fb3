// Package incidents reads the event log of a help desk, real input for the replay and the benchmarks: a line is an update of
// a ticket, with the ticket's fields after the update.
//
// The format is that of the "Incident management process enriched event log" (Amaral, Fantinato, Peres; UCI Machine Learning
// Repository; CC BY 4.0): a CSV file with a header, times as day-month-year hour:minute, and "?" for unknown values.
package incidents
