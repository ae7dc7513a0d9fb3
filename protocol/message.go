package protocol

// Method is the name of a method.
type Method string

// The methods of SPEC.md section 5.
const (
	MethodPing      Method = "ping"
	MethodCreate    Method = "create"
	MethodSet       Method = "set"
	MethodSetMany   Method = "set_many"
	MethodCheck     Method = "check"
	MethodGet       Method = "get"
	MethodGetMany   Method = "get_many"
	MethodList      Method = "list"
	MethodCount     Method = "count"
	MethodDelete    Method = "delete"
	MethodFlush     Method = "flush"
	MethodDeadList  Method = "dead_list"
	MethodDeadRetry Method = "dead_retry"
	MethodDeadDrop  Method = "dead_drop"
	MethodStatus    Method = "status"
	MethodWaiting   Method = "waiting"
	MethodDescribe  Method = "describe"

	MethodHistory       Method = "history"
	MethodEraseHistory  Method = "erase_history"
	MethodFeedStatus    Method = "feed_status"
	MethodFeedControl   Method = "feed_control"
	MethodFeedDeadList  Method = "feed_dead_list"
	MethodFeedDeadRetry Method = "feed_dead_retry"
	MethodFeedDeadDrop  Method = "feed_dead_drop"
	MethodFeedRead      Method = "feed_read"
	MethodFeedAck       Method = "feed_ack"
)

// The first element of a message's array.
const (
	typeRequest  = 0
	typeReply    = 1
	typeProgress = 2
)

// Raw is a well-formed msgpack value, not yet decoded. Raw shares bytes with the payload and keeps the payload alive.
type Raw string

// Request is a request with a decoded envelope and well-formed parameters.
type Request struct {
	ID     uint32
	Method Method
	Params Raw
}

// Reply is a reply. Exactly one of Err and Result is set.
type Reply struct {
	ID     uint32
	Err    *Error
	Result Raw
}

// Progress tells how far a flush is: Done of Total tickets.
type Progress struct {
	ID          uint32
	Done, Total int64
}
