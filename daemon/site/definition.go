package site

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/table"
)

// retryDefinition is the pause between tries to read the definition while MySQL is unreachable or the table is missing.
const retryDefinition = time.Second

// learn reads the definition until a read succeeds.
func (s *Site) learn(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !s.learned.Load() {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := s.Refresh(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		// The flusher, or the server's own state, has logged the reason once.
		s.Log.Debug().Err(err).Bool("remembered", s.Database.Definition() != nil).Msg("the tickets table cannot be read yet")
		timer.Reset(retryDefinition)
	}
}

// Refresh reads the table's definition again and keeps the definition on disk. The result proves the state of MySQL.
func (s *Site) Refresh(ctx context.Context) error {
	d, err := s.Database.LoadDefinition(ctx)
	if ctx.Err() == nil { // a cancelled read does not prove the state of MySQL
		s.Flusher.Looked(err)
	}
	if err != nil {
		return fmt.Errorf("reading the table's definition: %w", err)
	}
	s.learned.Store(true)
	s.remember(d)
	return nil
}

// judged calls judge with the table's definition. If judge refuses a field, the table may have been altered: judged reads the
// definition again and, if the definition has changed, calls judge again.
func (s *Site) judged(ctx context.Context, judge func(*table.Definition) error) error {
	d, err := s.known()
	if err != nil {
		return err
	}
	err = judge(d)
	if field := (*table.FieldError)(nil); !errors.As(err, &field) {
		return err
	}
	if now := s.Database.Reread(ctx, d); now != nil {
		s.remember(now)
		return judge(now)
	}
	return err
}

// kept is the definition as kept on disk.
type kept struct {
	mu   sync.Mutex
	text []byte
}

// remember writes the definition to disk, unless this process has written the same text.
func (s *Site) remember(d *table.Definition) {
	if s.DefinitionFile == "" {
		return
	}
	s.kept.mu.Lock()
	defer s.kept.mu.Unlock()
	text, err := json.MarshalIndent(d, "", "  ")
	if err == nil && !bytes.Equal(text, s.kept.text) {
		if err = Keep(s.DefinitionFile, text); err == nil {
			s.kept.text = text
		}
	}
	if err != nil {
		// The site works; only a start without MySQL needs the file.
		s.Log.Warn().Err(err).Msg("the table's definition cannot be written to disk")
	}
}

// recall reads the definition from disk, if the file exists.
func (s *Site) recall() {
	if s.DefinitionFile == "" {
		return
	}
	text, err := os.ReadFile(s.DefinitionFile)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	d := new(table.Definition)
	if err == nil {
		err = json.Unmarshal(text, d)
	}
	if err != nil {
		s.Log.Warn().Err(err).Msg("the definition on disk cannot be used; the daemon reads the definition from MySQL")
		return
	}
	s.Database.Remember(d)
}

// Keep writes a file so that a crash leaves the complete old file or the complete new file.
func Keep(path string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// known returns the table's definition, or unavailable before the first read.
func (s *Site) known() (*table.Definition, error) {
	if d := s.Database.Definition(); d != nil {
		return d, nil
	}
	return nil, protocol.Errorf(protocol.CodeUnavailable,
		"the definition of the tickets table has not been read yet: MySQL does not answer, or the table is missing "+
			"(run 'ticketd migrate')")
}

// Describe implements [daemon.Site].
func (s *Site) Describe(context.Context, *protocol.SiteParams) (protocol.DescribeResult, error) {
	result := s.Description
	if d := s.Database.Definition(); d != nil {
		result.Types = make(map[string]string, len(d.Columns))
		for i := range d.Columns {
			result.Types[d.Columns[i].Field] = string(d.Columns[i].Kind)
		}
	}
	return result, nil
}
