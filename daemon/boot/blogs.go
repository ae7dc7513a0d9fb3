package boot

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Blogs finds the blogs of the configuration's multisites. Read lists that MySQL gave are kept in the state folder for a start
// without MySQL.
type Blogs struct {
	// Path is the configuration's, for errors.
	Path string
	// Keep writes the lists to the state folder: only the daemon does.
	Keep bool
	// Say receives what is not as it should be.
	Say func(format string, args ...any)

	last map[string][]int64
}

// Expand makes a site of each blog.
func (b *Blogs) Expand(ctx context.Context, c *config.Config) error {
	if len(c.Multisites()) == 0 {
		return nil
	}
	b.last = b.find(ctx, c)
	return c.Expand(b.Path, b.last)
}

// Changed says whether MySQL has other blogs than the last Expand found.
func (b *Blogs) Changed(ctx context.Context, c *config.Config) bool {
	now, _ := ask(ctx, c)
	for name, blogs := range now {
		if !slices.Equal(blogs, b.last[name]) {
			return true
		}
	}
	return false
}

// ask asks all multisites at once.
func ask(ctx context.Context, c *config.Config) (found map[string][]int64, failed map[string]error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	found, failed = make(map[string][]int64), make(map[string]error)
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, name := range c.Multisites() {
		s := c.Multisite(name)
		asked.Go(func() {
			var blogs []int64
			at, err := databaseOf(s)
			if err == nil {
				blogs, err = mysql.Blogs(ctx, at, s.TablePrefix)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed[name] = err
			} else {
				found[name] = blogs
			}
		})
	}
	asked.Wait()
	return found, failed
}

func (b *Blogs) find(ctx context.Context, c *config.Config) map[string][]int64 {
	found, failed := ask(ctx, c)
	for _, name := range c.Multisites() {
		file := blogsFile(c.Daemon.StateDir, name)
		err, unasked := failed[name]
		switch {
		case unasked:
			found[name] = b.remembered(name, file, err)
		case b.Keep && file != "":
			if err := keepBlogs(c.Daemon.StateDir, file, found[name]); err != nil {
				b.Say("the blogs of %s cannot be kept on disk, and a start without MySQL will serve none of them: %v", name, err)
			}
		}
	}
	return found
}

// remembered returns the blogs that MySQL gave last.
func (b *Blogs) remembered(name, file string, unasked error) (blogs []int64) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &blogs)
	}
	if err != nil {
		b.Say("no blog of %s is served until MySQL answers: %v", name, unasked)
		return nil
	}
	b.Say("the blogs of %s are those of the last answer, %d blogs: %v", name, len(blogs), unasked)
	return blogs
}

// blogsFile keeps the list of a multisite; empty without a state folder.
func blogsFile(dir, name string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, strings.Replace(name, "*", "all", 1)+".blogs.json")
}

func keepBlogs(dir, file string, blogs []int64) error {
	text, err := json.Marshal(blogs)
	if err != nil {
		return fmt.Errorf("write the list of blogs: %w", err)
	}
	if err := prepareStateDir(dir); err != nil {
		return err
	}
	return site.Keep(file, append(text, '\n'))
}
