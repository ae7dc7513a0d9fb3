package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// keyError is a mistake in a key.
type keyError struct {
	key    string
	reason string
}

func (e *keyError) Error() string { return e.key + ": " + e.reason }

func mistake(key, format string, args ...any) error {
	return &keyError{key: key, reason: fmt.Sprintf(format, args...)}
}

// decode fills the configuration over the defaults. Each unknown or mistyped key is a mistake.
func decode(root table) (*Config, []error) {
	c := Defaults()
	mistakes := fill(reflect.ValueOf(&c).Elem(), root, "")
	c.separate()
	redis, there := root["redis"].(table)
	if _, named := redis["addr"]; there && !named && !c.HasRedis() {
		c.Redis.Addr = defaultRedis
	}
	return &c, mistakes
}

// fill sets the fields of a struct whose tags are the table's keys.
func fill(into reflect.Value, from table, path string) []error {
	var mistakes []error
	for _, key := range slices.Sorted(maps.Keys(from)) {
		field, names := taggedField(into, key)
		if !field.IsValid() {
			mistakes = append(mistakes, mistake(path+key, "unknown key%s", suggest(key, names)))
			continue
		}
		mistakes = append(mistakes, fillField(field, from[key], path+key)...)
	}
	return mistakes
}

// taggedField finds the field of a key; names are the keys of all fields.
func taggedField(of reflect.Value, key string) (field reflect.Value, names []string) {
	for each, value := range of.Fields() {
		if !each.IsExported() {
			continue
		}
		if each.Tag.Get("toml") == key {
			return value, nil
		}
		names = append(names, each.Tag.Get("toml"))
	}
	return reflect.Value{}, names
}

func fillField(field reflect.Value, value any, key string) []error {
	var named func(from table) []error
	switch into := field.Addr().Interface().(type) {
	case *map[string]Site:
		named = func(from table) []error { return fillNamed(into, from, key, SiteDefaults) }
	case *map[string]Destination:
		named = func(from table) []error { return fillNamed(into, from, key, DestinationDefaults) }
	default:
		if field.Kind() != reflect.Struct {
			if err := assign(field, value); err != nil {
				return []error{mistake(key, "%v", err)}
			}
			return nil
		}
	}
	section, ok := value.(table)
	switch {
	case !ok:
		return []error{mistake(key, "%v", expected("a table", value))}
	case named != nil:
		return named(section)
	default:
		return fill(field, section, key+".")
	}
}

// fillNamed makes a map of sections with names of their own.
func fillNamed[T any](into *map[string]T, from table, key string, defaults func() T) []error {
	var mistakes []error
	*into = make(map[string]T, len(from))
	for _, name := range slices.Sorted(maps.Keys(from)) {
		one, at := defaults(), key+"."+name
		if section, ok := from[name].(table); ok {
			mistakes = append(mistakes, fill(reflect.ValueOf(&one).Elem(), section, at+".")...)
		} else {
			mistakes = append(mistakes, mistake(at, "%v", expected("a table", from[name])))
		}
		(*into)[name] = one
	}
	return mistakes
}

// assign sets a field to a value of the file, or to a string from the environment or a flag.
func assign(field reflect.Value, value any) error {
	switch into := field.Addr().Interface().(type) {
	case *string:
		return assignString(into, value)
	case *Secret:
		return assignString(into, value)
	case *time.Duration:
		return assignDuration(into, value)
	case *int:
		return assignInt(into, value)
	case *bool:
		return assignBool(into, value)
	case *[]string:
		return assignList(into, value)
	case *map[string]string:
		return assignMap(into, value)
	default:
		return fmt.Errorf("no decoder for a %s", field.Type())
	}
}

func assignString[T ~string](into *T, value any) error {
	text, ok := value.(string)
	if !ok {
		return expected("a string", value)
	}
	*into = T(text)
	return nil
}

// assignDuration reads "200ms". A bare number is refused, because its unit would be a guess.
func assignDuration(into *time.Duration, value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("%v has no unit; write a duration such as \"200ms\", \"30s\" or \"5m\"", value)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no duration; write \"200ms\", \"30s\" or \"5m\"", text)
	}
	*into = d
	return nil
}

func assignInt(into *int, value any) error {
	switch value := value.(type) {
	case int64:
		*into = int(value)
		return nil
	case string:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("a whole number is expected here, not %q", value)
		}
		*into = n
		return nil
	default:
		return expected("a whole number", value)
	}
}

func assignBool(into *bool, value any) error {
	switch value := value.(type) {
	case bool:
		*into = value
		return nil
	case string:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("true or false is expected here, not %q", value)
		}
		*into = b
		return nil
	default:
		return expected("true or false", value)
	}
}

// assignList reads a list, or a,b,c.
func assignList(into *[]string, value any) error {
	list := []string{}
	switch value := value.(type) {
	case string:
		if value != "" {
			list = strings.Split(value, ",")
		}
	case []any:
		for i, one := range value {
			text, ok := one.(string)
			if !ok {
				return fmt.Errorf("item %d: %w", i+1, expected("a string", one))
			}
			list = append(list, text)
		}
	default:
		return expected("a list", value)
	}
	*into = list
	return nil
}

func assignMap(into *map[string]string, value any) error {
	section, ok := value.(table)
	if !ok {
		return expected("a table", value)
	}
	found := make(map[string]string, len(section))
	for _, key := range slices.Sorted(maps.Keys(section)) {
		text, ok := section[key].(string)
		if !ok {
			return fmt.Errorf("%s: %w", key, expected("a string", section[key]))
		}
		found[key] = text
	}
	*into = found
	return nil
}

// expected names the type that a value should have. The message omits the value, which may be a secret.
func expected(what string, value any) error {
	return fmt.Errorf("%s is expected here, not %s", what, kind(value))
}

// kind names the type of a value in TOML's words.
func kind(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case []any:
		return "a list"
	case table:
		return "a table"
	case bool:
		return "true or false"
	case float64:
		return "a fraction"
	case int64:
		return "a whole number"
	default:
		return "a date or a time"
	}
}

// suggest names a key that shares most letters with the unknown key.
func suggest(key string, names []string) string {
	for _, name := range names {
		if strings.ReplaceAll(name, "_", "") == strings.ReplaceAll(strings.ToLower(key), "-", "") ||
			(len(key) > 3 && (strings.Contains(name, key) || strings.Contains(key, name))) {
			return "; did you mean " + name + "?"
		}
	}
	return ""
}

// anyBlog stands in the name of a section for the number of a blog of a multisite.
const anyBlog = "*"

// separate takes the sections for all blogs of a multisite out of the sites.
func (c *Config) separate() {
	for name, site := range c.Sites {
		if strings.Contains(name, anyBlog) {
			if c.templates == nil {
				c.templates = make(map[string]Site)
			}
			c.templates[name] = site
			delete(c.Sites, name)
		}
	}
}
