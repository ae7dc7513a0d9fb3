package mysql

import (
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

// integerBits by data type.
var integerBits = map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}

// kinds by data type, without the integers.
var kinds = map[string]table.Kind{
	"decimal": table.Decimal, "float": table.Float, "double": table.Float, "bit": table.Bit,
	"char": table.Char, "varchar": table.Varchar,
	"tinytext": table.Text, "text": table.Text, "mediumtext": table.Text, "longtext": table.Text,
	"binary": table.Binary, "varbinary": table.Varbinary,
	"tinyblob": table.Blob, "blob": table.Blob, "mediumblob": table.Blob, "longblob": table.Blob,
	"date": table.Date, "datetime": table.Datetime, "timestamp": table.Timestamp, "time": table.Time, "year": table.Year,
	"enum": table.Enum, "set": table.Set, "json": table.JSON,
	"uuid": table.UUID, "inet4": table.INET4, "inet6": table.INET6,
	"geometry": table.Opaque, "point": table.Opaque, "linestring": table.Opaque, "polygon": table.Opaque,
	"multipoint": table.Opaque, "multilinestring": table.Opaque, "multipolygon": table.Opaque,
	"geometrycollection": table.Opaque, "geomcollection": table.Opaque, "vector": table.Opaque,
}

func (c *described) integer() bool { return integerBits[c.dataType] != 0 }

// column converts the description to the rules of package table.
func (c *described) column(field string, f flavour, jsonText bool) table.Column {
	col := table.Column{
		Field:      field,
		Name:       c.name,
		Kind:       c.kind(jsonText),
		Nullable:   c.nullable,
		Generated:  c.generation.String != "",
		Unsigned:   strings.Contains(c.columnType, "unsigned"),
		Charset:    c.charset.String,
		Characters: c.characters,
		Digits:     int(c.timeDigits.Int64),
		// A collation's name ends in its case rule: _ci ignores case, _bin and _cs do not. In uca1400_ai_ci and utf8mb4_0900_ai_ci the
		// last part counts.
		FoldCase: strings.HasSuffix(c.collation.String, "_ci"),
	}
	switch col.Kind {
	case table.Integer:
		col.Bits = integerBits[c.dataType]
	case table.Bit:
		col.Bits = int(c.precision.Int64)
	case table.Decimal:
		col.Precision, col.Scale = int(c.precision.Int64), int(c.scale.Int64)
		col.ZeroFill = strings.Contains(c.columnType, "zerofill")
	case table.Float:
		col.Bits = 64
		if c.dataType == "float" {
			col.Bits = 32
		}
		if c.scale.Valid {
			col.Precision, col.Scale = int(c.precision.Int64), int(c.scale.Int64)
		}
	case table.Char, table.Varchar:
		col.MaxChars = int(c.chars.Int64)
	case table.Text, table.Blob, table.Binary, table.Varbinary:
		col.MaxBytes = int(c.octets.Int64)
	case table.Timestamp:
		col.MaxUnix = f.maxUnix
	case table.Enum, table.Set:
		col.Members = members(c.columnType)
	case table.JSON:
		col.Depth = f.depth
	default: // no limits of its own
	}
	col.Default = c.initial(&col, f)
	return col
}

func (c *described) kind(jsonText bool) table.Kind {
	if c.integer() {
		return table.Integer
	}
	kind, named := kinds[c.dataType]
	switch {
	case !named:
		return table.Other
	case kind == table.Text && jsonText:
		return table.JSON
	default:
		return kind
	}
}

// initial reads the default. MariaDB describes a default as an expression ('open', NULL, current_timestamp()); MySQL gives plain
// text and marks expressions in another column.
func (c *described) initial(col *table.Column, f flavour) table.Default {
	text := c.defaultText.String
	switch {
	case c.extra == "auto_increment" || col.Generated:
		return table.Default{Source: table.Server}
	case !c.defaultText.Valid || f.mariaDB && text == "NULL":
		if c.nullable {
			return table.Default{Source: table.NullValue}
		}
		return table.Default{}
	case strings.HasPrefix(strings.ToLower(text), "current_timestamp"):
		return table.Default{Source: table.Now}
	case strings.Contains(c.extra, "default_generated"):
		return table.Default{Source: table.Server}
	}
	if quoted, ok := strings.CutPrefix(text, "'"); f.mariaDB && ok {
		text = unescape.Replace(strings.TrimSuffix(quoted, "'"))
	} else if f.mariaDB && strings.ContainsAny(text, "(`b") {
		return table.Default{Source: table.Server} // an expression, or b'101'
	}
	return literal(col, text)
}

// literal returns a default that the column's own rules accept; other defaults, such as a zero date, are left to the database.
func literal(col *table.Column, text string) table.Default {
	one := table.Definition{Table: "t", Key: "k", Revision: "r", Columns: []table.Column{*col}}
	if one.Prepare() != nil {
		return table.Default{Source: table.Server}
	}
	checked, err := one.Check(ticket.Fields{{Name: col.Field, Value: ticket.Text(text)}})
	if err != nil {
		return table.Default{Source: table.Server}
	}
	return table.Default{Source: table.Literal, Text: checked[0].Value.Text()}
}

// unescape reverses information_schema's form of a text literal.
var unescape = strings.NewReplacer("''", "'", `\\`, `\`, `\n`, "\n", `\r`, "\r", `\0`, "\x00")

// members reads the texts of enum('a','it”s').
func members(columnType string) []string {
	_, list, _ := strings.Cut(columnType, "(")
	list = strings.TrimSuffix(list, ")")
	var all []string
	for list != "" {
		list = strings.TrimPrefix(list, "'")
		end := 0
		for end < len(list) && (list[end] != '\'' || strings.HasPrefix(list[end:], "''")) {
			if list[end] == '\'' {
				end++
			}
			end++
		}
		if end >= len(list) {
			return all
		}
		all = append(all, unescape.Replace(list[:end]))
		list = strings.TrimPrefix(list[end+1:], ",")
	}
	return all
}
