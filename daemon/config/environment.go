package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// DefaultPath is where the packages put the configuration.
const DefaultPath = "/etc/ticketd/ticketd.toml"

// envPrefix begins the names of all variables; envOwn are variables of the command line, not keys.
const envPrefix = "TICKETD_"

var envOwn = []string{"TICKETD_SOCKET", "TICKETD_SITE", "TICKETD_CONFIG", envText}

// envText is the variable with the whole text of a configuration, which then replaces the file: for a container.
const envText = "TICKETD_CONFIG_TOML"

// Source names, for messages, where [Load] reads the configuration from: path, or the environment.
func Source(path string, environ []string) string {
	if _, there := lookUp(environ, envText); there {
		return envText
	}
	if isWithoutFile(path, environ) {
		return "of the environment"
	}
	return path
}

// isWithoutFile returns whether the environment stands for the file: it has a site, and no file is where the packages put the
// file. A file that somebody names must exist.
func isWithoutFile(path string, environ []string) bool {
	if path != DefaultPath || !slices.ContainsFunc(environ, func(pair string) bool {
		return strings.HasPrefix(pair, envPrefix+"SITES_")
	}) {
		return false
	}
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

func lookUp(environ []string, name string) (value string, there bool) {
	for _, pair := range environ {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return value, true
		}
	}
	return "", false
}

// setFromEnvironment sets, for example, sites.main.dsn from TICKETD_SITES_MAIN_DSN. A name that is no key's is kept as a key of
// its section, which decode reports.
func setFromEnvironment(root table, environ []string) {
	services := servicesOf(environ)
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(envOwn, name) || strings.HasPrefix(name, envPrefix+"TEST_") || isOfService(services, name) {
			continue
		}
		path := pathOf(reflect.TypeFor[Config](), root, strings.ToLower(rest))
		if path == nil {
			section, key, _ := strings.Cut(strings.ToLower(rest), "_")
			path = []string{section, key}
			if site, rest, named := strings.Cut(key, "_"); section == "sites" && named {
				path = []string{section, site, rest}
			}
		}
		setAt(root, path, value)
	}
}

// servicesOf finds the Services of Kubernetes whose variables look like ticketd's: each pod of a namespace gets variables of all
// its Services, such as TICKETD_SERVICE_HOST and TICKETD_PORT of one with the name ticketd.
func servicesOf(environ []string) (services []string) {
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if service, is := strings.CutSuffix(name, "_SERVICE_HOST"); is && strings.HasPrefix(name, envPrefix) {
			services = append(services, service)
		}
	}
	return services
}

func isOfService(services []string, name string) bool {
	return slices.ContainsFunc(services, func(service string) bool {
		rest, is := strings.CutPrefix(name, service)
		return is && (rest == "_PORT" || strings.HasPrefix(rest, "_SERVICE_") || servicePort.MatchString(rest))
	})
}

var servicePort = regexp.MustCompile(`^_PORT_[0-9]+_(TCP|UDP|SCTP)(_|$)`)

// pathOf finds the key of a name whose parts, and the words of each part, are joined with "_". at is the present content, whose
// names of sites count first. nil is no key of the type.
func pathOf(of reflect.Type, at table, name string) []string {
	switch of.Kind() {
	case reflect.Struct:
		return pathOfField(of, at, name)
	case reflect.Map:
		if of.Elem().Kind() != reflect.Struct {
			return []string{name}
		}
		return pathOfNamed(of.Elem(), at, name)
	default:
		return nil
	}
}

func pathOfField(of reflect.Type, at table, name string) []string {
	for field := range of.Fields() {
		key := field.Tag.Get("toml")
		if key == "" {
			continue
		}
		if name == key {
			return []string{key}
		}
		if rest, below := strings.CutPrefix(name, key+"_"); below {
			inner, _ := at[key].(table)
			if path := pathOf(field.Type, inner, rest); path != nil {
				return append([]string{key}, path...)
			}
		}
	}
	return nil
}

// pathOfNamed finds a key of a section with a name of the operator's: the name of a present section, otherwise the shortest name
// that leaves a key. A new name has "-" between its words, as the plugin's names of a multisite's blogs have.
func pathOfNamed(of reflect.Type, at table, name string) []string {
	for _, known := range slices.SortedFunc(maps.Keys(at), func(a, b string) int { return len(b) - len(a) }) {
		inner, _ := at[known].(table)
		if rest, found := strings.CutPrefix(name, asVariable(known)+"_"); found {
			if path := pathOf(of, inner, rest); path != nil {
				return append([]string{known}, path...)
			}
		}
	}
	for i := range name {
		if name[i] == '_' && i > 0 {
			if path := pathOf(of, nil, name[i+1:]); path != nil {
				return append([]string{strings.ReplaceAll(name[:i], "_", "-")}, path...)
			}
		}
	}
	return nil
}

// asVariable writes a section's name as a variable's name has it.
func asVariable(name string) string {
	return strings.NewReplacer("-", "_", anyBlog, "all").Replace(strings.ToLower(name))
}

// setAt sets a key below a table, and makes the missing tables.
func setAt(root table, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		root = subtable(root, name)
	}
	root[path[len(path)-1]] = value
}
