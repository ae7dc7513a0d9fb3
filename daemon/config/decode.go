package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
)

// keyError is a mistake in one key.
type keyError struct {
	key    string
	reason string
}

func (e *keyError) Error() string { return e.key + ": " + e.reason }

func mistake(key, format string, args ...any) error {
	return &keyError{key: key, reason: fmt.Sprintf(format, args...)}
}

// toDuration reads "200ms". A bare number is refused: its unit would be anybody's guess.
func toDuration(from, to reflect.Type, value any) (any, error) {
	if to != reflect.TypeFor[time.Duration]() || from == to {
		return value, nil
	}
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("%v has no unit; write a duration such as \"200ms\", \"30s\" or \"5m\"", value)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, fmt.Errorf("%q is no duration; write \"200ms\", \"30s\" or \"5m\"", text)
	}
	return d, nil
}

// toSlice reads a,b,c where a list comes from the environment or a flag.
func toSlice(from, to reflect.Type, value any) (any, error) {
	if from.Kind() != reflect.String || to != reflect.TypeFor[[]string]() {
		return value, nil
	}
	text, _ := value.(string)
	if text == "" {
		return []string{}, nil
	}
	return strings.Split(text, ","), nil
}

// toInt reads a number where it comes from the environment or a flag.
func toInt(_, to reflect.Type, value any) (any, error) {
	text, ok := value.(string)
	if !ok || to.Kind() != reflect.Int {
		return value, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("a whole number is expected here, not %q", text)
	}
	return n, nil
}

// toBool reads true or false where it comes from the environment or a flag.
func toBool(_, to reflect.Type, value any) (any, error) {
	text, ok := value.(string)
	if !ok || to.Kind() != reflect.Bool {
		return value, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return nil, fmt.Errorf("true or false is expected here, not %q", text)
	}
	return b, nil
}

// readable takes the decoder's errors apart, one for each key.
func readable(path string, err error) []error {
	if _, one := err.(*mapstructure.DecodeError); !one { //nolint:errorlint // the tree is walked by hand
		if inner := errors.Unwrap(err); inner != nil {
			return readable(path, inner) // the sentence that the decoder puts around several errors
		}
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, one := range joined.Unwrap() {
			all = append(all, readable(path, one)...)
		}
		return all
	}
	var one *mapstructure.DecodeError
	if !errors.As(err, &one) {
		return []error{err}
	}
	key := join(path, one.Name())
	if unconvertible, ok := errors.AsType[*mapstructure.UnconvertibleTypeError](err); ok {
		return []error{mistake(key, "%s is expected here, not %s", kind(unconvertible.Expected.Type()),
			kind(reflect.TypeOf(unconvertible.Value)))}
	}
	return []error{mistake(key, "%v", one.Unwrap())}
}

// kind names a type as people who write TOML do.
func kind(t reflect.Type) string {
	switch {
	case t == nil:
		return "nothing"
	case t == reflect.TypeFor[time.Duration]():
		return "a duration"
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a table"
	case reflect.Bool:
		return "true or false"
	case reflect.Float64:
		return "a fraction"
	default:
		return "a whole number"
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	if key == "" {
		return path
	}
	return path + "." + key
}

// unknownKeys finds the keys that no field of the struct takes.
func unknownKeys(t reflect.Type, raw map[string]any, path string) []error {
	fields := make(map[string]reflect.Type, t.NumField())
	names := make([]string, 0, t.NumField())
	for field := range t.Fields() {
		name := field.Tag.Get("koanf")
		fields[name] = field.Type
		names = append(names, name)
	}
	var mistakes []error
	for key, value := range raw {
		field, known := fields[key]
		nested, isTable := value.(map[string]any)
		switch {
		case !known:
			mistakes = append(mistakes, mistake(join(path, key), "there is no such key%s", suggest(key, names)))
		case isTable && field.Kind() == reflect.Struct:
			mistakes = append(mistakes, unknownKeys(field, nested, join(path, key))...)
		}
	}
	slices.SortFunc(mistakes, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return mistakes
}

// suggest names the key that was probably meant: one that shares most of the letters.
func suggest(key string, names []string) string {
	for _, name := range names {
		if strings.ReplaceAll(name, "_", "") == strings.ReplaceAll(strings.ToLower(key), "-", "") ||
			(len(key) > 3 && (strings.Contains(name, key) || strings.Contains(key, name))) {
			return "; did you mean " + name + "?"
		}
	}
	return ""
}

// credential resolves credential:NAME to the file in which systemd hands over the credential of that name.
func credential(file string) (string, error) {
	name, is := strings.CutPrefix(file, "credential:")
	if !is {
		return file, nil
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" || name == "" || strings.ContainsRune(name, '/') {
		return "", fmt.Errorf("there is no systemd credential %q: LoadCredential=%s:/path/of/the/file in the service's unit "+
			"hands it over", name, name)
	}
	return filepath.Join(dir, name), nil
}

// readSecrets reads the files that hold secrets.
func (c *Config) readSecrets() []error {
	var mistakes []error
	read := func(key, file string, into *Secret) {
		if file == "" {
			return
		}
		if *into != "" {
			mistakes = append(mistakes, mistake(key, "give the file or the value itself, not both"))
			return
		}
		path, err := credential(file)
		if err != nil {
			mistakes = append(mistakes, mistake(key, "%v", err))
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			mistakes = append(mistakes, mistake(key, "cannot be read: %v", err))
			return
		}
		*into = Secret(strings.TrimRight(string(text), "\r\n"))
	}
	read("redis.password_file", c.Redis.PasswordFile, &c.Redis.Password)
	read("redis.sentinel_password_file", c.Redis.SentinelPasswordFile, &c.Redis.SentinelPassword)
	for _, name := range c.SiteNames() {
		site := c.Sites[name]
		read("sites."+name+".dsn_file", site.DSNFile, &site.DSN)
		c.Sites[name] = site
	}
	return mistakes
}
