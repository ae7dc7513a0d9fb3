// Package webhook publishes events to a webhook: CloudEvents in an HTTP POST, signed as Standard Webhooks says.
//
// # Answers
//
//	2xx                                 confirmed
//	408, 425, 429, 5xx, 3xx, no answer  later; Retry-After is kept
//	410                                 the destination is paused until an operator resumes it
//	other 4xx                           the event is refused
//
// Redirects are not followed: the signed body would go to a host that the configuration does not name.
//
// # When the endpoint is down
//
// The fault of a failed request is the endpoint's or the event's. So Publish sends the other events, but after
// [maxFailures] requests in a row without an answer, or as soon as the endpoint asks for a pause, the rest of the events is not
// sent and has the same verdict.
//
// # Batches
//
// With a batch size above one, a request carries a JSON array of events. A batch that the endpoint refuses is halved until the
// refused event is alone.
package webhook
