package wpconfig

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// PHP is a PHP that may run the configuration.
type PHP struct {
	// Program is the name or the path of the program: php, /opt/plesk/php/8.3/bin/php.
	Program string
	// User is the user that runs PHP; nil is the present user. Root cannot be that user, if the file belongs to another.
	User *syscall.Credential
}

// The bounds of the child.
const (
	phpTime   = 5 * time.Second
	phpReport = 1 << 18 // bytes
)

//go:embed read.php
var readPHP string

// report is what read.php writes.
type report struct {
	Began    bool               `json:"began"`
	Settings map[string]encoded `json:"settings"`
	File     string             `json:"file"`
	Line     int                `json:"line"`
}

// encoded is a value of PHP's; one of the fields is set.
type encoded struct {
	List   *[][2]encoded `json:"list"`
	Text   *[]byte       `json:"text"` // base64, as PHP's strings are bytes
	Number *int64        `json:"number"`
	Is     *bool         `json:"is"`
	Other  string        `json:"other"`
}

func (e *encoded) value() value {
	switch {
	case e.List != nil:
		a := &array{}
		for _, pair := range *e.List {
			a = a.with(pair[0].value(), pair[1].value())
		}
		return a
	case e.Text != nil:
		return string(*e.Text)
	case e.Number != nil:
		return *e.Number
	case e.Is != nil:
		return *e.Is
	case e.Other == "NULL":
		return nil
	default:
		return unknown{why: "is a " + e.Other}
	}
}

// Ask has PHP itself run the configuration, up to the point at which WordPress begins. PHP runs in a child without a network,
// with a time limit, and with only those variables of the environment that a Source permits.
func Ask(ctx context.Context, source *Source, php PHP) (*Config, error) {
	answer, names, err := php.run(ctx, source)
	if err != nil {
		return nil, err
	}
	f := &facts{settings: make(map[string]value)}
	for name := range answer.Settings {
		e := answer.Settings[name]
		f.settings[name] = e.value()
	}
	if !answer.Began {
		return nil, fmt.Errorf("PHP ends before WordPress begins, in line %d of %q: the file calls exit, or an error stops PHP",
			answer.Line, answer.File)
	}
	c, err := f.config()
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		c.Notes = append(c.Notes, "PHP has from the environment of this command: "+strings.Join(names, ", "))
	}
	return c, nil
}

// run runs the child and returns its report, and the variables that the child had.
func (php PHP) run(ctx context.Context, source *Source) (answer report, names []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, phpTime)
	defer cancel()
	read, write, err := os.Pipe()
	if err != nil {
		return answer, nil, err
	}
	defer func() { _ = read.Close() }()
	constants := slices.DeleteFunc(slices.Clone(looked), func(name string) bool { return name[0] == '$' })
	//nolint:gosec // the operator names the program, and the arguments are behind --
	cmd := exec.CommandContext(ctx, php.Program, "-d", "display_errors=0", "-d", "log_errors=0", "-d", "memory_limit=128M",
		"-d", "auto_prepend_file=", "-d", "allow_url_include=0", "-r", strings.TrimPrefix(readPHP, "<?php"), "--",
		source.Path, source.Root, source.Host, strings.Join(constants, " "))
	cmd.Env, names = source.permitted()
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{write}
	cmd.SysProcAttr = php.alone()
	cmd.WaitDelay = time.Second
	err = cmd.Start()
	_ = write.Close()
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		return answer, nil, fmt.Errorf("no PHP for the command line: %w; name one with --php=/path/to/php", err)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EINVAL):
		return answer, nil, fmt.Errorf("PHP is not run: this host does not let a program be cut off from the network: %w", err)
	case err != nil:
		return answer, nil, fmt.Errorf("PHP is not run: %w", err)
	}
	text, readErr := io.ReadAll(io.LimitReader(read, phpReport))
	err = cmd.Wait()
	if ctx.Err() != nil {
		return answer, nil, fmt.Errorf("PHP runs the file for more than %v: %w", phpTime, context.Cause(ctx))
	}
	if len(text) == 0 || readErr != nil {
		return answer, nil, errors.Join(errors.New("PHP runs the file without a result; may PHP's user read the file?"), err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, nil, errors.New("PHP's result cannot be read")
	}
	return answer, names, nil
}

// alone gives the child its own network, without any interface, and its own processes, which end with the child.
func (php PHP) alone() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC, Credential: php.User, Setsid: true,
	}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		attributes.Cloneflags |= syscall.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
	}
	return attributes
}

// permitted returns the environment that the configuration may see, and the names in it.
func (s *Source) permitted() (environ, names []string) {
	environ = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	add := func(name string) {
		if text, set := s.Getenv(name); set && !slices.Contains(names, name) {
			environ, names = append(environ, name+"="+text), append(names, name)
		}
	}
	for _, name := range conventional {
		add(name)
		add(name + "_FILE")
	}
	for _, name := range s.Permitted {
		add(name)
	}
	return environ, names
}
