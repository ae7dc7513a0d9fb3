package setup

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/daemon/config"
)

// The example of a further blog is a section that works, under the name that the plugin of blog 2 asks for: the last lines of a
// multisite's configuration, without their first #.
func TestExampleOfAFurtherBlog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.wp += "define('MULTISITE', true);\n"
	s.NoMigrate = true
	before, err := s.run(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	main, example, there := strings.Cut(string(text), "# [sites.blog-2]\n")
	if !there {
		t.Fatalf("no example of a further blog:\n%s", text)
	}
	example = strings.ReplaceAll("\n"+example, "\n# ", "\n")
	if err := os.WriteFile(s.Config, []byte(main+"[sites.blog-2]"+example), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(s.Config, nil, nil)
	if err != nil {
		t.Fatalf("the example is refused: %v\n%s", err, example)
	}
	first, blog := before.Sites["main"], c.Sites["blog-2"]
	if blog.DSN.Reveal() != first.DSN.Reveal() || blog.TableName() != "shop_2_support_tickets" || blog.KeyPrefix != "blog-2:" ||
		!slices.Equal(blog.AllowUsers, first.AllowUsers) {
		t.Errorf("blog 2: %+v, table %s; the main blog: %+v", blog, blog.TableName(), first)
	}
}
