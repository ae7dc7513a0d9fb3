package protocol

import "time"

// Every limit of the protocol. Both sides check them before they allocate anything; SPEC.md section 8 lists the same
// numbers and the PHP client repeats them.
const (
	// Version is the first byte of every frame.
	Version = 1

	// HeaderBytes precede every payload: one byte of version, three of length.
	HeaderBytes = 4

	// MaxPayload bounds the payload of a frame in bytes, in both directions. It must fit the three bytes of length.
	MaxPayload = 4 << 20

	// MaxFields bounds the fields of one ticket in one request.
	MaxFields = 128

	// MaxTicketBytes bounds the names and values of all fields of a ticket in bytes, so that each ticket fits a frame: 64 KiB are
	// for what surrounds them.
	MaxTicketBytes = MaxPayload - 64<<10

	// MaxTicketFields bounds the fields of a ticket, those without a column included.
	MaxTicketFields = 1024

	// MaxTickets bounds the tickets or ids in one request.
	MaxTickets = 1000

	// DefaultLimit is how many tickets or dead letters a page has where the request does not say.
	DefaultLimit = 50

	// MaxFilters bounds the fields that one selection filters by.
	MaxFilters = 16

	// MaxChoices bounds the values that one filter takes.
	MaxChoices = 100

	// MaxContains bounds the bytes of a text that tickets are searched for.
	MaxContains = 256

	// MaxGroups bounds the values by which tickets are counted at once.
	MaxGroups = 1000
	// MaxLocked bounds the tickets that a list or count names because their rows are locked.
	MaxLocked = 100

	// MaxCursor bounds the bytes of a page's cursor.
	MaxCursor = 4096

	// MaxName bounds the bytes of a field name, a request id, a site and a method.
	MaxName = 64

	// MaxTable bounds the bytes of what a client calls its table: database and table, of up to 64 characters of up to three bytes
	// each, and the dot.
	MaxTable = 2*64*3 + 1

	// MaxPairRequestID bounds the bytes of a request id of set: it may stand for one pair of a set_many, as that one's
	// request id, "#" and the pair's index.
	MaxPairRequestID = MaxName + len("#999")

	// MaxRequestID is the largest number that a client may give a request.
	MaxRequestID = 1<<32 - 1

	// MaxTicketID is the largest id of a ticket.
	MaxTicketID = 1<<63 - 1

	// MaxRevision is the largest revision: beyond it a double no longer holds every whole number.
	MaxRevision = 1<<53 - 1

	// DefaultTimeout is for how long a client waits for a reply that does not say.
	DefaultTimeout = time.Second

	// MaxTimeout bounds the time-out that a client tells; one that waits longer says this.
	MaxTimeout = time.Minute

	// MaxRemember bounds the time for which a request id is remembered; it is also that time where the request names none.
	MaxRemember = 24 * time.Hour
)

// Time limits of a connection, as the daemon keeps them.
const (
	// FrameTimeout bounds the time from the first byte of a frame to its last, so that a peer that drips holds nothing.
	FrameTimeout = 5 * time.Second

	// WriteTimeout bounds the time to write a reply to a client that does not read.
	WriteTimeout = 5 * time.Second

	// ProgressInterval is the least time between two progress messages of one request.
	ProgressInterval = 100 * time.Millisecond
)
