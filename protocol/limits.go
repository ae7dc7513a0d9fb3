package protocol

import "time"

// Every limit of the protocol. Daemon and client check a limit before any allocation; SPEC.md section 8 lists the same
// numbers and the PHP client repeats the numbers.
const (
	// Version is the first byte of every frame.
	Version = 1

	// HeaderBytes is the size of a frame's header: one byte of version, three bytes of length.
	HeaderBytes = 4

	// MaxPayload bounds the payload of a frame in bytes, in each direction. The value must fit the three bytes of length.
	MaxPayload = 4 << 20

	// MaxFields bounds the fields of a ticket in a request.
	MaxFields = 128

	// MaxTicketBytes bounds the names and values of all fields of a ticket in bytes, so that each ticket fits a frame: 64 KiB
	// are for the rest of the frame.
	MaxTicketBytes = MaxPayload - 64<<10

	// MaxTicketFields bounds the fields of a ticket, fields without a column included.
	MaxTicketFields = 1024

	// MaxTickets bounds the tickets or ids in a request.
	MaxTickets = 1000

	// DefaultLimit is how many tickets or dead letters a page has where the request does not say.
	DefaultLimit = 50

	// MaxFilters bounds the fields in the filter of a selection.
	MaxFilters = 16

	// MaxChoices bounds the values of a filter.
	MaxChoices = 100

	// MaxContains bounds the bytes of a text that tickets are searched for.
	MaxContains = 256

	// MaxGroups bounds the values by which tickets are counted at once.
	MaxGroups = 1000

	// MaxLocked bounds the ids of tickets with locked rows in the answer to a list or count.
	MaxLocked = 100

	// MaxCursor bounds the bytes of a page's cursor.
	MaxCursor = 4096

	// MaxName bounds the bytes of a field name, a request id, a site and a method.
	MaxName = 64

	// MaxBy and MaxVia bound the bytes of by and via.
	MaxBy  = 64
	MaxVia = 32

	// MaxTable bounds the bytes of the client's name for its table: database and table, each of up to 64 characters of up to
	// three bytes, and the dot.
	MaxTable = 2*64*3 + 1

	// MaxPairRequestID bounds the bytes of a request id of set, which may stand for a pair of a set_many: the request id of the
	// set_many, "#" and the index of the pair.
	MaxPairRequestID = MaxName + len("#999")

	// MaxRequestID is the largest number that a client may give a request.
	MaxRequestID = 1<<32 - 1

	// MaxTicketID is the largest id of a ticket.
	MaxTicketID = 1<<63 - 1

	// MaxRevision is the largest revision: above MaxRevision a double does not hold every whole number.
	MaxRevision = 1<<53 - 1

	// DefaultTimeout is for how long a client waits for a reply that does not say.
	DefaultTimeout = time.Second

	// MaxTimeout bounds the time-out in a request; a client that waits longer sends MaxTimeout.
	MaxTimeout = time.Minute

	// MaxRemember bounds the time for which a request id is remembered, and is the default.
	MaxRemember = 24 * time.Hour
)

// Time limits of a connection in the daemon.
const (
	// FrameTimeout bounds the time from the first byte of a frame to the last, so that a slow peer occupies nothing.
	FrameTimeout = 5 * time.Second

	// WriteTimeout bounds the time to write a reply to a client that does not read.
	WriteTimeout = 5 * time.Second

	// ProgressInterval is the least time between two progress messages of a request.
	ProgressInterval = 100 * time.Millisecond
)
