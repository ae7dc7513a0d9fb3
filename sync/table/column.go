package table

// Kind is the family of column types that share their rules.
type Kind string

// The kinds. [Opaque] is for values that are not text: geometry, vectors. [Other] is for all other types: only the database
// knows their rules.
const (
	Integer   Kind = "integer"
	Decimal   Kind = "decimal"
	Float     Kind = "float"
	Bit       Kind = "bit"
	Char      Kind = "char"
	Varchar   Kind = "varchar"
	Text      Kind = "text"
	Binary    Kind = "binary"
	Varbinary Kind = "varbinary"
	Blob      Kind = "blob"
	Date      Kind = "date"
	Datetime  Kind = "datetime"
	Timestamp Kind = "timestamp"
	Time      Kind = "time"
	Year      Kind = "year"
	Enum      Kind = "enum"
	Set       Kind = "set"
	JSON      Kind = "json"
	UUID      Kind = "uuid"
	INET4     Kind = "inet4"
	INET6     Kind = "inet6"
	Opaque    Kind = "opaque"
	Other     Kind = "other"
)

// Source says where a column's value comes from when a create leaves the column out.
type Source string

// The sources of a default.
const (
	NoDefault Source = ""       // a NOT NULL column that must be given
	Literal   Source = "value"  // the text of the default
	NullValue Source = "null"   // NULL
	Now       Source = "now"    // CURRENT_TIMESTAMP
	Server    Source = "server" // an expression, a counter or a zero date: only the database knows the value
)

// Default is a column's value when a create leaves the column out.
type Default struct {
	Source Source `json:"source,omitempty"`
	Text   string `json:"text,omitempty"` // of a Literal, as the database shows the value
}

// Column is a column of the tickets table that holds a ticket field. A limit of zero does not apply to the kind.
type Column struct {
	Field     string   `json:"field"` // the ticket field's name
	Name      string   `json:"name"`  // the column's name; differs where a column map says so
	Kind      Kind     `json:"kind"`
	Nullable  bool     `json:"nullable,omitempty"`
	Generated bool     `json:"generated,omitempty"` // computed by the table, never written
	Default   Default  `json:"default"`
	Bits      int      `json:"bits,omitempty"` // of Integer and Bit (1 to 64), and of Float (32 or 64)
	Unsigned  bool     `json:"unsigned,omitempty"`
	Precision int      `json:"precision,omitempty"` // all digits of Decimal, and of Float declared with digits
	Scale     int      `json:"scale,omitempty"`     // the digits after the point, of the same kinds
	MaxChars  int      `json:"max_chars,omitempty"` // of Char and Varchar
	MaxBytes  int      `json:"max_bytes,omitempty"` // of Text, Blob, Binary and Varbinary
	Digits    int      `json:"digits,omitempty"`    // fractional digits of a second, of the temporal kinds
	MaxUnix   int64    `json:"max_unix,omitempty"`  // the last second of Timestamp, since 1970
	Members   []string `json:"members,omitempty"`   // of Enum and Set, in the table's order
	Charset   string   `json:"charset,omitempty"`   // of the kinds that hold text
	// Characters are the characters of a charset that this package does not know: the first and the last of each range, in
	// ascending order.
	Characters string `json:"characters,omitempty"`
	ZeroFill   bool   `json:"zero_fill,omitempty"` // of Decimal: zeros are read before the number, up to the precision
	FoldCase   bool   `json:"fold_case,omitempty"` // the collation takes upper and lower case as equal
	Depth      int    `json:"depth,omitempty"`     // how deeply JSON may be nested
	// Exact, of Text, refuses a value that is too long only by the spaces at its end, which the database would cut.
	Exact bool `json:"exact,omitempty"`

	ranges []rune // Characters, to search in
}

// AbsentIsNull says that the column is NULL in a ticket of which a whole copy lacks the field. A copy that lacks a column which
// cannot be NULL is older than the column. So may be a copy that lacks a column with another default than NULL: the rows of that
// time have the default, unless the field was set to NULL.
func (c *Column) AbsentIsNull() bool {
	return c.Nullable && (c.Generated || c.Default.Source == NullValue || c.Default.Source == NoDefault)
}

// Required says that an inserted row needs the column.
func (c *Column) Required() bool {
	return !c.Nullable && !c.Generated && c.Default.Source == NoDefault
}
