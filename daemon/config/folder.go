package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sitesFolder is the folder beside the configuration whose files have further sites.
const sitesFolder = "sites.d"

// readFolder adds the sites of the folder's files to the configuration's. A file sets no other key. from names the file of each
// site.
func readFolder(config string, root table) (from map[string]string, err error) {
	dir := filepath.Join(filepath.Dir(config), sitesFolder)
	files, err := os.ReadDir(dir) // in the order of their names
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // all sites are in the configuration itself
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if _, is := root["sites"].(table); !is && root["sites"] != nil {
		return nil, nil //nolint:nilnil // which the decoder reports
	}
	sites := subtable(root, "sites")
	from = make(map[string]string, len(sites))
	for name := range sites {
		from[name] = config
	}
	var wrong []error
	for _, file := range files {
		path := filepath.Join(dir, file.Name())
		if !strings.HasSuffix(path, ".toml") || strings.HasPrefix(file.Name(), ".") {
			continue
		}
		part := make(table)
		if err := readFile(path, &part); err != nil {
			wrong = append(wrong, err)
			continue
		}
		found, is := part["sites"].(table)
		if is {
			delete(part, "sites")
		}
		for key := range part {
			wrong = append(wrong, fmt.Errorf("configuration %s: %s: a file in %s has sections [sites.NAME] alone", path, key, sitesFolder))
		}
		for name, site := range found {
			if other, taken := from[name]; taken {
				wrong = append(wrong, fmt.Errorf("configuration %s: sites.%s is in %s, too", path, name, other))
			}
			sites[name], from[name] = site, path
		}
	}
	return from, errors.Join(wrong...)
}

// Files are the files that the daemon reads at its start and at a reload: the configuration, whose path is given, those of
// [sitesFolder], secrets and certificates. systemd's credentials are none of them.
func (c *Config) Files(path string) []string {
	found := map[string]bool{path: true, c.Metrics.WebConfig: true}
	for _, file := range c.from {
		found[file] = true
	}
	add := func(files ...string) {
		for _, file := range files {
			found[file] = !strings.HasPrefix(file, "credential:")
		}
	}
	r := &c.Redis
	add(r.PasswordFile, r.SentinelPasswordFile, r.TLSCA, r.TLSCert, r.TLSKey)
	c.sections(func(_ string, s *Site) { add(s.DSNFile, s.TLSCA, s.TLSCert, s.TLSKey) })
	delete(found, "")
	maps.DeleteFunc(found, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(found))
}

// Multisites returns the names of the sections for all blogs of a multisite, such as shop-*, in order.
func (c *Config) Multisites() []string {
	names := make([]string, 0, len(c.templates))
	for name := range c.templates {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Multisite returns the section of a name of [Config.Multisites]. Its TablePrefix is WordPress' $table_prefix.
func (c *Config) Multisite(name string) Site { return c.templates[name] }

// Settled returns the configuration without its sections for all blogs: their sites are made.
func (c *Config) Settled() Config {
	rest := *c
	rest.templates = nil
	return rest
}

// Expand makes a site of each blog. blogs are the numbers of the blogs by the name of their section. A blog that has a section of
// its own, by name or by table, keeps the section. path is the configuration's, for the error, which is a [*MistakesError].
func (c *Config) Expand(path string, blogs map[string][]int64) error {
	if c.Sites == nil {
		c.Sites = make(map[string]Site)
	}
	tables := make(map[string]bool, len(c.Sites))
	for _, site := range c.Sites {
		tables[site.place()] = true
	}
	for _, name := range c.Multisites() {
		for _, blog := range blogs[name] {
			number := strconv.FormatInt(blog, 10)
			own := strings.Replace(name, anyBlog, number, 1)
			site := ofBlog(c.templates[name], own, number)
			if _, there := c.Sites[own]; !there && !tables[site.place()] {
				c.Sites[own] = site
				if file := c.from[name]; file != "" {
					c.from[own] = file
				}
			}
		}
	}
	if mistakes := c.validate(); len(mistakes) > 0 {
		return &MistakesError{Path: path, List: mistakes, from: c.from}
	}
	return nil
}

// ofBlog makes the site of a blog of the section for all blogs.
func ofBlog(s Site, name, blog string) Site {
	if blog != "1" { // the first blog's tables have no number
		s.TablePrefix += blog + "_"
	}
	s.Table = strings.ReplaceAll(s.Table, anyBlog, blog)
	if s.KeyPrefix = strings.ReplaceAll(s.KeyPrefix, anyBlog, blog); s.KeyPrefix == "" {
		s.KeyPrefix = name + ":"
	}
	return s
}

// validateMultisite checks a section for all blogs, as the section of a blog, and what must differ from blog to blog.
func (s *Site) validateMultisite(c *checks, name string) {
	key := "sites." + name + "."
	if strings.Count(name, anyBlog) != 1 || !isSiteName(strings.Replace(name, anyBlog, "1", 1)) {
		c.failf("sites."+name, "the name of a section for all blogs of a multisite is a site's name with one *, as in blog-*")
	}
	for _, k := range []struct{ key, value string }{{"table", s.Table}, {"key_prefix", s.KeyPrefix}} {
		if k.value != "" && !strings.Contains(k.value, anyBlog) {
			c.failf(key+k.key, "%q is the same for all blogs; write * where the blog's number belongs", k.value)
		}
	}
	if s.ClientTable != "" && s.ClientTable != AnyTable {
		c.failf(key+"client_table", "%q is the same for all blogs", s.ClientTable)
	}
	blog := ofBlog(*s, name, "1")
	blog.validate(c, key)
}

// sections calls f with all sites and the sections for all blogs, in order, and takes over the changes of f.
func (c *Config) sections(f func(name string, s *Site)) {
	for _, of := range []map[string]Site{c.Sites, c.templates} {
		names := make([]string, 0, len(of))
		for name := range of {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			site := of[name]
			f(name, &site)
			of[name] = site
		}
	}
}
